// The two real stores that histories are played on, and how they are emptied between two of them. The scripts are loaded
// beforehand, so that no history begins with another one's leftovers.
import { keys } from '../../actors/keys.ts';
import { LAYOUT_FORM, scripts } from '../../actors/scripts.ts';
import { PARTITIONS } from '../../core/constants.ts';
import { openPostgres, type Postgres } from '../../core/postgres/postgres.ts';
import type { Redis } from '../../core/redis/redis.ts';

export interface Stage {
  readonly redis: Redis;
  readonly postgres: Postgres;
  readonly redisRun: string;
  /** A pool of its own, whose now() is `nowMs`. */
  openPostgresAt(nowMs: number): Promise<Postgres>;
  /** Empty stores, in which every partition has its first epoch. */
  reset(): Promise<void>;
}

const RESETS_A_FILE = 50;

/** `now()` of SQL is the simulation's, in statements and in columns' defaults; for all connections made afterwards. */
export async function prepareDatabase(postgres: Postgres): Promise<void> {
  await postgres.query(`
    CREATE SCHEMA IF NOT EXISTS sim;
    CREATE OR REPLACE FUNCTION sim.now() RETURNS timestamptz LANGUAGE sql VOLATILE AS
      $$ SELECT to_timestamp(current_setting('sim.now')::float8 / 1000) $$;
    DO $$ DECLARE c record; BEGIN
      EXECUTE format('ALTER DATABASE %I SET search_path = sim, pg_catalog, public', current_database());
      EXECUTE format('ALTER DATABASE %I SET sim.now = 0', current_database());
      FOR c IN SELECT d.adrelid::regclass AS place, a.attname AS name FROM pg_attrdef d
                 JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                WHERE pg_get_expr(d.adbin, d.adrelid) = 'now()'
      LOOP EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT sim.now()', c.place, c.name); END LOOP;
    END $$`);
}

/** `postgres`: one connection, made after `prepareDatabase`. */
export async function openStage(redis: Redis, postgres: Postgres, databaseUrl: string): Promise<Stage> {
  const { rows } = await postgres.query<{ name: string }>(
    "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_migrations'",
  );
  const tables = rows.map((row) => row.name);
  // The ledger's trigger refuses what no one but a simulation does.
  const replica = 'SET session_replication_role = replica';
  const deletions = [replica, ...tables.map((table) => `DELETE FROM ${table}`), 'RESET session_replication_role'].join(
    '; ',
  );
  let resets = 0;
  const epochs = Array.from({ length: PARTITIONS }, (_, partition) => `(${partition}, 1, 0)`).join(', ');
  const info = await redis.info('server');
  let loaded = '';
  const run = /run_id:([0-9a-f]{12})/.exec(info)?.[1] ?? '';
  return {
    redis,
    postgres,
    redisRun: run,
    async openPostgresAt(nowMs) {
      await postgres.query(
        `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET sim.now = ${nowMs}', current_database()); END $$`,
      );
      return openPostgres(databaseUrl, { max: 4, name: 'simulation-rebuild' });
    },
    async reset() {
      const batch = redis.pipeline();
      batch.flushall();
      const all = Object.values(scripts);
      const shas = all.map((script) => script.sha).join();
      if (shas !== loaded) for (const script of all) batch.script('LOAD', script.source);
      loaded = shas;
      for (let partition = 0; partition < PARTITIONS; partition++) {
        batch.hset(keys.fence(partition), { epoch: 1, seq: 0, applied: 0, form: LAYOUT_FORM, testClock: 1, run });
      }
      await batch.exec();
      // To empty tables of a few rows row by row is faster; now and then they get new files, which are small again.
      const empty = resets % RESETS_A_FILE === 0 ? `TRUNCATE ${tables.join(', ')} RESTART IDENTITY` : deletions;
      resets += 1;
      await postgres.query(`${empty}; INSERT INTO partitions (partition, epoch, seq) VALUES ${epochs}`);
    },
  };
}
