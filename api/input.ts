// Reads what a client sent: JSON, query and schema, each failure a 4xx that names what is wrong and where.
import { isUtf8 } from 'node:buffer';
import type { ZodType } from 'zod';
import { CodedError, fault } from '../core/errors.ts';

/** `items[0].stock`, as a client would write it. */
function fieldName(path: readonly PropertyKey[], fallback: string): string {
  let name = '';
  for (const part of path) name += typeof part === 'number' ? `[${part}]` : `${name === '' ? '' : '.'}${String(part)}`;
  return name === '' ? fallback : name;
}

/** Enough to correct a form, and no invitation to make us list a thousand. */
const MAX_FIELDS = 20;

/** `whole` names the thing itself when the fault is in no single field: 'body' or 'query'. */
export function validate(schema: ZodType, value: unknown, whole: string): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const fields = result.error.issues.slice(0, MAX_FIELDS).map((issue) => ({
    field: fieldName(issue.path, whole),
    message: issue.message,
  }));
  const names = [...new Set(fields.map((field) => field.field))].join(', ');
  throw fault('VALIDATION_FAILED', `not valid: ${names}`, { fields });
}

const NUL_ESCAPE = '\\u0000';

/** Postgres cannot store NUL in text, so it ends here, whatever field it is in. */
function refuseNul(field: string, value: unknown): unknown {
  if (!field.includes('\0') && !(typeof value === 'string' && value.includes('\0'))) return value;
  const fields = [{ field: field.replaceAll('\0', ''), message: 'must not contain NUL' }];
  throw fault('INVALID_JSON', 'the body contains a NUL character', { fields });
}

export function parseJson(bytes: Buffer): unknown {
  const text = bytes.toString('utf8');
  // What is no UTF-8 was read as U+FFFD: stored, it would be another text than the one that was sent.
  if (text.includes('\ufffd') && !isUtf8(bytes)) throw fault('INVALID_JSON', 'the body is not UTF-8');
  try {
    return JSON.parse(text, text.includes(NUL_ESCAPE) ? refuseNul : undefined);
  } catch (error) {
    if (error instanceof CodedError) throw error;
    throw fault('INVALID_JSON', 'the body is not valid JSON', { cause: error });
  }
}

export function parseQuery(query: string): Record<string, string> {
  const values: Record<string, string> = Object.create(null);
  if (query === '') return values;
  for (const [name, value] of new URLSearchParams(query)) {
    if (value.includes('\0')) {
      const fields = [{ field: name, message: 'must not contain NUL' }];
      throw fault('BAD_REQUEST', 'the query contains a NUL character', { fields });
    }
    values[name] = value;
  }
  return values;
}

/** A missing type is read as JSON; `curl -d` without -H sends a form's type, and is told so. */
export function isJsonType(contentType: string): boolean {
  if (contentType === '' || contentType === 'application/json') return true;
  const end = contentType.indexOf(';');
  const type = (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
  return type === 'application/json' || type.endsWith('+json');
}

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;
const REQUEST_ID = /^[\w.-]{1,64}$/;

export function readIdempotencyKey(header: string): string | undefined {
  if (header === '') return undefined;
  if (IDEMPOTENCY_KEY.test(header)) return header;
  throw fault('BAD_REQUEST', 'Idempotency-Key must be 1 to 255 visible ASCII characters', {
    fields: [{ field: 'Idempotency-Key', message: 'must be 1 to 255 visible ASCII characters' }],
  });
}

/** The client's own request id, when it is harmless in a log. */
export function readRequestId(header: string): string | undefined {
  return REQUEST_ID.test(header) ? header : undefined;
}
