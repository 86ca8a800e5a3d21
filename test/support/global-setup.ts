// Once per run: a real Postgres 18 with the migrations in a template database, and a Redis program that is known to be
// there. Test files get a database and a Redis of their own from stack.ts.
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { migrate } from '../../core/postgres/migrate.ts';
import { openPostgres } from '../../core/postgres/postgres.ts';
import { startPostgres } from '../../core/services/postgres.ts';
import { ensureRedis } from '../../core/services/redis-binary.ts';
import { postgresSocket } from './unix-socket.ts';
import { clearDeadRuns, clearRunDirectory, createRunDirectory } from './run-directory.ts';

declare module 'vitest' {
  interface ProvidedContext {
    runDirectory: string;
    redisProgram: string;
    adminUrl: string;
    /** Why there is no template database: a broken migration fails the tests that need one, and no others. */
    templateFault: string;
  }
}

const say = (line: string): void => console.log(line);

export default async function setup(project: TestProject): Promise<() => void> {
  clearDeadRuns();
  const redisProgram = await ensureRedis(say);
  const runDirectory = createRunDirectory();
  // Ctrl-C ends the runner through this event and not through the teardown. Killed outright it leaves the servers to
  // the next run. The data is thrown away, so nothing has to end in an orderly way.
  process.once('exit', () => clearRunDirectory(runDirectory));
  const adminUrl = await startDatabase(runDirectory);
  project.provide('runDirectory', runDirectory);
  project.provide('redisProgram', redisProgram);
  project.provide('adminUrl', adminUrl);
  project.provide('templateFault', await createTemplate(adminUrl));
  return () => clearRunDirectory(runDirectory);
}

async function startDatabase(runDirectory: string): Promise<string> {
  const directory = join(runDirectory, 'postgres');
  const near = postgresSocket(directory);
  const postgres = await startPostgres({
    directory,
    password: 'test',
    // Processes are killed in tests, the machine is not: what reached the kernel survives, so fsync buys nothing here.
    settings: { fsync: 'off', full_page_writes: 'off', max_connections: '400', ...near.settings },
    say,
  });
  return postgres.url;
}

async function createTemplate(adminUrl: string): Promise<string> {
  try {
    const admin = openPostgres(adminUrl, { max: 1, name: 'test-admin' });
    await admin.query('CREATE DATABASE template_doorbuster');
    const template = openPostgres(adminUrl.replace(/\/postgres$/, '/template_doorbuster'), {
      max: 1,
      name: 'test-migrate',
    });
    try {
      await migrate(template, new URL('../../db/migrations/', import.meta.url));
    } finally {
      await template.close();
    }
    await admin.query('ALTER DATABASE template_doorbuster WITH IS_TEMPLATE true ALLOW_CONNECTIONS false');
    await admin.close();
    return '';
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}
