// What each payment method does when it is confirmed: Stripe's own test methods (pm_card_…), and its test card numbers
// when a page sends card fields. It looks methods up and has no state.
import { missingObject } from './failure.ts';
import type { Form } from './form.ts';

export type CardOutcome =
  | { kind: 'approved' }
  | { kind: 'delayed' }
  | { kind: 'declined'; code: string; reason: string };

const declined = (code: string, reason: string): CardOutcome => ({ kind: 'declined', code, reason });
const approved: CardOutcome = { kind: 'approved' };

const outcomes: ReadonlyMap<string, CardOutcome> = new Map([
  ['pm_card_chargeDeclined', declined('card_declined', 'generic_decline')],
  ['pm_card_visa_chargeDeclined', declined('card_declined', 'generic_decline')],
  ['pm_card_chargeDeclinedInsufficientFunds', declined('card_declined', 'insufficient_funds')],
  ['pm_card_visa_chargeDeclinedInsufficientFunds', declined('card_declined', 'insufficient_funds')],
  ['pm_card_chargeDeclinedLostCard', declined('card_declined', 'lost_card')],
  ['pm_card_chargeDeclinedStolenCard', declined('card_declined', 'stolen_card')],
  ['pm_card_chargeDeclinedExpiredCard', declined('expired_card', 'expired_card')],
  ['pm_card_chargeDeclinedIncorrectCvc', declined('incorrect_cvc', 'incorrect_cvc')],
  ['pm_card_chargeDeclinedProcessingError', declined('processing_error', 'processing_error')],
  ['pm_card_authenticationRequired', declined('authentication_required', 'authentication_required')],
  ['pm_usBankAccount', { kind: 'delayed' }],
]);

const methodOfNumber: ReadonlyMap<string, string> = new Map([
  ['4000000000000002', 'pm_card_chargeDeclined'],
  ['4000000000009995', 'pm_card_chargeDeclinedInsufficientFunds'],
  ['4000000000000069', 'pm_card_chargeDeclinedExpiredCard'],
  ['4000000000000127', 'pm_card_chargeDeclinedIncorrectCvc'],
  ['4000000000000119', 'pm_card_chargeDeclinedProcessingError'],
]);

/** The method a request names, by id or by card number; undefined when it names none. */
export function readPaymentMethod(form: Form): string | undefined {
  const id = form.get('payment_method');
  if (id !== undefined && id !== '') return id;
  const number = form.get('payment_method_data[card][number]')?.replace(/[ -]/g, '');
  if (number === undefined) return undefined;
  return methodOfNumber.get(number) ?? (/^\d{12,19}$/.test(number) ? 'pm_card_visa' : `card ${number.slice(0, 4)}`);
}

export function outcomeOf(paymentMethod: string): CardOutcome {
  const known = outcomes.get(paymentMethod);
  if (known !== undefined) return known;
  if (/^pm_card_[a-z]{2,20}(_debit|_prepaid)?$/.test(paymentMethod)) return approved;
  throw missingObject('PaymentMethod', paymentMethod, 'payment_method');
}
