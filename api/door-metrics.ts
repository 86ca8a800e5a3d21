// What the door counts. Label sets are bound once: binding them per request costs more than the count itself.
import { counter, gauge, type Spread, spreads, type Tally, tallies } from '../core/metrics.ts';

const answers = tallies('doorbuster_http_answers_total', 'HTTP answers, by route and status', ['route', 'status']);
const durations = spreads('doorbuster_http_request_seconds', 'From the head of a request to its answer', 'route');

/** By route, then by status: looked up with every answer, and neither has to be joined into a key. */
const boundAnswers = new Map<string, Map<number, Tally>>();
const boundDurations = new Map<string, Spread>();

/** `route` is a path pattern of the table, never a client's path: the number of labels is bounded. */
export function countAnswer(route: string, status: number): void {
  let byStatus = boundAnswers.get(route);
  if (byStatus === undefined) {
    byStatus = new Map();
    boundAnswers.set(route, byStatus);
  }
  let bound = byStatus.get(status);
  if (bound === undefined) {
    bound = answers(route, String(status));
    byStatus.set(status, bound);
  }
  bound.inc();
}

export function observeDuration(route: string, milliseconds: number): void {
  let bound = boundDurations.get(route);
  if (bound === undefined) {
    bound = durations(route);
    boundDurations.set(route, bound);
  }
  bound.observe(milliseconds / 1000);
}

export const openSockets = gauge('doorbuster_sockets_count', 'WebSockets that are open');
export const pendingRequests = gauge('doorbuster_pending_requests', 'Requests begun and not answered, each second');
const socketMessages = tallies('doorbuster_socket_messages_total', 'Messages from sockets, by type', ['type']);
const boundMessages = new Map<string, Tally>();

/** `type` is one of the schema's. */
export function countSocketMessage(type: string): void {
  let bound = boundMessages.get(type);
  if (bound === undefined) {
    bound = socketMessages(type);
    boundMessages.set(type, bound);
  }
  bound.inc();
}

export const slowSockets = counter('doorbuster_slow_sockets_total', 'Sockets closed because they read too slowly');
export const refusedRequests = counter('doorbuster_rate_refusals_total', 'Requests over a limit, by limit', ['limit']);
export const rateReports = counter('doorbuster_rate_reports_total', 'Calls that share limits, by outcome', ['outcome']);
