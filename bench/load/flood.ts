// The bench's side of a flood: starts the processes that send, shares an order among them, and adds their reports up.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { FloodOrder, FloodResult, Moment } from './flood-order.ts';

const PROGRAM = fileURLToPath(new URL('./flood-process.ts', import.meta.url));

export interface Flood {
  run(order: FloodOrder): Promise<FloodResult>;
  close(): void;
}

export async function openFlood(processes: number): Promise<Flood> {
  const children = await Promise.all(Array.from({ length: processes }, startChild));
  return {
    async run(order) {
      const shares = children.map((child, i) => ask(child, shareOf(order, i, processes)));
      return addUp(await Promise.all(shares));
    },
    close() {
      for (const child of children) child.disconnect();
    },
  };
}

async function startChild(): Promise<ChildProcess> {
  const child = fork(PROGRAM, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced' });
  await once(child, 'message');
  return child;
}

function ask(child: ChildProcess, order: FloodOrder): Promise<FloodResult> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`the flood ended with ${code}`));
    child.once('exit', onExit);
    child.once('message', (result) => {
      child.off('exit', onExit);
      // What flood-process.ts sends.
      resolve(result as FloodResult);
    });
    child.send(order);
  });
}

function shareOf(order: FloodOrder, index: number, processes: number): FloodOrder {
  return {
    ...order,
    tokens: order.tokens.filter((_, i) => i % processes === index),
    perSecond: order.perSecond / processes,
    maxConnections: Math.max(1, Math.floor(order.maxConnections / processes)),
  };
}

/** Latencies of several processes are those of the worst: percentiles cannot be added. */
function addUp(results: readonly FloodResult[]): FloodResult {
  return results.reduce((sum, one) => ({
    offered: sum.offered + one.offered,
    sent: sum.sent + one.sent,
    neverSent: sum.neverSent + one.neverSent,
    unanswered: sum.unanswered + one.unanswered,
    closed: sum.closed + one.closed,
    connections: sum.connections + one.connections,
    statuses: addRecords(sum.statuses, one.statuses),
    withoutRetryAfter: sum.withoutRetryAfter + one.withoutRetryAfter,
    fromDue: sum.fromDue.p99 > one.fromDue.p99 ? sum.fromDue : one.fromDue,
    fromSent: sum.fromSent.p99 > one.fromSent.p99 ? sum.fromSent : one.fromSent,
    timeline: addTimelines(sum.timeline, one.timeline),
    latenessMs: Math.max(sum.latenessMs, one.latenessMs),
    generatorMs: sum.generatorMs + one.generatorMs,
    wallMs: Math.max(sum.wallMs, one.wallMs),
  }));
}

function addTimelines(a: readonly Moment[], b: readonly Moment[]): Moment[] {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => ({
    sent: (a[i]?.sent ?? 0) + (b[i]?.sent ?? 0),
    accepted: (a[i]?.accepted ?? 0) + (b[i]?.accepted ?? 0),
    rejected: (a[i]?.rejected ?? 0) + (b[i]?.rejected ?? 0),
  }));
}

function addRecords(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): Record<string, number> {
  const sum = { ...a };
  for (const [key, count] of Object.entries(b)) sum[key] = (sum[key] ?? 0) + count;
  return sum;
}
