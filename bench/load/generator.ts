// Who sends in a closed loop: each connection asks again when it has its answer, for some seconds. wrk where it can be had
// (it takes 3 to 5 µs of processor time a request, autocannon 14 to 26, of the same cores), autocannon else and for
// the exact kinds of answers. Ratios are between runs of one generator.
import type { Say } from '../../core/services/service.ts';
import { createAutocannon } from './autocannon.ts';
import type { Wish } from './crowd.ts';
import type { Latencies } from './tally.ts';
import { findWrk } from './wrk.ts';

export interface LoadOrder {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  /** Gone through in turn, and from the start again where there are fewer than requests. */
  readonly wishes: readonly Wish[];
}

export interface LoadOutcome {
  /** Answers below 400, and the others. */
  readonly accepted: number;
  readonly refused: number;
  /** Answers by status, where the generator tells them apart. */
  readonly statuses?: Readonly<Record<string, number>>;
  /** Requests that failed: no connection, or no answer in time. */
  readonly lost: number;
  /** At most so many had been sent and were not waited for when the time was over. */
  readonly openAtEnd: number;
  readonly seconds: number;
  readonly latencies: Latencies;
  readonly generatorMs: number;
}

export interface Generator {
  readonly name: 'wrk' | 'autocannon';
  run(order: LoadOrder): Promise<LoadOutcome>;
}

export interface Generators {
  /** The one that ratios are measured with. */
  readonly main: Generator;
  readonly autocannon: Generator;
}

export async function findGenerators(say: Say): Promise<Generators> {
  const autocannon = createAutocannon();
  const wrk = await findWrk(say);
  return { main: wrk ?? autocannon, autocannon };
}
