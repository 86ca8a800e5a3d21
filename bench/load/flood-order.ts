// What a flood is asked to do, and what it reports: the words between the bench and the process that sends.
import type { Latencies } from './tally.ts';

export interface FloodOrder {
  host: string;
  port: number;
  path: string;
  body: string;
  /** Access tokens; the requests go through them in turn. */
  tokens: readonly string[];
  perSecond: number;
  seconds: number;
  /** Opened one by one, as requests fall due and find none free. */
  maxConnections: number;
  /** Who found no connection for this long gives up. */
  patienceMs: number;
  /** Who got no answer for this long hangs up. */
  answerLimitMs: number;
}

export const TIMELINE_MS = 250;

export interface Moment {
  readonly sent: number;
  readonly accepted: number;
  readonly rejected: number;
}

export interface FloodResult {
  /** Requests that fell due. */
  readonly offered: number;
  readonly sent: number;
  /** Fell due and found no connection within their patience. */
  readonly neverSent: number;
  /** Sent, and no answer came: patience ran out, or the connection was closed. */
  readonly unanswered: number;
  /** Connections that the server closed, with a request on them or without. */
  readonly closed: number;
  readonly connections: number;
  readonly statuses: Readonly<Record<string, number>>;
  /** 429 and 503 that do not say when to come back. */
  readonly withoutRetryAfter: number;
  /** Of purchases that were accepted: from the moment they were due, waiting for a connection included. */
  readonly fromDue: Latencies;
  /** The same from the moment they were sent: what the servers made of it. */
  readonly fromSent: Latencies;
  /** What happened in each TIMELINE_MS since the start. */
  readonly timeline: readonly Moment[];
  /** How late requests left for which a connection was free: the generator's own fault. 99 of 100 left earlier. */
  readonly latenessMs: number;
  readonly generatorMs: number;
  readonly wallMs: number;
}
