// The one catalogue of error codes, and the one class that carries them from where a fault is found to the door.
// An expected outcome of the domain is a value, not one of these; a door catches CodedError once and shapes the answer.
// Codes are part of the API: add freely, never rename.

export const ERRORS = {
  BAD_REQUEST: { status: 400, title: 'The request cannot be understood' },
  INVALID_JSON: { status: 400, title: 'The body is not valid JSON' },
  WEBHOOK_SIGNATURE: { status: 400, title: 'The webhook is not signed by the provider, or too old' },
  UNAUTHENTICATED: { status: 401, title: 'A valid access token is needed' },
  TOKEN_EXPIRED: { status: 401, title: 'The access token has expired' },
  FORBIDDEN: { status: 403, title: 'This role may not do that' },
  NOT_FOUND: { status: 404, title: 'There is no such thing' },
  SALE_NOT_FOUND: { status: 404, title: 'There is no such sale' },
  SKU_NOT_FOUND: { status: 404, title: 'There is no such SKU' },
  PURCHASE_NOT_FOUND: { status: 404, title: 'There is no such purchase' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'The path exists, the method does not' },
  REQUEST_TIMEOUT: { status: 408, title: 'The request did not arrive in time' },
  CONFLICT: { status: 409, title: 'It contradicts what is there' },
  SOLD_OUT: { status: 409, title: 'Every unit is sold' },
  LINE_FULL: { status: 409, title: 'The line is full at the moment' },
  LIMIT_EXCEEDED: { status: 409, title: 'The limit per buyer is reached' },
  SALE_PAUSED: { status: 409, title: 'The sale is paused' },
  SALE_CLOSED: { status: 409, title: 'The sale is closed' },
  ILLEGAL_TRANSITION: { status: 409, title: 'Its present state does not allow that' },
  SKU_IN_ANOTHER_SALE: { status: 409, title: 'The SKU is in another sale that is not closed' },
  ADJUST_BELOW_COMMITTED: { status: 409, title: 'Stock cannot go below what is held and sold' },
  INSUFFICIENT_STOCK: { status: 409, title: 'There is not enough stock' },
  BODY_TOO_LARGE: { status: 413, title: 'The body is too large' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'The body must be application/json' },
  VALIDATION_FAILED: { status: 422, title: 'Some fields are not valid' },
  KEY_REUSED: { status: 422, title: 'The idempotency key was used for another request' },
  RATE_LIMITED: { status: 429, title: 'Too many requests' },
  HEADERS_TOO_LARGE: { status: 431, title: 'The headers are too large' },
  INTERNAL: { status: 500, title: 'Something is broken on this side' },
  OVERLOADED: { status: 503, title: 'Too many requests are waiting' },
  OUTCOME_UNKNOWN: { status: 503, title: 'It may or may not have happened; ask again with the same key' },
  FENCED: { status: 503, title: 'The stock is being recovered' },
  BACKLOG_FULL: { status: 503, title: 'Too many orders wait to be written' },
  LOW_MEMORY: { status: 503, title: 'The stock store is short of memory' },
  UNAVAILABLE: { status: 503, title: 'A part that is needed cannot be reached; nothing was done' },
  SHUTTING_DOWN: { status: 503, title: 'This process is going down' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ErrorCode = keyof typeof ERRORS;

export interface FieldError {
  field: string;
  message: string;
}

export interface FaultOptions {
  fields?: readonly FieldError[] | undefined;
  retryAfterSeconds?: number | undefined;
  /** Members that the answer carries beside the usual ones, such as a live `purchaseId`. */
  members?: Readonly<Record<string, unknown>> | undefined;
  cause?: unknown;
}

export class CodedError extends Error {
  override readonly name = 'CodedError';
  readonly code: ErrorCode;
  readonly status: number;
  readonly detail: string;
  readonly fields: readonly FieldError[] | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly members: Readonly<Record<string, unknown>> | undefined;

  constructor(code: ErrorCode, detail?: string, options: FaultOptions = {}) {
    const known = ERRORS[code];
    super(`${code}: ${detail ?? known.title}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = known.status;
    this.detail = detail ?? known.title;
    this.fields = options.fields;
    this.members = options.members;
    // Every 429 and 503 must tell the client when to come back.
    const isLater = known.status === 429 || known.status === 503;
    this.retryAfterSeconds = options.retryAfterSeconds ?? (isLater ? 1 : undefined);
  }
}

export function fault(code: ErrorCode, detail?: string, options?: FaultOptions): CodedError {
  return new CodedError(code, detail, options);
}

export function hasCode(error: unknown, ...codes: readonly ErrorCode[]): error is CodedError {
  return error instanceof CodedError && codes.includes(error.code);
}

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
