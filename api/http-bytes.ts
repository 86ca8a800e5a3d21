// Between uWebSockets.js' request and response, which only api/server.ts names, and ours: copies the head of the one,
// writes the other. Whatever crosses over costs: few calls, and bytes that were made before.
import { STATUS_CODES } from 'node:http';
import { BODY_LIMIT_BYTES } from '../core/constants.ts';
import { headerLine } from './answers.ts';
import type { Answer, Arrival } from './arrival.ts';
import type { AddressReader } from './client-address.ts';
import { API_HEADERS } from './security-headers.ts';

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
  writeStatus(status: ArrayBuffer): unknown;
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
/** What has no body as a rule: asked for a few headers, of which a browser sends twenty. */
const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS']);

/**
 * The headers of the request that is being read. One pair of lists for all of them: a request may be asked only until the call
 * that brought it returns, and to make two lists for each is a tenth of what a request leaves to the collector.
 */
const names: string[] = [];
const values: string[] = [];
let count = 0;
let reading: unknown;

function note(name: string, value: string): void {
  names[count] = name;
  values[count] = value;
  count += 1;
}

/** Where the name stands, from a place on; -1 for nowhere. Behind `count` are those of an earlier request. */
function placeOf(name: string, from: number): number {
  // The length first: most differ in it, and to compare texts is a call.
  for (let i = from; i < count; i += 1) if (names[i]?.length === name.length && names[i] === name) return i;
  return -1;
}

function readLines(arrival: unknown, req: Request): void {
  if (reading === arrival) return;
  count = 0;
  reading = arrival;
  req.forEach(note);
}

class HttpArrival implements Arrival {
  readonly method: string;
  readonly path: string;
  private readonly res: Response;
  private readonly req: Request;
  private readonly addressOf: AddressReader;
  /** Whether all were read: each look into uWebSockets.js costs more than a comparison here. */
  private hasRead = false;

  constructor(res: Response, req: Request, addressOf: AddressReader, method: string, path: string) {
    this.res = res;
    this.req = req;
    this.addressOf = addressOf;
    this.method = method;
    this.path = path;
  }

  get query(): string {
    return this.req.getQuery();
  }

  // Only where it is asked for: whoever has a token is known by it.
  get address(): string {
    return this.addressOf(textOf(this.res.getRemoteAddressAsText()), () => forwardedFor(this.req));
  }

  header(name: string): string {
    if (!this.hasRead && BODILESS.has(this.method)) {
      const first = this.req.getHeader(name);
      if (first === '' || !FRAMING.has(name)) return first;
    }
    this.hasRead = true;
    readLines(this, this.req);
    const at = placeOf(name, 0);
    if (at < 0) return '';
    const first = values[at] ?? '';
    if (!FRAMING.has(name) || placeOf(name, at + 1) < 0) return first;
    // All differing values together, so that nobody takes the first for the only one.
    const others = values.slice(0, count).filter((value, i) => names[i] === name && (i === at || value !== first));
    return others.join(', ');
  }
}

export function toArrival(
  res: Response,
  req: Request,
  addressOf: AddressReader,
  method = req.getCaseSensitiveMethod(),
  path = req.getUrl(),
): Arrival {
  return new HttpArrival(res, req, addressOf, method, path);
}

/** A small body is skipped over, so that the connection goes on; one that is large, endless or of unclear length ends it. */
export function isBodyLarge(arrival: Pick<Arrival, 'header'>): boolean {
  return !(Number(arrival.header('content-length')) <= BODY_LIMIT_BYTES) || arrival.header('transfer-encoding') !== '';
}

const CLOSE = headerLine('connection', 'close');

/** The status line, and behind it what every answer of the API says: bytes that are made once and handed over as they are. */
const heads = { bare: new Map<number, ArrayBuffer>(), api: new Map<number, ArrayBuffer>() };

function headOf(status: number, isApi: boolean): ArrayBuffer {
  const known = isApi ? heads.api : heads.bare;
  let head = known.get(status);
  if (head === undefined) {
    const line = `${status} ${STATUS_CODES[status] ?? ''}`;
    // uWebSockets.js writes the status as it gets it, and ends the line.
    const bytes = Buffer.from(isApi ? `${line}\r\n${API_HEADERS.join(': ')}` : line, 'latin1');
    head = new ArrayBuffer(bytes.length);
    new Uint8Array(head).set(bytes);
    known.set(status, head);
  }
  return head;
}

/** Within a call of uWebSockets.js about this very request: it has corked the socket, and sends all of it in one piece. */
export function writeCorked(res: Response, answer: Answer, isHead: boolean, isLast: boolean): void {
  // Whoever still sends what nobody will read is not listened to any longer.
  const mustClose = answer.status === 413 || answer.status === 408 || isLast;
  res.writeStatus(headOf(answer.status, answer.isApi));
  // All in one call: each call into uWebSockets.js costs more than its bytes, and it writes `name: value\r\n` as it gets it.
  const value = answer.requestId + answer.lines;
  res.writeHeader('x-request-id', mustClose ? value + CLOSE : value);
  if (isHead) {
    // Its own parameter for the length leaves the connection waiting for that many bytes.
    res.writeHeader('content-length', String(Buffer.byteLength(answer.body)));
    res.endWithoutBody();
  } else if (answer.body === '' && !mustClose) res.endWithoutBody();
  else res.end(answer.body, mustClose);
}

/** What is being written; one function for all answers, instead of one for each. */
let corked: { res: Response; answer: Answer; isHead: boolean; isLast: boolean } | undefined;

function writeNow(): void {
  if (corked !== undefined) writeCorked(corked.res, corked.answer, corked.isHead, corked.isLast);
  corked = undefined;
}

/** At any other time. */
export function write(res: Response, answer: Answer, isHead: boolean, isLast: boolean): void {
  corked = { res, answer, isHead, isLast };
  res.cork(writeNow);
}
