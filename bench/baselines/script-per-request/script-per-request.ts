// The script-per-request design as a contender: its stores, its server and worker, and its books: Redis holds the stock and
// the purchases, Postgres the orders, and they must say the same once the jobs are done.
import { readFileSync } from 'node:fs';
import type { Say } from '../../../core/services/service.ts';
import type { Baseline } from '../../contender.ts';
import type { Offer } from '../../stage.ts';
import { startBaseline } from '../baseline-process.ts';
import { openGround, whenStill } from '../ground.ts';

const JWT_SECRET = 'a-secret-of-the-script-per-request-bench';
const CONCURRENCY = 100;

const keyOf = ({ saleId, sku }: Offer, name: string): string => `{${saleId}:${sku}}:${name}`;

export async function openScriptPerRequest(say: Say, check: 'jose' | 'sync' = 'jose'): Promise<Baseline> {
  const ground = await openGround(say);
  const { databaseUrl, redisUrl, postgres, redis } = ground;
  try {
    await postgres.query(readFileSync(new URL('./schema.sql', import.meta.url), 'utf8'));
    const worker = await startBaseline(new URL('./worker.ts', import.meta.url), {
      ...{ redisUrl, databaseUrl, concurrency: CONCURRENCY },
    });
    const server = await startBaseline(new URL('./server.ts', import.meta.url), {
      redisUrl,
      jwtSecret: JWT_SECRET,
      check,
    });
    const countOrders = async ({ sku }: Offer): Promise<number> => {
      const { rows } = await postgres.query<{ orders: number }>(
        'SELECT count(*) AS orders FROM orders o JOIN order_items i ON i.order_id = o.id WHERE sku = $1',
        [sku],
      );
      return rows[0]?.orders ?? 0;
    };
    // Jobs that are not done: asked for every few milliseconds, so it must cost nothing that the run would pay for.
    const backlog = async (): Promise<number> =>
      (await redis.llen('bull:orders:wait')) +
      (await redis.llen('bull:orders:active')) +
      (await redis.zcard('bull:orders:delayed'));
    let sales = 0;
    return {
      ...{ name: `script per request, ${check}`, perSecondMax: 8_000, url: server.url, jwtSecret: JWT_SECRET, backlog },
      processes: () => [
        ...ground.processes(),
        { name: 'server', pid: server.pid },
        { name: 'worker', pid: worker.pid },
      ],
      async openSale(_name, stock) {
        sales += 1;
        const offer = { saleId: `sale_${sales}`, sku: `SCRIPT-${sales}`, stock };
        await redis.set(keyOf(offer, 'stock'), stock);
        return offer;
      },
      async inspect(offer, acknowledged, unanswered) {
        const { left, purchases, buyers, orders } = await whenStill(async () => ({
          left: Number(await redis.get(keyOf(offer, 'stock'))),
          purchases: await redis.hlen(keyOf(offer, 'purchases')),
          buyers: await redis.hlen(keyOf(offer, 'buyers')),
          orders: await countOrders(offer),
        }));
        const isWhole = left >= 0 && left + purchases === offer.stock && purchases === buyers && purchases === orders;
        const isTold = orders >= acknowledged && orders <= acknowledged + unanswered;
        const found = JSON.stringify({ left, purchases, buyers, orders });
        const told = `${acknowledged} acknowledged, up to ${unanswered} unanswered`;
        return isWhole && isTold ? [] : [`script per request: ${found} of ${offer.stock}; ${told}`];
      },
      async close() {
        server.stop();
        worker.stop();
        await ground.close();
      },
    };
  } catch (error) {
    await ground.close();
    throw error;
  }
}
