// A closed loop: each connection sends its next request when it has its answer. That finds what can be reached; its
// latencies say how long an answer took while all connections waited, not what a buyer feels (see open-loop.ts).
// autocannon sends; every request is built before the clock starts, so that its own work is sending and reading only.
import autocannon from 'autocannon';
import type { Wish } from './crowd.ts';
import { createTally, type LoadResult } from './tally.ts';

export interface ClosedLoop {
  url: string;
  connections: number;
  /** Requests in all; the wishes are gone through in turn, more than once where there are fewer. */
  amount: number;
  wishes: readonly Wish[];
}

/** autocannon notices that it is done at its next sample. */
const SAMPLE_MS = 50;

export function runClosedLoop({ url, connections, amount, wishes }: ClosedLoop): Promise<LoadResult> {
  const tally = createTally(amount);
  let clients = 0;
  return new Promise((resolve, reject) => {
    const instance = autocannon(
      {
        url,
        connections,
        amount,
        sampleInt: SAMPLE_MS,
        timeout: 20,
        setupClient(client) {
          // Each connection gets a part of its own, so that no wish is sent twice unless there are fewer than requests.
          const first = clients++ % wishes.length;
          const own = wishes.filter((_, i) => i === first || i % connections === first);
          client.setRequests(
            own.map(({ path, headers, body }) => ({ method: 'POST', path, headers: { ...headers }, body })),
          );
        },
      },
      (error: unknown) => {
        if (error instanceof Error) reject(error);
        else resolve(tally.result());
      },
    );
    instance.on('start', () => tally.start());
    instance.on('response', (_client, status, _bytes, ms) => tally.answered(status, ms));
    instance.on('reqError', () => tally.lost());
  });
}
