// The headers that tell browsers what not to do, made once into bytes: each header that is written costs a call into
// uWebSockets.js, and these are the same on every answer. What they allow is decided here and nowhere else.

/**
 * Tokens travel in a header and no cookie is ever set, so any origin may call: a page can only use what it was given, and
 * to refuse its origin would stop nobody but browsers.
 */
const CORS: readonly (readonly [string, string])[] = [
  ['access-control-allow-origin', '*'],
  ['access-control-expose-headers', 'Location, Retry-After, X-Request-Id, Allow'],
  // Another site may read by CORS, as above; nothing of ours needs to be embedded without asking.
  ['cross-origin-resource-policy', 'cross-origin'],
];

/** Browsers take no notice of it outside TLS, so it is safe to say it always: a proxy that ends TLS hands it on. */
const STRICT_TRANSPORT: readonly [string, string] = ['strict-transport-security', 'max-age=31536000'];

/** Every answer may be somebody's own: live counts, purchases, payments. None is kept by anybody on the way. */
const ALWAYS: readonly (readonly [string, string])[] = [
  ['cache-control', 'no-store'],
  ['x-content-type-options', 'nosniff'],
  ['referrer-policy', 'no-referrer'],
  ['x-frame-options', 'DENY'],
  STRICT_TRANSPORT,
];

/** An answer of the API is data: whoever is brought to open it as a page gets nothing that runs, loads or is framed. */
const API_POLICY: readonly [string, string] = [
  'content-security-policy',
  "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
];

/** One name and one value whose text is all of them: uWebSockets.js writes `name: value\r\n` as it gets it. */
function toBlock(headers: readonly (readonly [string, string])[]): [name: string, value: string] {
  const [[name, value] = ['', ''], ...rest] = headers;
  return [name, [value, ...rest.map((header) => header.join(': '))].join('\r\n')];
}

export const API_HEADERS: readonly [name: string, value: string] = toBlock([...CORS, ...ALWAYS, API_POLICY]);

/** For a document of our own: its policy says what it needs. */
export function pageHeaders(contentPolicy: string): [name: string, value: string] {
  return toBlock([
    ...ALWAYS,
    ['content-security-policy', contentPolicy],
    ['cross-origin-opener-policy', 'same-origin'],
    ['cross-origin-resource-policy', 'same-origin'],
    ['permissions-policy', 'camera=(), microphone=(), geolocation=()'],
  ]);
}
