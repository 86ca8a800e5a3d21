// Sales with many live holds or many in line, in a running system: written through the stock store in its largest batches, as fast
// as the workers bring them to Postgres, so that both stores know of each. Then the system is left until it is at rest.
import { unownedPurchaseId } from '../../actors/purchase-ids.ts';
import { sleep } from '../../core/clock.ts';
import { OUTBOX_BACKLOG_MAX_RECORDS, RESERVE_BATCH_MAX } from '../../core/constants.ts';
import { partitionOf, randomId } from '../../core/ids.ts';
import type { Offer, Stage } from '../stage.ts';
import { untilWritten } from './turns.ts';

const BACKLOG_MAX = OUTBOX_BACKLOG_MAX_RECORDS / 5;
const POLL_MS = 50;
const TELL_EVERY = 250_000;
const BATCHES_A_LOOK = 32;
/** Amounts that nobody waits for are not told. */
const silent: (line: string) => void = () => undefined;

/** Stock for all of them and for `more`. */
export async function openHolds(stage: Stage, count: number, more: number, say = silent): Promise<Offer> {
  const offer = await stage.openSale('growth, holds', count + more);
  await fill(stage, offer, { count, status: 'RESERVED', say });
  return offer;
}

/** One unit, which somebody holds: all others wait for it. */
export async function openLine(stage: Stage, count: number, more: number, say = silent): Promise<Offer> {
  const offer = await stage.openSale('growth, line', 1, { lineLimit: count + more });
  await fill(stage, offer, { count: 1, status: 'RESERVED', say });
  await fill(stage, offer, { count, status: 'WAITING', say });
  return offer;
}

/** Its append-only file grows as it may: rewritten while it doubles, it would take a third of Redis' time, now on one side, now on the other. */
export async function forgoRewrites({ redis }: Stage): Promise<void> {
  await redis.config('SET', 'auto-aof-rewrite-percentage', '0');
}

/** All is in Postgres, and no vacuum of what came in is left for later. */
export async function comeToRest(stage: Stage, offers: readonly Offer[]): Promise<void> {
  await untilWritten(stage, offers);
  await stage.postgres.query('VACUUM (ANALYZE) purchases');
}

/**
 * What contradicts that the sale has so many, in Redis and in Postgres alike. Its full audit would read each of them, which takes
 * longer than all that is measured here; the workers' continuous audit is at work on it meanwhile.
 */
export async function compareBooks(
  stage: Stage,
  { saleId, sku }: Offer,
  expected: { RESERVED: number; WAITING: number },
): Promise<string[]> {
  const [snapshot] = await stage.stock.snapshot([saleId]);
  const counts = snapshot?.items.find((item) => item.sku === sku);
  const { rows } = await stage.postgres.query<{ status: string; count: number }>(
    'SELECT status, count(DISTINCT ticket) AS count FROM purchases WHERE sale_id = $1 GROUP BY status',
    [saleId],
  );
  const written = new Map(rows.map(({ status, count }) => [status, count]));
  const { RESERVED, WAITING } = expected;
  const wrong = (where: string, found: number | undefined, wanted: number): string[] =>
    (found ?? 0) === wanted ? [] : [`${saleId}: ${where} has ${found ?? 0}, it must be ${wanted}`];
  return [
    ...wrong('held in Redis', counts?.held, RESERVED),
    ...wrong('the line in Redis', counts?.waiting, WAITING),
    ...wrong('RESERVED in Postgres', written.get('RESERVED'), RESERVED),
    ...wrong('WAITING in Postgres', written.get('WAITING'), WAITING),
    ...wrong('the tickets in Redis', counts?.lastTicket, RESERVED + WAITING),
  ];
}

interface Filling {
  readonly count: number;
  readonly status: 'RESERVED' | 'WAITING';
  say(line: string): void;
}

async function fill(stage: Stage, offer: Offer, { count, status, say }: Filling): Promise<void> {
  const partition = partitionOf(offer.saleId);
  for (let [from, batches] = [0, 0]; from < count; from += RESERVE_BATCH_MAX, batches += 1) {
    if (batches % BATCHES_A_LOOK === 0) {
      while ((await stage.backlog(offer)) > BACKLOG_MAX) await sleep(POLL_MS);
    }
    const items = Array.from({ length: Math.min(RESERVE_BATCH_MAX, count - from) }, () => ({
      ...{
        purchaseId: unownedPurchaseId(partition),
        buyer: randomId('u'),
        quantity: 1,
        fingerprint: '0123456789abcdef',
      },
    }));
    const { outcomes } = await stage.stock.reserve(offer.saleId, offer.sku, items);
    const other = outcomes.find((o) => o.kind !== 'purchase' || o.purchase.status !== status);
    if (other !== undefined) throw new Error(`${offer.saleId}: not ${status} but ${JSON.stringify(other)}`);
    const done = from + items.length;
    if (done % TELL_EVERY < RESERVE_BATCH_MAX && done >= TELL_EVERY) say(`${done} of ${count} are ${status}`);
  }
}
