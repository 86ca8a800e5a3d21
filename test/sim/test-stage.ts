// The stage of a test file: a Redis and a database of its own, and many seeds in a row.
import { randomInt } from 'node:crypto';
import { openPostgres } from '../../core/postgres/postgres.ts';
import { connectRedis, whenReady } from '../../core/redis/redis.ts';
import { openTestDatabase, startRedis, temporaryDirectory } from '../support/stack.ts';
import { redisSocket } from '../support/unix-socket.ts';
import { playHistory } from './history.ts';
import { tellFailure } from './report.ts';
import { openStage, prepareDatabase, type Stage } from './stage.ts';

export async function openTestStage(): Promise<Stage & { close(): Promise<void> }> {
  const place = redisSocket(temporaryDirectory('sim'));
  const [service, database] = await Promise.all([
    startRedis({ args: ['--appendonly', 'no', ...place.args] }),
    openTestDatabase({ max: 1 }),
  ]);
  await prepareDatabase(database.postgres);
  const redis = connectRedis(place.addressOf(service.url), 'scripts');
  await whenReady(redis, 10_000);
  const postgres = openPostgres(database.nearUrl, { max: 1, name: 'simulation' });
  const stage = await openStage(redis, postgres, database.nearUrl);
  return {
    ...stage,
    async close() {
      redis.disconnect();
      await postgres.close();
      await database.drop();
      await service.stop();
    },
  };
}

/** Plays `count` seeds from `from` on and one that nobody has chosen; throws what the first failing one tells. */
export async function playSeeds(
  stage: Stage,
  from: number,
  count: number,
  steps: number,
): Promise<{ purchases: number; paid: number }> {
  const surprise = randomInt(1_000_000, 2 ** 32);
  console.log(`simulation: seeds ${from} to ${from + count - 1}, and ${surprise}`);
  const sums = { purchases: 0, paid: 0 };
  for (const seed of [surprise, ...Array.from({ length: count }, (_, i) => from + i)]) {
    const result = await playHistory(stage, { seed, steps });
    if (result.violation !== undefined) throw new Error(tellFailure(result, steps));
    sums.purchases += result.purchases;
    sums.paid += result.paid;
  }
  return sums;
}
