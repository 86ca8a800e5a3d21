// Between uWebSockets.js' request and response, which only api/server.ts names, and ours: copies the head of the one,
// writes the other. Whatever crosses over costs: few calls, and bytes that were made before.
import { STATUS_CODES } from 'node:http';
import { BODY_LIMIT_BYTES } from '../core/constants.ts';
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

interface Lines {
  readonly names: string[];
  readonly values: string[];
}

/** Those that are being read: one function for all requests, instead of one for each. */
let reading: Lines = { names: [], values: [] };

function note(name: string, value: string): void {
  reading.names.push(name);
  reading.values.push(value);
}

function readLines(req: Request): Lines {
  reading = { names: [], values: [] };
  req.forEach(note);
  return reading;
}

class HttpArrival implements Arrival {
  readonly method: string;
  readonly path: string;
  private readonly res: Response;
  private readonly req: Request;
  private readonly addressOf: AddressReader;
  /** All of them, once they are read: each look into uWebSockets.js costs more than a comparison here. */
  private lines: Lines | undefined;

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
    if (this.lines === undefined && BODILESS.has(this.method)) {
      const first = this.req.getHeader(name);
      if (first === '' || !FRAMING.has(name)) return first;
    }
    const { names, values } = (this.lines ??= readLines(this.req));
    const at = names.indexOf(name);
    if (at < 0) return '';
    const first = values[at] ?? '';
    if (!FRAMING.has(name) || names.indexOf(name, at + 1) < 0) return first;
    // All differing values together, so that nobody takes the first for the only one.
    return values.filter((value, i) => names[i] === name && (i === at || value !== first)).join(', ');
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

const CLOSE: Answer['headers'][number] = ['connection', 'close'];

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

/** All of them in one call: each call into uWebSockets.js costs more than its bytes, and it writes `name: value\r\n` as it gets it. */
function writeHeaders(res: Response, headers: Answer['headers'], mustClose: boolean): void {
  const [first] = headers;
  if (first === undefined) {
    if (mustClose) res.writeHeader(CLOSE[0], CLOSE[1]);
    return;
  }
  let block = first[1];
  for (let i = 1; i < headers.length; i += 1) block += `\r\n${headers[i]?.[0]}: ${headers[i]?.[1]}`;
  if (mustClose) block += `\r\n${CLOSE[0]}: ${CLOSE[1]}`;
  res.writeHeader(first[0], block);
}

/** Within a call of uWebSockets.js about this very request: it has corked the socket, and sends all of it in one piece. */
export function writeCorked(res: Response, answer: Answer, isHead: boolean, isLast: boolean): void {
  // Whoever still sends what nobody will read is not listened to any longer.
  const mustClose = answer.status === 413 || answer.status === 408 || isLast;
  res.writeStatus(headOf(answer.status, answer.isApi));
  writeHeaders(res, answer.headers, mustClose);
  if (isHead) {
    // Its own parameter for the length leaves the connection waiting for that many bytes.
    res.writeHeader('content-length', String(Buffer.byteLength(answer.body)));
    res.endWithoutBody();
  } else if (answer.body === '' && !mustClose) res.endWithoutBody();
  else res.end(answer.body, mustClose);
}

/** At any other time. */
export function write(res: Response, answer: Answer, isHead: boolean, isLast: boolean): void {
  res.cork(() => writeCorked(res, answer, isHead, isLast));
}
