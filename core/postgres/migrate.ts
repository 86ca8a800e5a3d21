// Migrations: `0001_name.sql` files, forward only, each once, all that are new in one transaction.
// Safe when several processes start together: an advisory lock lets one of them do it, the others then find it done.
// A file that was changed after it ran, or that sorts before one that ran, is refused: history is not edited.
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep, systemClock } from '../clock.ts';
import { MIGRATION_LOCK_POLL_MS, MIGRATION_LOCK_WAIT_MS } from '../constants.ts';
import { fault } from '../errors.ts';
import type { Postgres, Queryable } from './postgres.ts';

interface Migration {
  name: string;
  sql: string;
  checksum: string;
}

const FILE_NAME = /^\d{4}_[a-z0-9_]+\.sql$/;
const LOCK_KEY = 7_205_113; // any number that no other user of the database's advisory locks has

/** Runs what has not run yet and returns its names. */
export async function migrate(postgres: Postgres, directory: string | URL): Promise<string[]> {
  const migrations = await readMigrations(directory instanceof URL ? fileURLToPath(directory) : directory);
  return postgres.transaction(async (tx) => {
    await takeLock(tx);
    // Ends with the transaction. A migration may rightly take longer than a statement of the shop.
    await tx.query('SET LOCAL statement_timeout = 0');
    const applied = await readApplied(tx);
    const pending = selectPending(migrations, applied);
    for (const migration of pending) {
      await tx.query(migration.sql);
      await tx.query('INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)', [
        migration.name,
        migration.checksum,
      ]);
    }
    return pending.map((migration) => migration.name);
  });
}

/** Polls rather than waits: a waiting statement would meet its own time-outs. */
async function takeLock(tx: Queryable): Promise<void> {
  const giveUpAt = systemClock.now() + MIGRATION_LOCK_WAIT_MS;
  for (;;) {
    const { rows } = await tx.query<{ taken: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS taken', [LOCK_KEY]);
    if (rows[0]?.taken === true) return;
    if (systemClock.now() > giveUpAt) throw fault('UNAVAILABLE', 'Another process has been migrating for too long');
    await sleep(MIGRATION_LOCK_POLL_MS);
  }
}

async function readApplied(tx: Queryable): Promise<Map<string, string>> {
  await tx.query(
    `CREATE TABLE IF NOT EXISTS schema_migrations (
       name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`,
  );
  const { rows } = await tx.query<{ name: string; checksum: string }>('SELECT name, checksum FROM schema_migrations');
  return new Map(rows.map((row) => [row.name, row.checksum]));
}

/** A name in the database that has no file is a newer version's: that is a rolling deployment, not an error. */
function selectPending(migrations: readonly Migration[], applied: ReadonlyMap<string, string>): Migration[] {
  const newest = [...applied.keys()].sort().at(-1) ?? '';
  return migrations.filter((migration) => {
    const checksum = applied.get(migration.name);
    if (checksum === undefined) {
      if (migration.name < newest) throw new Error(`Migration ${migration.name} sorts before ${newest}, which has run`);
      return true;
    }
    if (checksum !== migration.checksum) throw new Error(`Migration ${migration.name} was edited after it ran`);
    return false;
  });
}

async function readMigrations(folder: string): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  const misnamed = names.filter((name) => !FILE_NAME.test(name));
  if (misnamed.length > 0) throw new Error(`Not a migration's name (0001_what.sql): ${misnamed.join(', ')}`);
  const numbers = names.map((name) => name.slice(0, 4));
  if (new Set(numbers).size !== numbers.length) throw new Error('Two migrations have the same number');
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(join(folder, name), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}
