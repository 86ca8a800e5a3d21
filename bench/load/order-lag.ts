// How long after its admission a purchase is a committed row: asked of Postgres again and again, for every so many-th ticket
// of a sale, over a connection that is nobody else's. Counts from `created_at`, which Redis' clock gave in the script (before
// the fsync and the answer that acknowledged it), to when the row was seen: both ends are to the lag's disadvantage.
import { sleep, systemClock } from '../../core/clock.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import type { Offer } from '../stage.ts';
import { latenciesOf, type Latencies } from './tally.ts';

/** Looking costs about 1 % of a core. */
const TICKETS_A_SAMPLE = 64;
/** Samples that are waited for at a time: 1,024 tickets. */
const SAMPLES_AHEAD = 16;
const LOOK_MS = 10;

export interface OrderLag {
  /** To be called when all are rows. Milliseconds, and how many samples. */
  stop(): Promise<{ lag: Latencies; samples: number }>;
}

export function watchOrderLag(postgres: Postgres, { saleId, sku }: Offer): OrderLag {
  const lags: number[] = [];
  let isOver = false;
  let missing = Array.from({ length: SAMPLES_AHEAD }, (_, place) => 1 + place * TICKETS_A_SAMPLE);

  /** Answers whether there may be more to see at once. */
  async function look(): Promise<boolean> {
    const { rows } = await postgres.query<{ ticket: number; created_at: Date }>(
      'SELECT ticket, created_at FROM purchases WHERE sale_id = $1 AND sku = $2 AND ticket = ANY($3::bigint[])',
      [saleId, sku, missing],
    );
    const now = systemClock.now();
    for (const { created_at } of rows) lags.push(now - created_at.getTime());
    const found = new Set(rows.map(({ ticket }) => ticket));
    const last = missing.at(-1) ?? 0;
    const further = rows.map((_, place) => last + (place + 1) * TICKETS_A_SAMPLE);
    missing = [...missing.filter((ticket) => !found.has(ticket)), ...further];
    return rows.length === SAMPLES_AHEAD;
  }

  const watching = (async () => {
    while (!isOver) {
      if (!(await look())) await sleep(LOOK_MS);
    }
    while (await look());
  })();
  return {
    async stop() {
      isOver = true;
      await watching;
      return { lag: latenciesOf(Float64Array.from(lags)), samples: lags.length };
    },
  };
}
