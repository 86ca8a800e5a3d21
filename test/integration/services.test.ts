import { expect, test } from 'vitest';
import { openTestDatabase, openTestRedis } from '../support/stack.ts';

test('a redis', async () => {
  const redis = await openTestRedis();
  expect(await redis.redis.ping()).toBe('PONG');
  await redis.flush(); await redis.close();
  console.time('db');
  const db = await openTestDatabase();
  console.timeEnd('db');
  console.log((await db.postgres.query('select table_name from information_schema.tables where table_schema=$1', ['public'])).rows.map(r=>r.table_name).join(' '));
  await db.drop();
});
