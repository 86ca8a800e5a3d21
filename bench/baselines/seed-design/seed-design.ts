// The seed's design as a contender: its stores, its server, and its books, which are Postgres alone.
import { readFileSync } from 'node:fs';
import type { Say } from '../../../core/services/service.ts';
import type { Baseline } from '../../contender.ts';
import { startBaseline } from '../baseline-process.ts';
import { openGround, whenStill } from '../ground.ts';

const JWT_SECRET = 'a-secret-of-the-seed-design-in-a-bench';
/** As pg itself would have it: the orders of one product wait for its row, however many transactions there are. */
const POOL_SIZE = 10;

export async function openSeedDesign(say: Say): Promise<Baseline> {
  const ground = await openGround(say);
  const { databaseUrl, postgres } = ground;
  try {
    await postgres.query(readFileSync(new URL('./schema.sql', import.meta.url), 'utf8'));
    const settings = { databaseUrl, jwtSecret: JWT_SECRET, poolSize: POOL_SIZE };
    const server = await startBaseline(new URL('./server.ts', import.meta.url), settings);
    let sales = 0;
    return {
      ...{ name: 'seed design', perSecondMax: 3_000, url: server.url, jwtSecret: JWT_SECRET },
      processes: () => [...ground.processes(), { name: 'server', pid: server.pid }],
      async openSale(name, stock) {
        sales += 1;
        const sku = `SEED-${sales}`;
        await postgres.query(
          `WITH product AS (INSERT INTO products (sku, name, price) VALUES ($1, $2, 499) RETURNING id)
           INSERT INTO inventory (product_id, stock_count) SELECT id, $3 FROM product`,
          [sku, name, stock],
        );
        return { saleId: `sale_${sales}`, sku, stock };
      },
      // The order is the acknowledgement.
      backlog: async () => 0,
      async inspect({ sku, stock }, acknowledged, unanswered) {
        const read = () =>
          postgres.query<{ left: number; reserved: number; orders: number; units: number }>(
            `SELECT stock_count AS left, reserved_count AS reserved,
                  (SELECT count(*) FROM order_items i WHERE i.product_id = p.id) AS orders,
                  (SELECT coalesce(sum(quantity), 0) FROM order_items i WHERE i.product_id = p.id) AS units
             FROM products p JOIN inventory n ON n.product_id = p.id WHERE sku = $1`,
            [sku],
          );
        const { rows } = await whenStill(read);
        const { left = -1, reserved = -1, orders = -1, units = -1 } = rows[0] ?? {};
        const isWhole = left >= 0 && units === reserved && left + reserved === stock;
        const isTold = orders >= acknowledged && orders <= acknowledged + unanswered;
        const told = `${acknowledged} acknowledged, up to ${unanswered} unanswered`;
        return isWhole && isTold ? [] : [`seed design, ${sku}: ${JSON.stringify(rows[0])} of ${stock}; ${told}`];
      },
      async close() {
        server.stop();
        await ground.close();
      },
    };
  } catch (error) {
    await ground.close();
    throw error;
  }
}
