// Values made from a JSON Schema, as the served OpenAPI document has it: such as fit, such as stand at the edge, and such
// as nobody should send. Knows nothing of HTTP; what is done with a value is its user's business.
import fc, { type Arbitrary } from 'fast-check';

/** The part of JSON Schema that our documents use. */
export interface Schema {
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  pattern?: string;
  format?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
}

/** Values that other programs have stumbled over, of every JSON type. */
const NASTY: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -0,
  -1,
  0.1,
  1e308,
  -1e308,
  Number.MAX_SAFE_INTEGER,
  Number.MAX_SAFE_INTEGER + 2,
  -(2 ** 31) - 1,
  2 ** 63,
  '',
  ' ',
  '0',
  '-1',
  '1e9',
  'true',
  'null',
  'NaN',
  '\0',
  'a\0b',
  '\ud800',
  'x\udfffy',
  '\u202eevil\u202c',
  'e\u0301\u0301\u0301',
  '\u200d\u{1f468}\u200d\u{1f469}',
  'ﷺ'.repeat(100),
  '{p0}:fence',
  'db:{p0}:fence',
  '__proto__',
  'constructor',
  '../../etc/passwd',
  '%00',
  "'; DROP TABLE purchases; --",
  '${7*7}',
  '\r\nX-Injected: 1',
  'A'.repeat(65),
  'A'.repeat(40_000),
  '9'.repeat(400),
  '2026-02-30T25:61:61Z',
  '0000-01-01T00:00:00Z',
  '9999-12-31T23:59:59.999Z',
  [],
  [[]],
  [null],
  {},
  { length: 1 },
  { toString: 1 },
  { $gt: '' },
];

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i += 1) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

export const nasty: Arbitrary<unknown> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...NASTY) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 300 }) },
  { weight: 1, arbitrary: fc.double() },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 4 }) },
  { weight: 1, arbitrary: fc.constantFrom(20, 2_000).map(nested) },
);

/** Something nasty as text: for paths, queries and headers. */
export const nastyText: Arbitrary<string> = nasty.map((value) =>
  typeof value === 'string' ? value : (JSON.stringify(value) ?? ''),
);

function strings(schema: Schema): Arbitrary<string> {
  // A date before the format's pattern: the pattern of an instant has more leap years in it than sense.
  if (schema.format === 'date-time') {
    const noLaterThan = new Date('2200-01-01T00:00:00Z');
    return fc.date({ min: new Date(1), max: noLaterThan, noInvalidDate: true }).map((date) => date.toISOString());
  }
  if (schema.pattern !== undefined) {
    const shape = new RegExp(schema.pattern, 'u');
    const { minLength = 0, maxLength = 255 } = schema;
    const isRight = (text: string): boolean => shape.test(text) && text.length >= minLength && text.length <= maxLength;
    // Classes of Unicode characters are more than the generator knows.
    const source = schema.pattern.includes('\\p{')
      ? fc.string({ unit: 'grapheme', maxLength: 20 })
      : fc.stringMatching(shape);
    return source.filter(isRight);
  }
  const { minLength = 0, maxLength = 300 } = schema;
  return fc.oneof(
    fc.string({ unit: 'grapheme-ascii', minLength, maxLength: Math.min(maxLength, minLength + 20) }),
    fc.constantFrom(minLength, maxLength).map((length) => 'x'.repeat(length)),
  );
}

function numbers({ minimum = -1e9, maximum = 1e9 }: Schema, isInteger: boolean): Arbitrary<number> {
  const edges = [minimum, maximum];
  if (isInteger) {
    // Small ones most of the time: they are what finds stock.
    const small = fc.integer({ min: Math.max(minimum, -3), max: Math.min(maximum, Math.max(minimum, 3)) });
    return fc.oneof(
      { weight: 5, arbitrary: small },
      { weight: 1, arbitrary: fc.maxSafeInteger().map((n) => Math.min(maximum, Math.max(minimum, n))) },
      { weight: 1, arbitrary: fc.constantFrom(...edges) },
    );
  }
  const cents = fc.integer({ min: Math.ceil(minimum), max: Math.floor(Math.min(maximum, 10_000)) });
  return fc.oneof({ weight: 5, arbitrary: cents }, { weight: 1, arbitrary: fc.constantFrom(...edges) });
}

function objects(schema: Schema): Arbitrary<Record<string, unknown>> {
  const members = Object.entries(schema.properties ?? {}).map(([name, member]) => [name, fitting(member)] as const);
  return fc.record(Object.fromEntries(members), { requiredKeys: schema.required ?? [] });
}

/** Values that the schema allows, its edges among them. */
export function fitting(schema: Schema): Arbitrary<unknown> {
  if ('const' in schema) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const branches = schema.anyOf ?? schema.oneOf;
  if (branches !== undefined) return fc.oneof(...branches.map(fitting));
  switch (Array.isArray(schema.type) ? schema.type[0] : schema.type) {
    case 'string':
      return strings(schema);
    case 'integer':
      return numbers(schema, true);
    case 'number':
      return numbers(schema, false);
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array': {
      const { minItems = 0, items = {} } = schema;
      return fc.array(fitting(items), { minLength: minItems, maxLength: Math.max(minItems, 3) });
    }
    case 'object':
      return objects(schema);
    default:
      return fc.jsonValue({ maxDepth: 2 });
  }
}

/** A value that fits but for one member, which is named. Of what is no object, something nasty. */
export function spoiled(schema: Schema): Arbitrary<{ value: unknown; member: string | undefined }> {
  const names = Object.keys(schema.properties ?? {});
  if (names.length === 0) return nasty.map((value) => ({ value, member: undefined }));
  const bad = fc.option(nasty, { freq: 5, nil: undefined });
  // Undefined leaves no trace in JSON: the member is then simply missing.
  return fc
    .tuple(objects(schema), fc.constantFrom(...names), bad)
    .map(([value, member, instead]) => ({ value: { ...value, [member]: instead }, member }));
}
