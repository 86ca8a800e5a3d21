// Bare uWebSockets.js as a reference: one server for the whole run, which is driven again whenever a bench wants to know
// what the machine gives at that moment.
import type { Say } from '../../core/services/service.ts';
import { gatherCrowd, purchaseWishes } from '../load/crowd.ts';
import { findGenerators, type Generator, type Generators } from '../load/generator.ts';
import { watchProcessorTime } from '../load/processor-time.ts';
import type { Latencies } from '../load/tally.ts';
import { startBaseline } from './baseline-process.ts';

export const BARE_CONNECTIONS = 512;
const SECONDS = 3;
const WARM_UP_SECONDS = 1;

export interface BareRun {
  readonly perSecond: number;
  readonly count: number;
  readonly latencies: Latencies;
  /** Milliseconds of processor time, by process. */
  readonly spent: Readonly<Record<string, number>>;
  readonly problems: readonly string[];
}

export interface Bare {
  readonly generators: Generators;
  /** Drives it now. */
  run(by?: Generator): Promise<BareRun>;
  /** Requests a second of every run by the main generator so far. */
  rates(): readonly number[];
  close(): void;
}

export async function openBare(say: Say, isQuick: boolean): Promise<Bare> {
  const generators = await findGenerators(say);
  const server = await startBaseline(new URL('./bare-uws.ts', import.meta.url), {});
  const tokens = await gatherCrowd(isQuick ? 1_000 : 20_000, 'a-secret-that-nobody-checks-in-a-bare-server');
  const wishes = purchaseWishes(tokens, { saleId: 'sale_00bare', sku: 'BENCH-0' });
  const { url, pid } = server;
  const rates: number[] = [];
  const warm = new Set<Generator>();

  return {
    generators,
    async run(by = generators.main) {
      // Compiles both sides.
      if (!warm.has(by)) await by.run({ url, connections: 64, seconds: WARM_UP_SECONDS, wishes });
      warm.add(by);
      const watch = watchProcessorTime([{ name: 'bare', pid }]);
      const seconds = isQuick ? 1 : SECONDS;
      const outcome = await by.run({ url, connections: BARE_CONNECTIONS, seconds, wishes });
      const perSecond = outcome.accepted / outcome.seconds;
      if (by === generators.main) rates.push(perSecond);
      const isClean = outcome.refused === 0 && outcome.lost === 0 && outcome.accepted > 0;
      return {
        ...{ perSecond, count: outcome.accepted, latencies: outcome.latencies },
        spent: { ...watch.spent(), [by.name]: outcome.generatorMs },
        problems: isClean ? [] : [`bare: ${outcome.refused} refused, ${outcome.lost} lost of ${outcome.accepted}`],
      };
    },
    rates: () => rates,
    close: () => server.stop(),
  };
}
