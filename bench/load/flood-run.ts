// The sending itself: an open loop over a growing set of connections. A request falls due whether or not others are answered;
// who finds no free connection opens one, up to the limit, and else waits, at most as long as a person would.
import { type Line, type LineAnswer, openLine } from './flood-line.ts';
import { type FloodOrder, type FloodResult, type Moment, TIMELINE_MS } from './flood-order.ts';
import { latenciesOf } from './tally.ts';

const BEAT_MS = 1;
/** New connections in one beat: a storm of them would be a test of the kernel. */
const OPENED_A_BEAT = 8;

interface Place {
  line: Line;
  isOpen: boolean;
  /** -1: free. */
  dueAt: number;
  sentAt: number;
}

export function runFlood(order: FloodOrder): Promise<FloodResult> {
  const { perSecond, seconds, maxConnections, patienceMs, answerLimitMs } = order;
  const requests = toRequests(order);
  const amount = Math.round(perSecond * seconds);
  const startedAt = performance.now();
  const seen = createRecord(startedAt, amount);
  const places = new Set<Place>();
  const free: Place[] = [];
  const cpu = process.cpuUsage();
  let [next, sent, neverSent, unanswered, closed, connections] = [0, 0, 0, 0, 0, 0];
  const dueAt = (i: number): number => startedAt + (i * 1_000) / perSecond;

  function open(): void {
    connections += 1;
    const place: Place = {
      isOpen: false,
      dueAt: -1,
      sentAt: 0,
      line: openLine(order.host, order.port, {
        opened() {
          place.isOpen = true;
          free.push(place);
        },
        answered(answer) {
          if (place.dueAt >= 0) seen.answered(answer, place);
          place.dueAt = -1;
          free.push(place);
        },
        closed() {
          place.isOpen = false;
          if (!places.delete(place)) return;
          closed += 1;
          if (place.dueAt >= 0) unanswered += 1;
        },
      }),
    };
    places.add(place);
  }

  /** Those who waited too long for a connection go home; they were first in the line, so they are first here. */
  function giveUp(now: number): void {
    while (next < amount && dueAt(next) + patienceMs < now) {
      next += 1;
      neverSent += 1;
    }
  }

  function beat(): void {
    const now = performance.now();
    giveUp(now);
    while (next < amount && dueAt(next) <= now) {
      const place = takeFree(free);
      if (place === undefined) break;
      const bytes = requests[next % requests.length];
      const due = dueAt(next);
      next += 1;
      if (bytes === undefined) continue;
      place.dueAt = due;
      place.sentAt = now;
      sent += 1;
      seen.sent(now, places.size < maxConnections ? now - due : 0);
      place.line.send(bytes);
    }
    const waiting = Math.floor(((now - startedAt) / 1_000) * perSecond) - next;
    const wanted = Math.min(maxConnections - places.size, waiting, OPENED_A_BEAT);
    for (let i = 0; i < wanted; i += 1) open();
  }

  for (let i = 0; i < Math.min(maxConnections, 64); i += 1) open();
  return new Promise((resolve) => {
    const beats = setInterval(beat, BEAT_MS);
    const looks = setInterval(() => {
      const now = performance.now();
      let busy = 0;
      for (const place of places) {
        if (place.dueAt < 0) continue;
        if (now - place.sentAt <= answerLimitMs) {
          busy += 1;
          continue;
        }
        places.delete(place);
        unanswered += 1;
        place.line.end();
      }
      if (busy > 0 || next < amount) return;
      clearInterval(beats);
      clearInterval(looks);
      const wallMs = now - startedAt;
      for (const place of places) {
        places.delete(place);
        place.line.end();
      }
      const used = process.cpuUsage(cpu);
      const generatorMs = (used.user + used.system) / 1_000;
      const counts = { offered: amount, sent, neverSent, unanswered, closed, connections };
      resolve({ ...counts, ...seen.result(), generatorMs, wallMs });
    }, 100);
  });
}

/** The one freed last: with little load few connections are used, as a browser's. */
function takeFree(free: Place[]): Place | undefined {
  for (let place = free.pop(); place !== undefined; place = free.pop()) {
    if (place.isOpen && place.dueAt < 0) return place;
  }
  return undefined;
}

function createRecord(startedAt: number, amount: number) {
  const statuses = new Map<number, number>();
  const timeline: { -readonly [K in keyof Moment]: number }[] = [];
  const fromDue = new Float64Array(amount);
  const fromSent = new Float64Array(amount);
  const lateness = new Float64Array(amount);
  let [acceptedCount, sentCount, withoutRetryAfter] = [0, 0, 0];
  const momentAt = (now: number) => {
    const index = Math.floor((now - startedAt) / TIMELINE_MS);
    while (timeline.length <= index) timeline.push({ sent: 0, accepted: 0, rejected: 0 });
    return timeline[index] ?? { sent: 0, accepted: 0, rejected: 0 };
  };
  return {
    sent(now: number, lateMs: number) {
      momentAt(now).sent += 1;
      lateness[sentCount] = lateMs;
      sentCount += 1;
    },
    answered({ status, hasRetryAfter }: LineAnswer, { dueAt, sentAt }: Place) {
      const now = performance.now();
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (status === 201 || status === 202) {
        fromDue[acceptedCount] = now - dueAt;
        fromSent[acceptedCount] = now - sentAt;
        acceptedCount += 1;
        momentAt(now).accepted += 1;
        return;
      }
      momentAt(now).rejected += 1;
      if ((status === 503 || status === 429) && !hasRetryAfter) withoutRetryAfter += 1;
    },
    result: () => ({
      statuses: Object.fromEntries(statuses),
      withoutRetryAfter,
      fromDue: latenciesOf(fromDue.subarray(0, acceptedCount)),
      fromSent: latenciesOf(fromSent.subarray(0, acceptedCount)),
      timeline,
      latenessMs: latenciesOf(lateness.subarray(0, sentCount)).p99,
    }),
  };
}

function toRequests({ host, port, path, body, tokens }: FloodOrder): Buffer[] {
  return tokens.map((token) => {
    const lines = [
      `POST ${path} HTTP/1.1`,
      `host: ${host}:${port}`,
      'connection: keep-alive',
      `authorization: Bearer ${token}`,
      'content-type: application/json',
      `content-length: ${Buffer.byteLength(body)}`,
    ];
    return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`);
  });
}
