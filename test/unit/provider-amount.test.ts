// Stripe's minor units are ISO 4217's, with its few documented exceptions.
import { expect, it } from 'vitest';
import { toProviderAmount } from '../../shop/payments/provider-amount.ts';

it('gives the provider its own minor units', () => {
  expect(toProviderAmount(49_900, 'INR')).toBe(49_900);
  expect(toProviderAmount(500, 'JPY')).toBe(500);
  expect(toProviderAmount(1_250, 'KWD')).toBe(1_250);
  expect(toProviderAmount(500, 'ISK')).toBe(50_000);
  expect(toProviderAmount(500, 'UGX')).toBe(50_000);
});
