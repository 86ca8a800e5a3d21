// The terms of a sale on the command line, and the request that they make. Shared by `sale create` and `stock seed`;
// only the form of numbers is checked here, everything else by the API.
import { type Command, InvalidArgumentError } from 'commander';

export interface TermOptions {
  readonly hold?: number;
  readonly limit?: number;
  readonly lineLimit?: number;
  readonly rate?: number;
  readonly paymentStart?: string;
  readonly opensAt?: string;
  readonly closesAt?: string;
}

export function wholeNumber(text: string): number {
  if (!/^-?\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

export function decimalNumber(text: string): number {
  if (!/^-?\d{1,15}(\.\d+)?$/.test(text)) throw new InvalidArgumentError('It must be a number such as 499 or 499.00.');
  return Number(text);
}

function instant(text: string): string {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new InvalidArgumentError('It must be a time such as 2026-12-01T12:00:00Z.');
  return new Date(ms).toISOString();
}

export function addTerms(command: Command): Command {
  return command
    .option('--hold <seconds>', 'how long a unit is held for its buyer (600)', wholeNumber)
    .option('--limit <units>', 'units a buyer may have in the sale (1)', wholeNumber)
    .option('--line-limit <units>', 'units that may wait per SKU (twice the stock)', wholeNumber)
    .option('--rate <n>', 'buyers admitted a second at most (no limit)', decimalNumber)
    .option('--payment-start <when>', 'eager: the workers start payments; on_demand: when the buyer asks (eager)')
    .option('--opens-at <time>', 'when it opens by itself; without it, "sale open" does', instant)
    .option('--closes-at <time>', 'when it closes by itself', instant);
}

/** The members of `POST /sales` that were given; the API fills in the others. */
export function termsOf(options: TermOptions): Record<string, unknown> {
  const members = {
    holdSeconds: options.hold,
    perBuyerLimit: options.limit,
    lineLimit: options.lineLimit,
    admissionPerSecond: options.rate,
    paymentStart: options.paymentStart,
    opensAt: options.opensAt,
    closesAt: options.closesAt,
  };
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}
