// Amounts as the provider wants them. Stripe counts in the currency's minor unit like we do, but for a few currencies it
// kept two decimals where ISO 4217 has none. Pure arithmetic.

/** Without decimals in ISO 4217 and here, with two in Stripe's API (docs.stripe.com/currencies#special-cases). */
const TWO_DECIMALS_AT_PROVIDER: ReadonlySet<string> = new Set(['ISK', 'UGX']);

export function toProviderAmount(minor: number, currency: string): number {
  return TWO_DECIMALS_AT_PROVIDER.has(currency) ? minor * 100 : minor;
}
