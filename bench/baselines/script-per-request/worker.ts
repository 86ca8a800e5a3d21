// Writes each job's order to Postgres: one statement, which is one transaction with order and item, and once per order id.
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import pg from 'pg';

interface Settings {
  redisUrl: string;
  databaseUrl: string;
  concurrency: number;
}

interface OrderJob {
  purchaseId: string;
  buyer: string;
  sku: string;
  quantity: number;
  unitPrice: number;
  createdAt: number;
}

const POOL_SIZE = 20;

// Started by baseline-process.ts, which writes the word.
const { redisUrl, databaseUrl, concurrency } = JSON.parse(process.argv[2] ?? '{}') as Settings;
const pool = new pg.Pool({ connectionString: databaseUrl, max: POOL_SIZE });
const worker = new Worker<OrderJob>(
  'orders',
  async ({ data: { purchaseId, buyer, sku, quantity, unitPrice, createdAt } }) => {
    await pool.query({
      name: 'order',
      text: `WITH new_order AS (
               INSERT INTO orders (order_id, user_id, total_amount, created_at) VALUES ($1, $2, $3, to_timestamp($4))
               ON CONFLICT (order_id) DO NOTHING RETURNING id)
             INSERT INTO order_items (order_id, sku, quantity, unit_price) SELECT id, $5, $6, $7 FROM new_order`,
      values: [purchaseId, buyer, unitPrice * quantity, createdAt / 1_000, sku, quantity, unitPrice],
    });
  },
  { connection: new Redis(redisUrl, { maxRetriesPerRequest: null, enableAutoPipelining: true }), concurrency },
);
await worker.waitUntilReady();
process.send?.({ url: '' });
process.once('disconnect', () => process.exit());
