// The bench's side of a crowd of sockets: starts the processes that hold them, shares the sockets among them, adds their
// reports up.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Latencies, latenciesOf } from '../load/tally.ts';
import type { BuyOrder, BuyReport, Change, Command, Door, ReckonReport, WatchOrder, WatchReport } from './order.ts';

const PROGRAM = fileURLToPath(new URL('./crowd-process.ts', import.meta.url));

export interface Bought {
  readonly answers: Readonly<Record<string, number>>;
  readonly answered: number;
  readonly news: number;
  readonly seconds: number;
  readonly latencies: Latencies;
  readonly generatorMs: number;
}

export interface Told {
  /** For each change: the wait of the last socket that was told; null where one never was. */
  readonly slowest: readonly (number | null)[];
  readonly latencies: Latencies;
  readonly messages: number;
  readonly generatorMs: number;
}

export interface SocketCrowd {
  /** Opens one more socket for each token. */
  join(tokens: readonly string[]): Promise<void>;
  buy(order: Omit<BuyOrder, 'play'>): Promise<Bought>;
  watch(order: Omit<WatchOrder, 'play'>): Promise<void>;
  reckon(changes: readonly Change[]): Promise<Told>;
  /** Ends every socket. */
  close(): void;
}

export async function openSocketCrowd(processes: number, door: Door): Promise<SocketCrowd> {
  const children = await Promise.all(Array.from({ length: processes }, startChild));
  const tellAll = <T>(commandOf: (share: number) => Command): Promise<T[]> =>
    Promise.all(children.map((child, i) => tell<T>(child, commandOf(i))));
  return {
    close() {
      for (const child of children) child.disconnect();
    },
    async join(tokens) {
      const isOf = (share: number) => (_: string, i: number) => i % processes === share;
      await tellAll((share) => ({ play: 'open', ...door, tokens: tokens.filter(isOf(share)) }));
    },
    async buy(wanted) {
      const reports = await tellAll<BuyReport>(() => ({ play: 'buy', ...wanted }));
      const answers: Record<string, number> = {};
      for (const report of reports) {
        for (const [kind, count] of Object.entries(report.answers)) answers[kind] = (answers[kind] ?? 0) + count;
      }
      const times = reports.flatMap((report) => report.times);
      const firstAt = Math.min(...reports.map((report) => report.firstAt));
      const lastAt = Math.max(...reports.map((report) => report.lastAt));
      return {
        answers,
        answered: times.length,
        news: reports.reduce((sum, report) => sum + report.news, 0),
        seconds: (lastAt - firstAt) / 1_000,
        latencies: latenciesOf(Float64Array.from(times)),
        generatorMs: reports.reduce((sum, report) => sum + report.generatorMs, 0),
      };
    },
    async watch(wanted) {
      await tellAll<WatchReport>(() => ({ play: 'watch', ...wanted }));
    },
    async reckon(changes) {
      const reports = await tellAll<ReckonReport>(() => ({ play: 'reckon', changes }));
      return {
        slowest: changes.map((_, i) => latest(reports.map(({ slowest }) => slowest[i] ?? null))),
        latencies: latenciesOf(Float64Array.from(reports.flatMap(({ times }) => times))),
        messages: reports.reduce((sum, report) => sum + report.messages, 0),
        generatorMs: reports.reduce((sum, report) => sum + report.generatorMs, 0),
      };
    },
  };
}

function latest(waits: readonly (number | null)[]): number | null {
  return waits.reduce((most, wait) => (most === null || wait === null ? null : Math.max(most, wait)), 0);
}

async function startChild(): Promise<ChildProcess> {
  const child = fork(PROGRAM, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced' });
  await once(child, 'message');
  return child;
}

async function tell<T>(child: ChildProcess, command: Command): Promise<T> {
  const ended = once(child, 'exit').then(() => {
    throw new Error('a process of the crowd ended');
  });
  ended.catch(() => undefined);
  child.send(command);
  const [message] = (await Promise.race([once(child, 'message'), ended])) as [{ report: T } | { error: string }];
  if ('error' in message) throw new Error(message.error);
  return message.report;
}
