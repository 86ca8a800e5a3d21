// Between uWebSockets.js' request and response, which only api/server.ts names, and ours: copies the head of the one,
// writes the other.
import { STATUS_CODES } from 'node:http';
import { BODY_LIMIT_BYTES } from '../core/constants.ts';
import type { Answer, Arrival } from './arrival.ts';
import type { AddressReader } from './client-address.ts';

interface Request {
  getCaseSensitiveMethod(): string;
  getUrl(): string;
  getQuery(): string;
  getHeader(lowerCaseName: string): string;
  forEach(see: (lowerCaseName: string, value: string) => void): void;
}

export interface Response {
  getRemoteAddressAsText(): ArrayBuffer;
  cork(write: () => void): unknown;
  writeStatus(status: string): unknown;
  writeHeader(name: string, value: string): unknown;
  end(body: string, closeConnection: boolean): unknown;
  endWithoutBody(): unknown;
  onAborted(handler: () => void): unknown;
}

function textOf(bytes: ArrayBuffer): string {
  return Buffer.from(bytes).toString('latin1');
}

/** `getHeader` tells the first line of a name only, and a proxy may write one of its own below the client's. */
function forwardedFor(req: Request): string {
  const lines: string[] = [];
  req.forEach((name, value) => {
    if (name === 'x-forwarded-for') lines.push(value);
  });
  return lines.join(',');
}

/** Headers that say where the next request begins: two that differ are a request hidden in another (smuggling). */
const FRAMING: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding']);

/** All differing values together, so that nobody takes the first for the only one. */
function framing(req: Request, name: string): string {
  const first = req.getHeader(name);
  if (first === '') return first;
  let all = first;
  req.forEach((other, value) => {
    if (other === name && value !== first) all += `, ${value}`;
  });
  return all;
}

export function toArrival(res: Response, req: Request, addressOf: AddressReader): Arrival {
  return {
    method: req.getCaseSensitiveMethod(),
    path: req.getUrl(),
    query: req.getQuery(),
    // Only where it is asked for: whoever has a token is known by it.
    get address() {
      return addressOf(textOf(res.getRemoteAddressAsText()), () => forwardedFor(req));
    },
    header: (name) => (FRAMING.has(name) ? framing(req, name) : req.getHeader(name)),
  };
}

/** A small body is skipped over, so that the connection goes on; one that is large, endless or of unclear length ends it. */
export function isBodyLarge(arrival: Pick<Arrival, 'header'>): boolean {
  return !(Number(arrival.header('content-length')) <= BODY_LIMIT_BYTES) || arrival.header('transfer-encoding') !== '';
}

const CLOSE = ['connection', 'close'] as const;
const statusLines = new Map<number, string>();

function statusLine(status: number): string {
  let line = statusLines.get(status);
  if (line === undefined) {
    line = `${status} ${STATUS_CODES[status] ?? ''}`;
    statusLines.set(status, line);
  }
  return line;
}

/** All of them in one call: each call into uWebSockets.js costs more than its bytes, and it writes `name: value\r\n` as it gets it. */
function writeHeaders(res: Response, headers: Answer['headers'], mustClose: boolean): void {
  const [first, ...rest] = mustClose ? [...headers, CLOSE] : headers;
  if (first === undefined) return;
  let block = first[1];
  for (const [name, value] of rest) block += `\r\n${name}: ${value}`;
  res.writeHeader(first[0], block);
}

export function write(res: Response, answer: Answer, isHead: boolean, isLast: boolean): void {
  // Whoever still sends what nobody will read is not listened to any longer.
  const mustClose = answer.status === 413 || answer.status === 408 || isLast;
  res.cork(() => {
    res.writeStatus(statusLine(answer.status));
    writeHeaders(res, answer.headers, mustClose);
    if (isHead) {
      // Its own parameter for the length leaves the connection waiting for that many bytes.
      res.writeHeader('content-length', String(Buffer.byteLength(answer.body)));
      res.endWithoutBody();
    } else if (answer.body === '' && !mustClose) res.endWithoutBody();
    else res.end(answer.body, mustClose);
  });
}
