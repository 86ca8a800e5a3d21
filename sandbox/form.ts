// Stripe's request bodies: form fields with brackets (`metadata[order_id]=…`), and what is read out of them.
// Parsing never throws; reading a field that is not as Stripe wants it throws Stripe's own error.
import { invalidParameter } from './failure.ts';
import type { Metadata } from './wire.ts';

export type Form = ReadonlyMap<string, string>;

export function parseForm(text: string): Form {
  const form = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(text)) form.set(name, value);
  return form;
}

/** The same fields in another order are the same request. */
export function canonicalForm(form: Form): string {
  return JSON.stringify([...form].sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function readMetadata(form: Form): Metadata {
  const metadata: Metadata = {};
  for (const [name, value] of form) {
    const key = /^metadata\[([^\]]{1,40})\]$/.exec(name)?.[1];
    if (key === undefined || value === '') continue;
    if (value.length > 500) throw invalidParameter('metadata_value_too_long', name, 'Metadata values: 500 characters.');
    metadata[key] = value;
  }
  if (Object.keys(metadata).length > 50) throw invalidParameter('metadata_too_many', 'metadata', 'At most 50 keys.');
  return metadata;
}

export function readRequired(form: Form, name: string): string {
  const value = form.get(name);
  if (value === undefined || value === '') {
    throw invalidParameter('parameter_missing', name, `Missing required param: ${name}.`);
  }
  return value;
}

/** An amount in the currency's minor unit: 1 to eight digits, as Stripe has it. */
export function readAmount(text: string): number {
  if (!/^\d{1,15}$/.test(text)) {
    throw invalidParameter('parameter_invalid_integer', 'amount', `Invalid integer: ${text}`);
  }
  const amount = Number(text);
  if (amount < 1) throw invalidParameter('amount_too_small', 'amount', 'Amount must be at least 1.');
  if (amount > 99_999_999)
    throw invalidParameter('amount_too_large', 'amount', 'Amount must be no more than 99999999.');
  return amount;
}

export function readLimit(form: Form): number {
  const text = form.get('limit');
  if (text === undefined) return 10;
  const limit = Number(text);
  if (!Number.isInteger(limit) || limit < 1 || limit > 100) {
    throw invalidParameter('parameter_invalid_integer', 'limit', 'Limit must be between 1 and 100.');
  }
  return limit;
}

/** `created=…`, `created[gte]=…` and so on, as a test of an object's time in seconds. */
export function readCreatedFilter(form: Form): (created: number) => boolean {
  const tests: ((created: number) => boolean)[] = [];
  const bound = (name: string, make: (limit: number) => (created: number) => boolean) => {
    const value = form.get(name);
    if (value !== undefined && /^\d{1,12}$/.test(value)) tests.push(make(Number(value)));
  };
  bound('created', (limit) => (created) => created === limit);
  bound('created[gte]', (limit) => (created) => created >= limit);
  bound('created[gt]', (limit) => (created) => created > limit);
  bound('created[lte]', (limit) => (created) => created <= limit);
  bound('created[lt]', (limit) => (created) => created < limit);
  return (created) => tests.every((test) => test(created));
}
