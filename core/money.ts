// Money: decimals at the door (`499.00`), integer minor units everywhere else. The only place that converts.

/** ISO 4217 currencies that do not have two decimals. */
const DECIMALS: Readonly<Record<string, number>> = {
  BIF: 0,
  CLP: 0,
  DJF: 0,
  GNF: 0,
  ISK: 0,
  JPY: 0,
  KMF: 0,
  KRW: 0,
  PYG: 0,
  RWF: 0,
  UGX: 0,
  VND: 0,
  VUV: 0,
  XAF: 0,
  XOF: 0,
  XPF: 0,
  BHD: 3,
  IQD: 3,
  JOD: 3,
  KWD: 3,
  LYD: 3,
  OMR: 3,
  TND: 3,
};

/** Minor units of a decimal amount; undefined when it is negative, not finite, too large, or finer than the currency. */
export function toMinor(decimal: number, currency: string): number | undefined {
  if (!Number.isFinite(decimal) || decimal < 0) return undefined;
  const scale = scaleOf(currency);
  const minor = Math.round(decimal * scale);
  // Both sides are the double nearest to minor/scale exactly when the amount had no finer digits.
  if (!Number.isSafeInteger(minor) || minor / scale !== decimal) return undefined;
  return minor === 0 ? 0 : minor; // never the negative zero
}

export function toDecimal(minor: number, currency: string): number {
  return minor / scaleOf(currency);
}

function scaleOf(currency: string): number {
  return 10 ** (DECIMALS[currency.toUpperCase()] ?? 2);
}
