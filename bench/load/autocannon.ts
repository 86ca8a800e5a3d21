// autocannon as a generator of a closed loop: it tells every answer by its status, and costs as much processor time as a
// small server. Every request is built before the clock starts, so that its own work is sending and reading only.
import autocannon from 'autocannon';
import type { Wish } from './crowd.ts';
import type { Generator, LoadOrder, LoadOutcome } from './generator.ts';
import { createTally } from './tally.ts';

/** autocannon notices that it is done at its next sample. */
const SAMPLE_MS = 50;
/** More than it can send; answers beyond are counted, their times are not. */
const PER_SECOND_MAX = 100_000;
const ANSWER_LIMIT_SECONDS = 20;

export function createAutocannon(): Generator {
  return { name: 'autocannon', run: drive };
}

function drive({ url, connections, seconds, wishes }: LoadOrder): Promise<LoadOutcome> {
  const tally = createTally(Math.ceil(seconds * PER_SECOND_MAX));
  let clients = 0;
  return new Promise((resolve, reject) => {
    const instance = autocannon(
      {
        ...{ url, connections, duration: seconds, sampleInt: SAMPLE_MS, timeout: ANSWER_LIMIT_SECONDS },
        setupClient(client) {
          // Each connection gets a part of its own, so that no wish is sent twice before all have been.
          client.setRequests(partOf(wishes, clients++, connections));
        },
      },
      (error: unknown) => {
        if (error instanceof Error) reject(error);
        else resolve(toOutcome(tally.result(), connections));
      },
    );
    instance.on('start', () => tally.start());
    instance.on('response', (_client, status, _bytes, ms) => tally.answered(status, ms));
    instance.on('reqError', () => tally.lost());
  });
}

function partOf(wishes: readonly Wish[], first: number, step: number) {
  const part = [];
  for (let i = first % wishes.length; i < wishes.length; i += step) {
    const wish = wishes[i];
    if (wish !== undefined) part.push({ ...wish, method: 'POST' as const, headers: { ...wish.headers } });
  }
  return part;
}

function toOutcome(result: ReturnType<ReturnType<typeof createTally>['result']>, connections: number): LoadOutcome {
  const { statuses, answered, lost, seconds, latencies, generatorMs } = result;
  const accepted = Object.entries(statuses).reduce((sum, [status, n]) => (Number(status) < 400 ? sum + n : sum), 0);
  return {
    ...{ accepted, refused: answered - accepted, statuses, lost, openAtEnd: connections },
    ...{ seconds, latencies, generatorMs },
  };
}
