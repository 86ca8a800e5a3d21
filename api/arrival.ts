// What the server hands to dispatch and gets back: requests and answers without a socket, so that dispatch runs in tests.
import type { Access, Route, RouteRequest } from '../shop/route.ts';

/** The head of a request. `header` and `address` may be asked only until `begin` returns: uWebSockets.js forgets it then. */
export interface Arrival {
  method: string;
  path: string;
  query: string;
  address: string;
  header(lowerCaseName: string): string;
}

export interface Answer {
  status: number;
  /** Whether the headers of every answer of the API (security-headers.ts) go before its own. */
  isApi: boolean;
  requestId: string;
  /** Headers beside the request's id, as they are written: `\r\nname: value` each. */
  lines: string;
  /** Empty for none. */
  body: string;
}

/** What a handler is given, before the body was read. */
export type Unread = RouteRequest<Access, unknown, unknown, unknown>;

/** A request that was let in and waits for its body. */
export interface Admitted {
  kind: 'admitted';
  route: Route;
  params: Readonly<Record<string, string>>;
  query: string;
  /** Becomes the handler's request when the body is here. */
  request: Unread;
  hasBody: boolean;
  startedAt: number;
}

export type Begun = Admitted | { kind: 'answered'; answer: Answer };
