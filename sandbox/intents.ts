// PaymentIntents: create, confirm, cancel, list and search, with Stripe's rules about which state allows what.
// Every change is a new object, saved and told as an event. HTTP, keys and planted failures are not seen here.
import { randomId } from '../core/ids.ts';
import type { Account, Cause } from './account.ts';
import type { BehaviorControl } from './behavior.ts';
import { outcomeOf, readPaymentMethod } from './cards.ts';
import { Failure, invalidParameter, missingObject, unexpectedState } from './failure.ts';
import { readAmount, readCreatedFilter, readLimit, readMetadata, readRequired } from './form.ts';
import type { Form } from './form.ts';
import type { Charge, Intent, PaymentError } from './wire.ts';

/** Bank debits take their time; cards are done at once unless `processingMs` says otherwise. */
const BANK_PROCESSING_MS = 1000;

export interface Intents {
  create(form: Form, cause: Cause): Intent;
  find(id: string): Intent;
  confirm(id: string, form: Form, cause: Cause): Intent;
  cancel(id: string, form: Form, cause: Cause): Intent;
  list(form: Form): { data: Intent[]; hasMore: boolean };
  search(query: string, limit: number): Intent[];
  /** Ends those that a former run left in `processing`. */
  finishProcessing(): void;
  stop(): void;
}

export function createIntents(account: Account, behavior: BehaviorControl): Intents {
  const timers = new Set<NodeJS.Timeout>();

  const find = (id: string): Intent => {
    const intent = account.intents.get(id);
    if (intent === undefined) throw missingObject('payment_intent', id);
    return intent;
  };
  const save = (intent: Intent, event: string, cause: Cause): Intent => {
    account.saveIntent(intent);
    account.emit(event, intent, cause);
    return intent;
  };
  const succeed = (intent: Intent, cause: Cause): Intent => {
    const charge = chargeFor(intent, account.nowSeconds());
    account.saveCharge(charge);
    const paid: Intent = {
      ...intent,
      status: 'succeeded',
      amount_received: intent.amount,
      latest_charge: charge.id,
      last_payment_error: null,
    };
    return save(paid, 'payment_intent.succeeded', cause);
  };
  const decline = (intent: Intent, code: string, reason: string, cause: Cause): never => {
    const error = declineError(code, reason);
    const failed: Intent = {
      ...intent,
      status: 'requires_payment_method',
      payment_method: null,
      last_payment_error: error,
      latest_charge: error.charge,
    };
    save(failed, 'payment_intent.payment_failed', cause);
    throw new Failure(402, { ...error, payment_intent: failed }, true);
  };
  const process = (intent: Intent, afterMs: number, cause: Cause): Intent => {
    const processing = save({ ...intent, status: 'processing' }, 'payment_intent.processing', cause);
    const timer = setTimeout(() => {
      timers.delete(timer);
      const current = account.intents.get(intent.id);
      if (current?.status === 'processing') succeed(current, { requestId: null, idempotencyKey: null });
    }, afterMs);
    timers.add(timer);
    return processing;
  };
  const confirm = (id: string, form: Form, cause: Cause): Intent => {
    const intent = find(id);
    if (intent.status !== 'requires_payment_method' && intent.status !== 'requires_confirmation') {
      const message = `You cannot confirm this PaymentIntent because it has a status of ${intent.status}.`;
      throw unexpectedState(intent, message);
    }
    const paymentMethod = readPaymentMethod(form) ?? intent.payment_method;
    if (paymentMethod === null) {
      throw unexpectedState(intent, "You cannot confirm this PaymentIntent because it's missing a payment method.");
    }
    const outcome = outcomeOf(paymentMethod);
    const now = { ...intent, payment_method: paymentMethod };
    const { declineReason, processingMs } = behavior.current;
    const wish = intent.metadata['sandbox'];
    if (wish === 'decline') return decline(now, 'card_declined', 'generic_decline', cause);
    if (declineReason !== null && wish !== 'approve') return decline(now, 'card_declined', declineReason, cause);
    if (outcome.kind === 'declined') return decline(now, outcome.code, outcome.reason, cause);
    if (outcome.kind === 'delayed') return process(now, processingMs || BANK_PROCESSING_MS, cause);
    return processingMs > 0 ? process(now, processingMs, cause) : succeed(now, cause);
  };

  return {
    find,
    confirm,
    create(form, cause) {
      const paymentMethod = readPaymentMethod(form);
      if (paymentMethod !== undefined) outcomeOf(paymentMethod);
      const intent = newIntent(form, paymentMethod ?? null, account.nowSeconds());
      save(intent, 'payment_intent.created', cause);
      return form.get('confirm') === 'true' ? confirm(intent.id, form, cause) : intent;
    },
    cancel(id, form, cause) {
      const intent = find(id);
      if (intent.status === 'succeeded' || intent.status === 'canceled' || intent.status === 'processing') {
        const message = `You cannot cancel this PaymentIntent because it has a status of ${intent.status}.`;
        throw unexpectedState(intent, message);
      }
      const reason = form.get('cancellation_reason') ?? null;
      const canceled = { ...intent, status: 'canceled', canceled_at: account.nowSeconds() } as const;
      return save({ ...canceled, cancellation_reason: reason }, 'payment_intent.canceled', cause);
    },
    list(form) {
      const isWanted = readCreatedFilter(form);
      const limit = readLimit(form);
      const startingAfter = form.get('starting_after');
      if (startingAfter !== undefined) find(startingAfter);
      return account.intents.page({ limit, startingAfter, keep: (intent) => isWanted(intent.created) });
    },
    search(query, limit) {
      const wanted = [...query.matchAll(/metadata\[['"]([^'"]{1,40})['"]\]\s*:\s*['"]([^'"]*)['"]/g)];
      const [first, ...rest] = wanted.map((match) => [match[1] ?? '', match[2] ?? ''] as const);
      if (first === undefined) throw invalidParameter('search_query_invalid', 'query', 'Search by metadata only.');
      const found = account.intentsWith(first[0], first[1]);
      return found.filter((intent) => rest.every(([key, value]) => intent.metadata[key] === value)).slice(0, limit);
    },
    finishProcessing() {
      for (const intent of [...account.intents.values()]) {
        if (intent.status === 'processing') succeed(intent, { requestId: null, idempotencyKey: null });
      }
    },
    stop() {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}

function newIntent(form: Form, paymentMethod: string | null, created: number): Intent {
  const amount = readAmount(readRequired(form, 'amount'));
  const currency = readRequired(form, 'currency').toLowerCase();
  if (!/^[a-z]{3}$/.test(currency)) {
    throw invalidParameter('parameter_invalid_string', 'currency', `Invalid currency: ${currency}.`);
  }
  const id = randomId('pi_');
  const isAutomatic = form.get('automatic_payment_methods[enabled]') === 'true';
  const redirects = form.get('automatic_payment_methods[allow_redirects]') ?? 'always';
  return {
    id,
    object: 'payment_intent',
    amount,
    amount_capturable: 0,
    amount_received: 0,
    automatic_payment_methods: isAutomatic ? { enabled: true, allow_redirects: redirects } : null,
    canceled_at: null,
    cancellation_reason: null,
    capture_method: 'automatic',
    client_secret: randomId(`${id}_secret_`),
    confirmation_method: 'automatic',
    created,
    currency,
    customer: null,
    description: form.get('description') ?? null,
    last_payment_error: null,
    latest_charge: null,
    livemode: false,
    metadata: readMetadata(form),
    next_action: null,
    payment_method: paymentMethod,
    payment_method_types: ['card'],
    receipt_email: form.get('receipt_email') ?? null,
    status: paymentMethod === null ? 'requires_payment_method' : 'requires_confirmation',
  };
}

function declineError(code: string, reason: string): PaymentError {
  const message = reason === 'insufficient_funds' ? 'Your card has insufficient funds.' : 'Your card was declined.';
  return { type: 'card_error', code, decline_code: reason, message, charge: randomId('ch_') };
}

function chargeFor(intent: Intent, created: number): Charge {
  return {
    id: randomId('ch_'),
    object: 'charge',
    amount: intent.amount,
    amount_captured: intent.amount,
    amount_refunded: 0,
    created,
    currency: intent.currency,
    livemode: false,
    metadata: intent.metadata,
    paid: true,
    payment_intent: intent.id,
    refunded: false,
    status: 'succeeded',
  };
}
