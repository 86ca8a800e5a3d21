// Requests of every kind for one operation: right ones, right ones with one thing wrong, and wrong ones altogether.
// Ids that exist come from whoever asks for requests; nothing here talks to a server.
import fc, { type Arbitrary } from 'fast-check';
import type { Operation } from './contract.ts';
import { fitting, nasty, nastyText, type Schema, spoiled } from './from-schema.ts';

export const ROLES = ['none', 'USER', 'ADMIN', 'INTERNAL', 'expired', 'garbled'] as const;
export type FuzzRole = (typeof ROLES)[number];

export interface FuzzRequest {
  operation: Operation;
  /** With the query; parameters filled in and encoded. */
  path: string;
  role: FuzzRole;
  headers: Record<string, string>;
  /** Bytes, so that what is no text can be sent too; undefined for none. */
  body: Uint8Array | undefined;
  /** The body as a strict reader of JSON reads it; undefined where it is none. */
  value: unknown;
  /** The one member of the body that was tampered with. */
  spoiledMember: string | undefined;
}

/** Ids that exist, by the name of the parameter or member that takes one. */
export type KnownIds = (name: string, operation: Operation) => readonly string[];

const JSON_TYPE = 'application/json';
const TYPES = [
  JSON_TYPE,
  'application/json; charset=utf-8',
  'APPLICATION/JSON',
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'application/xml',
  'json',
  ';',
];

/** A URL takes no lone surrogate, and an empty segment is another path. */
const inPath = (text: string): string => encodeURIComponent(text.toWellFormed().slice(0, 600)) || '%20';
/** What a header of fetch can carry. */
const inHeader = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?').slice(0, 400);

function pathParameter(name: string, schema: Schema, known: readonly string[]): Arbitrary<string> {
  const strange = nastyText.map(inPath);
  const fits = fitting(schema).map(String).map(inPath);
  const cases = [
    { weight: 2, arbitrary: strange },
    { weight: 1, arbitrary: fits },
    { weight: 1, arbitrary: fc.constantFrom(`${name}%`, '%', '%zz', '%e0%a4', '..%2f..', '%00', 'adjust', 'initiate') },
  ];
  return known.length === 0
    ? fc.oneof(...cases)
    : fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...known) }, ...cases);
}

function queryOf(operation: Operation): Arbitrary<string> {
  const parameters = operation.parameters.filter((parameter) => parameter.in === 'query');
  const pairs = parameters.map(({ name, schema }) =>
    fc.oneof(fitting(schema).map(String), nastyText).map((value) => `${name}=${inPath(value)}`),
  );
  const extra = fc.constantFrom('x=1', '__proto__=1', '=', '&&', '%', 'limit=1&limit=many', 'a=%ff');
  return fc
    .subarray([...pairs, extra])
    .chain((some) => fc.tuple(...some).map((all) => (all.length === 0 ? '' : `?${all.join('&')}`)));
}

/** Puts ids that exist where the body names one, down to its items. */
function withKnown(value: unknown, pick: (name: string) => string | undefined): unknown {
  if (Array.isArray(value)) return value.map((one) => withKnown(one, pick));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      (typeof member === 'string' ? pick(name) : undefined) ?? withKnown(member, pick),
    ]),
  );
}

interface Body {
  bytes: Uint8Array | undefined;
  value: unknown;
  member: string | undefined;
}

const encoder = new TextEncoder();

/** What a strict reader makes of the bytes; undefined where they are no JSON. */
function readJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

const ofBytes = (bytes: Uint8Array): Body => ({ bytes, value: readJson(bytes), member: undefined });
const ofText = (text: string): Body => ofBytes(encoder.encode(text));

/** What is no JSON, or JSON that readers disagree about, around an object that fits. */
function brokenText(fits: string): Arbitrary<Body> {
  const inner = fits.startsWith('{') ? fits.slice(1) : '}';
  const texts = [
    '',
    fits.slice(0, -1),
    `${fits}${fits}`,
    `\ufeff${fits}`,
    `{"sku":"twice","quantity":1,"__proto__":{"quantity":9},${inner}`,
    `{"__proto__":{"role":"ADMIN"},"constructor":{"prototype":{"sku":"x"}},${inner}`,
    `{"n\\u0000ote":"x",${inner}`,
    `{"note":"\\ud800",${inner}`,
    `{"note":1e999,"more":-1e999,${inner}`,
    `{"note":${'9'.repeat(5_000)},${inner}`,
    `{"note":${'['.repeat(9_000)}${']'.repeat(9_000)},${inner}`,
    '['.repeat(60_000),
    '{"a":'.repeat(10_000),
    `{"note":"${'x'.repeat(66_000)}",${inner}`,
    `/* comment */ ${fits}`,
    "{'sku':'x'}",
    'NaN',
    'undefined',
  ].map(ofText);
  const badUtf8 = Uint8Array.from([...encoder.encode('{"note":"'), 0xff, 0xc0, 0xaf, ...encoder.encode(`",${inner}`)]);
  const utf16 = new Uint8Array(Buffer.from(fits, 'utf16le'));
  const bytes = [badUtf8, utf16, new Uint8Array(10)].map(ofBytes);
  return fc.constantFrom(...texts, ...bytes);
}

function bodyOf(operation: Operation, known: KnownIds): Arbitrary<Body> {
  const none: Body = { bytes: undefined, value: undefined, member: undefined };
  if (operation.method === 'GET') return fc.constant(none);
  const anyBytes = fc.uint8Array({ maxLength: 200 }).map(ofBytes);
  if (operation.takesBytes)
    return fc.oneof(
      anyBytes,
      nasty.map((value) => ofText(JSON.stringify(value) ?? '')),
    );
  if (operation.body === undefined) return fc.oneof({ weight: 4, arbitrary: fc.constant(none) }, anyBytes);
  const schema = operation.body;
  const known1 = fc.integer({ min: 0, max: 1_000 }).map((n) => (name: string) => {
    const ids = known(name, operation);
    return n % 4 === 3 ? undefined : ids[n % Math.max(1, ids.length)];
  });
  const fits = fc.tuple(fitting(schema), known1).map(([value, pick]) => withKnown(value, pick));
  const asJson = (value: unknown, member?: string): Body => ({
    bytes: encoder.encode(JSON.stringify(value)),
    value,
    member,
  });
  return fc.oneof(
    { weight: 6, arbitrary: fits.map((value) => asJson(value)) },
    {
      weight: 6,
      arbitrary: fc
        .tuple(spoiled(schema), known1)
        // Only of what is still as it was: the spoiled member must stay spoiled.
        .map(([{ value, member }, pick]) =>
          asJson(
            withKnown(value, (name) => (name === member ? undefined : pick(name))),
            member,
          ),
        ),
    },
    { weight: 1, arbitrary: fc.tuple(fits, nasty).map(([value, extra]) => asJson({ ...(value as object), extra })) },
    { weight: 2, arbitrary: nasty.map((value) => ofText(JSON.stringify(value) ?? '')) },
    { weight: 3, arbitrary: fits.chain((value) => brokenText(JSON.stringify(value))) },
    { weight: 1, arbitrary: fc.constant(none) },
  );
}

function headersOf(operation: Operation): Arbitrary<Record<string, string>> {
  const keys = operation.parameters.filter(({ in: where }) => where === 'header');
  const own = keys.map(({ name, schema }) =>
    fc
      .oneof({ weight: 3, arbitrary: fitting(schema).map(String) }, { weight: 1, arbitrary: nastyText })
      .map((value) => [name, inHeader(value)] as const),
  );
  const id = fc.oneof(fc.constant('fuzz-1'), nastyText).map((value) => ['x-request-id', inHeader(value)] as const);
  return fc
    .subarray([...own, id])
    .chain((some): Arbitrary<(readonly [string, string])[]> => fc.tuple(...some))
    .map((pairs) => Object.fromEntries(pairs));
}

const wantedBy = ({ access }: Operation): FuzzRole =>
  access === 'internal' ? 'INTERNAL' : access === 'admin' ? 'ADMIN' : 'USER';

/** What the operation is there for, asked by whom it is there for, about things that exist. */
export function plainRequestsTo(operation: Operation, known: KnownIds): Arbitrary<FuzzRequest> {
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => known(name, operation)[0] ?? 'none');
  const pick = (name: string): string | undefined => known(name, operation)[0];
  return fitting(operation.body ?? { const: undefined }).map((made) => {
    const value = operation.body === undefined ? undefined : withKnown(made, pick);
    const body = value === undefined ? undefined : encoder.encode(JSON.stringify(value));
    const headers: Record<string, string> = body === undefined ? {} : { 'content-type': JSON_TYPE };
    return { operation, path, role: wantedBy(operation), headers, body, value, spoiledMember: undefined };
  });
}

export function requestsTo(operation: Operation, known: KnownIds): Arbitrary<FuzzRequest> {
  const inOrder = operation.parameters.filter((parameter) => parameter.in === 'path');
  const filled = inOrder.map(({ name, schema }) => pathParameter(name, schema, known(name, operation)));
  const role = fc.oneof(
    { weight: 6, arbitrary: fc.constant(wantedBy(operation)) },
    { weight: 3, arbitrary: fc.constantFrom(...ROLES) },
  );
  const type = fc.oneof(
    { weight: 8, arbitrary: fc.constant(JSON_TYPE) },
    { weight: 1, arbitrary: fc.constantFrom(...TYPES) },
  );
  return fc
    .tuple(fc.tuple(...filled), queryOf(operation), role, headersOf(operation), bodyOf(operation, known), type)
    .map(([values, query, who, headers, { bytes, value, member }, contentType]) => {
      let at = 0;
      return {
        operation,
        path: operation.path.replace(/\{\w+\}/g, () => values[at++] ?? '') + query,
        role: who,
        headers: bytes === undefined ? headers : { ...headers, 'content-type': contentType },
        body: bytes,
        value,
        spoiledMember: member,
      };
    });
}
