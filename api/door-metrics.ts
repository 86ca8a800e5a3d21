// What the door counts. Label sets are bound once: binding them per request costs more than the count itself.
import { counter, gauge, histogram } from '../core/metrics.ts';

const answers = counter('doorbuster_http_answers_total', 'HTTP answers, by route and status', ['route', 'status']);
const durations = histogram('doorbuster_http_request_seconds', 'From the head of a request to its answer', ['route']);

const boundAnswers = new Map<string, { inc(): void }>();
const boundDurations = new Map<string, { observe(seconds: number): void }>();

/** `route` is a path pattern of the table, never a client's path: the number of labels is bounded. */
export function countAnswer(route: string, status: number): void {
  const key = `${status} ${route}`;
  let bound = boundAnswers.get(key);
  if (bound === undefined) {
    bound = answers.labels(route, String(status));
    boundAnswers.set(key, bound);
  }
  bound.inc();
}

export function observeDuration(route: string, milliseconds: number): void {
  let bound = boundDurations.get(route);
  if (bound === undefined) {
    bound = durations.labels(route);
    boundDurations.set(route, bound);
  }
  bound.observe(milliseconds / 1000);
}

export const openSockets = gauge('doorbuster_sockets_count', 'WebSockets that are open');
export const pendingRequests = gauge('doorbuster_pending_requests', 'Requests begun and not answered, each second');
export const socketMessages = counter('doorbuster_socket_messages_total', 'Messages from sockets, by type', ['type']);
export const slowSockets = counter('doorbuster_slow_sockets_total', 'Sockets closed because they read too slowly');
export const refusedRequests = counter('doorbuster_rate_refusals_total', 'Requests over a limit, by limit', ['limit']);
export const rateReports = counter('doorbuster_rate_reports_total', 'Calls that share limits, by outcome', ['outcome']);
