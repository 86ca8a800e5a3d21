// Stores for `npm run sim`: a Redis and a Postgres of its own below the system's temporary folder, gone when it ends; what a run
// that was killed left behind is cleared by the next. Nothing of theirs needs to survive, so nothing waits for a disk.
import { join } from 'node:path';
import { migrate } from '../../core/postgres/migrate.ts';
import { openPostgres } from '../../core/postgres/postgres.ts';
import { connectRedis, whenReady } from '../../core/redis/redis.ts';
import { openDataDirectory } from '../../core/services/data-dir.ts';
import { startPostgres } from '../../core/services/postgres.ts';
import { ensureRedis } from '../../core/services/redis-binary.ts';
import { startRedis } from '../../core/services/redis.ts';
import { clearDeadRuns, makeThrowaway, removeThrowaway } from '../../scripts/start/throwaway.ts';
import { postgresSocket, redisSocket } from '../support/unix-socket.ts';
import { openStage, prepareDatabase, type Stage } from './stage.ts';

const PREFIX = 'doorbuster-sim-';

export async function openOwnStores(say: (line: string) => void): Promise<Stage & { close(): Promise<void> }> {
  await clearDeadRuns(PREFIX, [], say);
  const directory = makeThrowaway(PREFIX);
  // Held as long as this process lives: by it the next run knows that nobody uses the directory any more.
  openDataDirectory(directory);
  const program = await ensureRedis(say);
  const redisPlace = redisSocket(directory);
  const postgresPlace = postgresSocket(join(directory, 'postgres'));
  const args = ['--appendonly', 'no', ...redisPlace.args];
  const redisService = await startRedis({ program, directory: join(directory, 'redis'), args, say });
  const loose = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off', autovacuum: 'off' };
  const settings = { ...loose, ...postgresPlace.settings };
  const service = await startPostgres({ directory: join(directory, 'postgres'), password: 'sim', settings, say });
  const url = postgresPlace.addressOf(service.url);
  const first = openPostgres(url, { max: 1, name: 'simulation-setup' });
  await migrate(first, new URL('../../db/migrations/', import.meta.url));
  await prepareDatabase(first);
  await first.close();
  const postgres = openPostgres(url, { max: 1, name: 'simulation' });
  const redis = connectRedis(redisPlace.addressOf(redisService.url), 'scripts');
  await whenReady(redis, 10_000);
  const stage = await openStage(redis, postgres, url);
  return {
    ...stage,
    async close() {
      redis.disconnect();
      await postgres.close();
      redisService.kill('SIGKILL');
      service.kill('SIGQUIT');
      // The servers are no children to wait for, as far as Node's loop is concerned.
      const patience = setInterval(() => undefined, 1_000);
      await Promise.all([redisService.ended, service.ended]);
      clearInterval(patience);
      await removeThrowaway(directory);
    },
  };
}
