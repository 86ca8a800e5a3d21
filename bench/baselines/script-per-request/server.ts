// What many would build today: Fastify 5, one script a request by ioredis (which pipelines what falls due in one turn), and
// one BullMQ job an order. The answer follows the job, so that an acknowledged purchase is in Redis and becomes an order.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Queue } from 'bullmq';
import fastify from 'fastify';
import { Redis, type Result } from 'ioredis';
import { createTokenCheck } from '../token-check.ts';

interface Settings {
  redisUrl: string;
  jwtSecret: string;
  check: 'jose' | 'sync';
}

declare module 'ioredis' {
  interface RedisCommander<Context> {
    reserve(...words: string[]): Result<[string, string], Context>;
  }
}

const PER_BUYER_LIMIT = 1;
const PRICE = 499;

// Started by baseline-process.ts, which writes the word.
const { redisUrl, jwtSecret, check: kind } = JSON.parse(process.argv[2] ?? '{}') as Settings;
const redis = new Redis(redisUrl, { enableAutoPipelining: true, noDelay: true });
redis.defineCommand('reserve', {
  numberOfKeys: 4,
  lua: readFileSync(new URL('./reserve.lua', import.meta.url), 'utf8'),
});
const orders = new Queue('orders', {
  connection: new Redis(redisUrl, { enableAutoPipelining: true, maxRetriesPerRequest: null }),
  defaultJobOptions: { removeOnComplete: true, attempts: 1_000, backoff: { type: 'exponential', delay: 100 } },
});
const check = createTokenCheck(kind, jwtSecret);

const answer = {
  type: 'object',
  properties: {
    ...{ purchaseId: { type: 'string' }, status: { type: 'string' }, sku: { type: 'string' } },
    ...{ quantity: { type: 'integer' }, unitPrice: { type: 'number' }, code: { type: 'string' } },
  },
};
const schema = {
  body: {
    type: 'object',
    required: ['sku', 'quantity'],
    additionalProperties: false,
    properties: { sku: { type: 'string', maxLength: 100 }, quantity: { type: 'integer', minimum: 1, maximum: 100 } },
  },
  response: { 201: answer, 200: answer, 401: answer, 409: answer },
};

const app = fastify({ logger: false });
app.post<{ Params: { saleId: string }; Body: { sku: string; quantity: number } }>(
  '/api/v1/sales/:saleId/purchases',
  { schema },
  async (request, reply) => {
    const buyer = await check(request.headers.authorization);
    if (buyer === undefined) return reply.code(401).send({ code: 'UNAUTHENTICATED' });
    const { sku, quantity } = request.body;
    const { saleId } = request.params;
    const id = `pur_${randomBytes(12).toString('hex')}`;
    const record = { purchaseId: id, buyer, saleId, sku, quantity, unitPrice: PRICE, createdAt: Date.now() };
    const key = request.headers['idempotency-key'];
    const [code, purchaseId] = await redis.reserve(
      ...['stock', 'buyers', 'keys', 'purchases'].map((name) => `{${saleId}:${sku}}:${name}`),
      ...[id, buyer, String(quantity), String(PER_BUYER_LIMIT), typeof key === 'string' ? key : ''],
      JSON.stringify(record),
    );
    if (code !== 'RESERVED' && code !== 'REPLAY') return reply.code(409).send({ code });
    if (code === 'RESERVED') await orders.add('order', record, { jobId: purchaseId });
    return reply.code(201).send({ purchaseId, status: 'RESERVED', sku, quantity, unitPrice: PRICE });
  },
);

await redis.ping();
await orders.waitUntilReady();
const url = await app.listen({ port: 0, host: '127.0.0.1' });
process.send?.({ url });
process.once('disconnect', () => process.exit());
