// The same rate of purchases through the real system, once all of one SKU and once spread over many, some hundred a sale: processor
// time of all its processes, until the last purchase is an order in Postgres. Turns alternate; the audit follows.
import { systemClock, sleep } from '../../core/clock.ts';
import { mintTokens } from '../../scripts/tokens/mint.ts';
import { runAudit } from '../../shop/admin/admin.ts';
import type { Row } from '../bench.ts';
import { gatherCrowd, purchaseWishes } from '../load/crowd.ts';
import { runOpenLoop } from '../load/open-loop.ts';
import { describeSpent, watchProcessorTime } from '../load/processor-time.ts';
import type { Stage } from '../stage.ts';

const FULL = { perSecond: 3_000, seconds: 4, turns: 3 };
const QUICK = { perSecond: 500, seconds: 1, turns: 1 };
const CONNECTIONS = 256;
const POLL_MS = 20;
/** The door takes no more in one sale. */
const SKUS_A_SALE_MAX = 100;

interface Side {
  readonly skus: number;
  readonly offers: readonly { saleId: string; sku: string }[];
  accepted: number;
  readonly spent: Record<string, number>;
}

export async function skusOnTheWhole(
  stage: Stage,
  skus: number,
  isQuick: boolean,
): Promise<{ rows: Row[]; ratio: number; problems: string[] }> {
  const { perSecond, seconds, turns } = isQuick ? QUICK : FULL;
  const crowd = await gatherCrowd(perSecond * seconds * turns, stage.config.jwtSecret);
  const sides = [await openSide(stage, 1, crowd.length), await openSide(stage, skus, crowd.length)];
  for (let turn = 0; turn < turns; turn += 1) {
    const tokens = crowd.slice(turn * perSecond * seconds, (turn + 1) * perSecond * seconds);
    for (const side of sides) await takeTurn(stage, side, tokens, perSecond);
  }
  const problems: string[] = [];
  for (const { skus: count, offers, accepted } of sides) {
    for (const saleId of new Set(offers.map((offer) => offer.saleId))) {
      const report = await runAudit({ ...stage, clock: systemClock }, { saleId });
      problems.push(...report.differences.map(({ code, message }) => `${count} SKUs: ${code}: ${message}`));
    }
    if (accepted !== crowd.length) problems.push(`${count} SKUs: ${accepted} of ${crowd.length} were accepted`);
  }
  const usEach = (side: Side | undefined): number =>
    (Object.values(side?.spent ?? {}).reduce((sum, ms) => sum + ms, 0) * 1_000) / (side?.accepted ?? 1);
  const ratio = usEach(sides[1]) / usEach(sides[0]);
  return {
    rows: sides.map((side): Row => {
      const what = `${side.skus} SKU${side.skus === 1 ? '' : 's'}, ${perSecond}/s over HTTP: ${usEach(side).toFixed(0)} µs`;
      const note = describeSpent(side.spent, side.accepted);
      return { what, perSecond: null, count: side.accepted, note, ...(side.skus > 1 ? { ratio } : {}) };
    }),
    ...{ ratio, problems },
  };
}

async function openSide(stage: Stage, skus: number, units: number): Promise<Side> {
  const [token = ''] = await mintTokens(['u_bench-merchant'], 'ADMIN', stage.config.jwtSecret);
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const terms = {
    name: `growth, ${skus}`,
    opensAt: null,
    holdSeconds: 3_600,
    perBuyerLimit: 1,
    paymentStart: 'on_demand',
  };
  const post = async (path: string, body: unknown): Promise<{ saleId: string }> => {
    const answer = await fetch(`${stage.url}/api/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`POST ${path}: ${answer.status} ${await answer.text()}`);
    // As the contract says.
    return (await answer.json()) as { saleId: string };
  };
  const offers: { saleId: string; sku: string }[] = [];
  while (offers.length < skus) {
    const names = Array.from({ length: Math.min(SKUS_A_SALE_MAX, skus - offers.length) }, (_, i) => offers.length + i);
    const items = names.map((n) => ({ sku: `GROWTH-${skus}-${n}`, stock: units, price: 499, currency: 'INR' }));
    const { saleId } = await post('/sales', { ...terms, items });
    await post(`/sales/${saleId}/open`, {});
    offers.push(...items.map(({ sku }) => ({ saleId, sku })));
  }
  return { skus, offers, accepted: 0, spent: {} };
}

async function takeTurn(stage: Stage, side: Side, tokens: readonly string[], perSecond: number): Promise<void> {
  const { offers } = side;
  const wishes = tokens.flatMap((token, i) => {
    const offer = offers[i % offers.length];
    return offer === undefined ? [] : purchaseWishes([token], offer);
  });
  const watch = watchProcessorTime(stage.processes());
  const load = await runOpenLoop({ url: stage.url, connections: CONNECTIONS, perSecond, wishes });
  for (const offer of new Map(offers.map((one) => [one.saleId, one])).values()) {
    while ((await stage.backlog({ ...offer, stock: 0 })) > 0) await sleep(POLL_MS);
  }
  for (const [name, ms] of Object.entries(watch.spent())) side.spent[name] = (side.spent[name] ?? 0) + ms;
  side.accepted += load.statuses['201'] ?? 0;
}
