import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { migrate } from '../../core/postgres/migrate.ts';
import { openPostgres } from '../../core/postgres/postgres.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import { openTestDatabase, temporaryDirectory } from '../support/stack.ts';
import type { TestDatabase } from '../support/stack.ts';

const databases: TestDatabase[] = [];
let postgres: Postgres;
let url: string;
let folder: string;

beforeEach(async () => {
  const database = await openTestDatabase();
  databases.push(database);
  ({ postgres, url } = database);
  // The template has the shop's migrations; these tests are about others.
  await postgres.query('TRUNCATE schema_migrations');
  folder = temporaryDirectory('migrations');
  write('0001_first.sql', 'CREATE TABLE first (id int); CREATE TABLE second (id int);');
  write('0002_rows.sql', 'INSERT INTO first VALUES (1);');
});

afterAll(async () => {
  for (const database of databases) await database.drop();
});

function write(name: string, sql: string): void {
  writeFileSync(join(folder, name), sql);
}

const rows = async () => (await postgres.query<{ n: number }>('SELECT count(*) AS n FROM first')).rows[0]?.n;

describe('migrate', () => {
  it('runs what is new, in order, once', async () => {
    expect(await migrate(postgres, folder)).toEqual(['0001_first.sql', '0002_rows.sql']);
    expect(await migrate(postgres, folder)).toEqual([]);
    write('0003_more.sql', 'INSERT INTO first VALUES (2), (3)');
    expect(await migrate(postgres, folder)).toEqual(['0003_more.sql']);
    expect(await rows()).toBe(3);
  });

  it('leaves nothing behind when one of them fails', async () => {
    write('0003_wrong.sql', 'INSERT INTO nowhere VALUES (1)');
    await expect(migrate(postgres, folder)).rejects.toThrow(/nowhere/);
    await expect(postgres.query('SELECT * FROM first')).rejects.toThrow(/first/);
  });

  it('refuses an edited, a misnamed, a doubled and a late migration', async () => {
    await migrate(postgres, folder);
    write('0002_rows.sql', 'INSERT INTO first VALUES (9);');
    await expect(migrate(postgres, folder)).rejects.toThrow(/edited/);
    write('0002_rows.sql', 'INSERT INTO first VALUES (1);');
    write('0000_late.sql', 'SELECT 1');
    await expect(migrate(postgres, folder)).rejects.toThrow(/sorts before/);
    write('0001_double.sql', 'SELECT 1');
    await expect(migrate(postgres, folder)).rejects.toThrow(/same number/);
    write('later.sql', 'SELECT 1');
    await expect(migrate(postgres, folder)).rejects.toThrow(/later\.sql/);
  });

  it('is done once when several processes start together', async () => {
    write('0003_slow.sql', 'SELECT pg_sleep(0.2)');
    const pools = Array.from({ length: 4 }, () => openPostgres(url, { max: 1, name: 'test-migrate' }));
    const done = await Promise.all(pools.map((pool) => migrate(pool, folder)));
    expect(done.flat()).toHaveLength(3);
    expect(await rows()).toBe(1);
    await Promise.all(pools.map((pool) => pool.close()));
  });
});
