// Between uWebSockets.js' request and response, which only api/server.ts names, and ours: copies the head of the one,
// writes the other.
import { STATUS_CODES } from 'node:http';
import { BODY_LIMIT_BYTES } from '../core/constants.ts';
import type { Answer, Arrival } from './arrival.ts';

interface Request {
  getCaseSensitiveMethod(): string;
  getUrl(): string;
  getQuery(): string;
  getHeader(lowerCaseName: string): string;
}

interface Response {
  getRemoteAddressAsText(): ArrayBuffer;
  cork(write: () => void): unknown;
  writeStatus(status: string): unknown;
  writeHeader(name: string, value: string): unknown;
  end(body: string, closeConnection: boolean): unknown;
  endWithoutBody(): unknown;
}

function textOf(bytes: ArrayBuffer): string {
  return Buffer.from(bytes).toString('latin1');
}

export function toArrival(res: Response, req: Request): Arrival {
  return {
    method: req.getCaseSensitiveMethod(),
    path: req.getUrl(),
    query: req.getQuery(),
    address: textOf(res.getRemoteAddressAsText()),
    header: (name) => req.getHeader(name),
  };
}

/** A small body is skipped over, so that the connection goes on; a large or endless one ends it. */
export function isBodyLarge(arrival: Arrival): boolean {
  return Number(arrival.header('content-length')) > BODY_LIMIT_BYTES || arrival.header('transfer-encoding') !== '';
}

export function write(res: Response, answer: Answer, isHead: boolean, isLast: boolean): void {
  // Whoever still sends what nobody will read is not listened to any longer.
  const mustClose = answer.status === 413 || answer.status === 408 || isLast;
  res.cork(() => {
    res.writeStatus(`${answer.status} ${STATUS_CODES[answer.status] ?? ''}`);
    for (const [name, value] of answer.headers) res.writeHeader(name, value);
    if (mustClose) res.writeHeader('connection', 'close');
    if (isHead) {
      // Its own parameter for the length leaves the connection waiting for that many bytes.
      res.writeHeader('content-length', String(Buffer.byteLength(answer.body)));
      res.endWithoutBody();
    } else if (answer.body === '' && !mustClose) res.endWithoutBody();
    else res.end(answer.body, mustClose);
  });
}
