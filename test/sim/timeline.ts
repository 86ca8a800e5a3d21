// Virtual time: a heap of events, run one after the other, each to its end, until everything that it woke waits again.
// Two events of the same millisecond run in an order that the seed decides. Also keeps the trace: every event leaves a
// line, and the lines' hash is the history's identity.
import { createHash } from 'node:crypto';
import type { Random } from './random.ts';

export interface Timeline {
  /** Milliseconds since 1970, whole. */
  readonly now: number;
  readonly events: number;
  /** Infinity when nothing is planned. */
  readonly nextAt: number;
  schedule(delayMs: number, run: () => unknown): void;
  /** Runs the next event; false when there is none. */
  step(): Promise<boolean>;
  wait(ms: number): Promise<void>;
  note(line: string): void;
  /** The last lines, and the hash of all of them. */
  readonly tail: readonly string[];
  readonly lines: readonly string[] | undefined;
  hash(): string;
}

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => unknown;
}

const TAIL_LINES = 60;

/** All code runs on microtasks until it waits for an event, and those are done before the next macrotask. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

export function createTimeline(random: Random, startMs: number, keepsAll: boolean): Timeline {
  const heap: Event[] = [];
  const digest = createHash('sha256');
  const tail: string[] = [];
  const lines: string[] | undefined = keepsAll ? [] : undefined;
  let now = startMs;
  let events = 0;

  const isBefore = (x: Event, y: Event): boolean => x.at < y.at || (x.at === y.at && x.order < y.order);

  function push(event: Event): void {
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up];
      if (parent === undefined || !isBefore(event, parent)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = event;
  }

  function pop(): Event | undefined {
    const [first] = heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      const [left, right] = [heap[down], heap[down + 1]];
      if (left === undefined) break;
      let child = left;
      if (right !== undefined && isBefore(right, left)) [child, down] = [right, down + 1];
      if (!isBefore(child, last)) break;
      heap[at] = child;
      at = down;
    }
    heap[at] = last;
    return first;
  }

  function schedule(delayMs: number, run: () => unknown): void {
    push({ at: now + Math.max(0, Math.ceil(delayMs)), order: random.next(), run });
  }

  return {
    get now() {
      return now;
    },
    get events() {
      return events;
    },
    get nextAt() {
      return heap[0]?.at ?? Number.POSITIVE_INFINITY;
    },
    schedule,
    async step() {
      // What has just been asked for may still be on its way here.
      if (heap.length === 0) await settled();
      const event = pop();
      if (event === undefined) return false;
      now = Math.max(now, event.at);
      events += 1;
      await event.run();
      await settled();
      return true;
    },
    wait: (ms) =>
      new Promise((resolve) => {
        schedule(ms, resolve);
      }),
    note(line) {
      const text = `${String(now - startMs).padStart(7)} ${line}`;
      digest.update(text).update('\n');
      tail.push(text);
      if (tail.length > TAIL_LINES) tail.shift();
      lines?.push(text);
    },
    tail,
    lines,
    hash: () => digest.copy().digest('hex').slice(0, 16),
  };
}
