// What the server hands to dispatch and gets back: requests and answers without a socket, so that dispatch runs in tests.
import type { Route, RequestContext } from '../shop/route.ts';

/** The head of a request. `header` may be called only until `begin` returns: uWebSockets.js forgets it then. */
export interface Arrival {
  method: string;
  path: string;
  query: string;
  address: string;
  header(lowerCaseName: string): string;
}

export interface Answer {
  status: number;
  headers: [name: string, value: string][];
  /** Empty for none. */
  body: string;
}

/** A request that was let in and waits for its body. */
export interface Admitted {
  kind: 'admitted';
  route: Route;
  params: Record<string, string>;
  query: string;
  context: RequestContext;
  hasBody: boolean;
  startedAt: number;
}

export type Begun = Admitted | { kind: 'answered'; answer: Answer };
