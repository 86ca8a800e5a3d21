// The seed's own design as a good engineer would write it: Express 5, a pool of pg, and one transaction an order. The stock row
// comes last (as in the seed's createOrder), so that its lock is held for one statement and the commit; the seed's mistake of
// reserving outside the transaction is not copied. Products are read once: the seed keeps them in a cache.
import { randomBytes } from 'node:crypto';
import express, { type Request, type Response } from 'express';
import pg from 'pg';
import { createTokenCheck } from '../token-check.ts';

interface Settings {
  databaseUrl: string;
  jwtSecret: string;
  poolSize: number;
}

interface Product {
  id: string;
  price: string;
}

// Started by baseline-process.ts, which writes the word.
const { databaseUrl, jwtSecret, poolSize } = JSON.parse(process.argv[2] ?? '{}') as Settings;
const pool = new pg.Pool({ connectionString: databaseUrl, max: poolSize, keepAlive: true });
const check = createTokenCheck('jose', jwtSecret);
const products = new Map<string, Product>();

async function findProduct(sku: string): Promise<Product | undefined> {
  const cached = products.get(sku);
  if (cached !== undefined) return cached;
  const { rows } = await pool.query<Product>('SELECT id, price FROM products WHERE sku = $1', [sku]);
  if (rows[0] !== undefined) products.set(sku, rows[0]);
  return rows[0];
}

/** Undefined: there is not so much left. */
async function createOrder(userId: string, product: Product, quantity: number): Promise<string | undefined> {
  const client = await pool.connect();
  const orderId = `ord_${randomBytes(12).toString('hex')}`;
  const total = Number(product.price) * quantity;
  try {
    await client.query('BEGIN');
    const { rows } = await client.query<{ id: string }>({
      name: 'order',
      text: 'INSERT INTO orders (order_id, user_id, total_amount) VALUES ($1, $2, $3) RETURNING id',
      values: [orderId, userId, total],
    });
    await client.query({
      name: 'item',
      text: 'INSERT INTO order_items (order_id, product_id, quantity, unit_price, total_price) VALUES ($1, $2, $3, $4, $5)',
      values: [rows[0]?.id, product.id, quantity, product.price, total],
    });
    const { rowCount } = await client.query({
      name: 'reserve',
      text: `UPDATE inventory SET stock_count = stock_count - $1, reserved_count = reserved_count + $1, updated_at = now()
              WHERE product_id = $2 AND stock_count >= $1`,
      values: [quantity, product.id],
    });
    await client.query(rowCount === 1 ? 'COMMIT' : 'ROLLBACK');
    return rowCount === 1 ? orderId : undefined;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}

const isWish = (body: unknown): body is { sku: string; quantity: number } => {
  const { sku, quantity } = (body ?? {}) as Record<string, unknown>;
  return typeof sku === 'string' && Number.isInteger(quantity) && Number(quantity) > 0 && Number(quantity) <= 100;
};

async function buy(req: Request, res: Response): Promise<void> {
  const userId = await check(req.headers.authorization);
  if (userId === undefined) return void res.status(401).json({ code: 'UNAUTHENTICATED' });
  const body: unknown = req.body;
  if (!isWish(body)) return void res.status(422).json({ code: 'VALIDATION_FAILED' });
  const product = await findProduct(body.sku);
  if (product === undefined) return void res.status(404).json({ code: 'SKU_NOT_FOUND' });
  const orderId = await createOrder(userId, product, body.quantity);
  if (orderId === undefined) return void res.status(409).json({ code: 'SOLD_OUT' });
  const { sku, quantity } = body;
  res.status(201).json({ purchaseId: orderId, status: 'CREATED', sku, quantity, unitPrice: Number(product.price) });
}

const app = express();
app.disable('x-powered-by').disable('etag');
app.post('/api/v1/sales/:saleId/purchases', express.json(), (req, res) => buy(req, res));

const server = app.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.send?.({ url: `http://127.0.0.1:${address.port}` });
});
process.once('disconnect', () => process.exit());
