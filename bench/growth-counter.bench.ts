// Where does a purchase's price grow, at the counter alone: Redis and the stock store, without door, workers and Postgres. The same
// purchases beside 10³ and 10⁶ live holds, joining an empty line and one of 10⁶, and spread over 1 and 1,000 SKUs of a sale. Both
// sides take turns, and the median of the turns counts. What it means for a whole purchase is `growth`'s question.
import { createCounter } from '../actors/sku-actor.ts';
import { systemClock } from '../core/clock.ts';
import { randomId } from '../core/ids.ts';
import { removeKeys } from '../shop/admin/rebuild-keys.ts';
import type { Bench, Row } from './bench.ts';
import { newWishes, openOwnRedis, OWN_PARTITION, OWN_SKU, type OwnRedis } from './own-redis.ts';
import { median } from './spread.ts';

const FULL = { few: 1_000, many: 1_000_000, turns: 15, purchases: 4_096 };
const QUICK = { few: 100, many: 10_240, turns: 3, purchases: 1_024 };
const SKUS = 1_000;
/** A deadline that nobody meets here. */
const DEADLINE_MS = 60_000;

interface Cost {
  readonly redisUs: number;
  readonly counterUs: number;
}
interface Part {
  readonly rows: Row[];
  readonly problems: string[];
}
interface Side {
  readonly what: string;
  readonly costs: Cost[];
  turn(): Promise<Cost>;
}

export const growthCounter: Bench = {
  name: 'growth-counter',
  question: 'the part of Redis and the counter in what a purchase costs as work grows: live holds, the line, SKUs',
  async run({ isQuick, say }) {
    const plan = isQuick ? QUICK : FULL;
    const byHolds = await besideMany(say, plan, 'RESERVED');
    const byWaiting = await besideMany(say, plan, 'WAITING');
    say(`${SKUS} SKUs`);
    const bySkus = await besideSkus(say, plan);
    return {
      rows: [...byHolds.rows, ...byWaiting.rows, ...bySkus.rows],
      notes: [
        "µs are Redis' and, behind the plus, the counter's (actors and store). The ratio is many over few.",
        `512 purchases are under way at once; with ${SKUS} SKUs nearly each of them is alone in its SKU.`,
      ],
      problems: [...byHolds.problems, ...byWaiting.problems, ...bySkus.problems],
    };
  },
};

/** Processor time of Redis and of this process, per purchase. */
async function costOf(own: OwnRedis, purchases: number, work: () => Promise<unknown>): Promise<Cost> {
  await own.forgetOutbox();
  const before = await own.processorUs();
  const usage = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(usage);
  return { redisUs: ((await own.processorUs()) - before) / purchases, counterUs: (user + system) / purchases };
}

async function takeTurns(few: Side, many: Side, turns: number): Promise<Row[]> {
  for (let turn = 0; turn < turns; turn += 1) for (const side of [few, many]) side.costs.push(await side.turn());
  const total = ({ costs }: Side): number => median(costs.map((c) => c.redisUs + c.counterUs));
  const ratio = total(many) / total(few);
  return [few, many].map((side): Row => {
    const each = `${median(side.costs.map((c) => c.redisUs)).toFixed(1)} + ${median(side.costs.map((c) => c.counterUs)).toFixed(1)} µs`;
    return { what: `${side.what}: ${each}`, perSecond: null, count: turns, ...(side === many ? { ratio } : {}) };
  });
}

async function besideMany(
  say: (line: string) => void,
  { few, many, turns, purchases }: typeof FULL,
  status: 'RESERVED' | 'WAITING',
): Promise<Part> {
  const kind = status === 'RESERVED' ? 'live holds' : 'waiting';
  say(`${few} and ${many} ${kind}`);
  const [small, large] = await Promise.all([openOwnRedis(say), openOwnRedis(say)]);
  const problems: string[] = [];
  try {
    const isOpen = status === 'RESERVED';
    const buy = async (own: OwnRedis, saleId: string, count: number): Promise<void> => {
      const answered = await own.buy(saleId, count, status);
      if (answered !== count) problems.push(`${kind}: ${answered} of ${count} were ${status}`);
    };
    const crowded = await large.createSale(many * 2, isOpen);
    await buy(large, crowded, many);
    const rows = await takeTurns(
      {
        ...{ what: isOpen ? `${few} ${kind}` : 'an empty line', costs: [] },
        async turn() {
          // As few as at the beginning.
          await removeKeys(small.redis, OWN_PARTITION);
          const saleId = await small.createSale(many, isOpen);
          if (isOpen) await buy(small, saleId, few);
          return costOf(small, purchases, () => buy(small, saleId, purchases));
        },
      },
      {
        ...{ what: `${many} ${kind}`, costs: [] },
        turn: () => costOf(large, purchases, () => buy(large, crowded, purchases)),
      },
      turns,
    );
    return { rows, problems };
  } finally {
    await Promise.all([small.close(), large.close()]);
  }
}

async function besideSkus(say: (line: string) => void, { turns, purchases }: typeof FULL): Promise<Part> {
  const own = await openOwnRedis(say);
  const counter = createCounter({ stock: own.stock, clock: systemClock });
  const problems: string[] = [];
  async function side(skus: number): Promise<Side> {
    const saleId = randomId('sale', OWN_PARTITION);
    const items = Array.from({ length: skus }, (_, i) => ({
      ...{ sku: `${OWN_SKU}-${i}`, stock: purchases * turns, unitPrice: 49_900, currency: 'INR' },
    }));
    const terms = { opensAt: null, closesAt: null, holdMs: 3_600_000, perBuyerLimit: 1, lineLimit: null };
    const payments = { paymentStart: 'on_demand', startBacklogLimit: 0, admissionPerSecond: null } as const;
    await own.stock.createSale({ saleId, ...terms, ...payments, startNow: true, items });
    let next = 0;
    const buyOne = async (wish: ReturnType<typeof newWishes>[number]): Promise<void> => {
      const sku = `${OWN_SKU}-${next++ % skus}`;
      const outcome = await counter.buy({ ...wish, saleId, sku, hasKey: false }, Date.now() + DEADLINE_MS);
      if (outcome.kind !== 'purchase') problems.push(`${skus} SKUs: ${outcome.code}`);
    };
    return {
      ...{ what: `${skus} SKU${skus === 1 ? '' : 's'}, at the counter`, costs: [] },
      turn: () =>
        costOf(own, purchases, async () => {
          const wishes = newWishes(purchases);
          while (wishes.length > 0) await Promise.all(wishes.splice(-512).map(buyOne));
        }),
    };
  }
  try {
    return { rows: await takeTurns(await side(1), await side(SKUS), turns), problems };
  } finally {
    await counter.drain();
    await own.close();
  }
}
