import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isInfrastructureError, openPostgres } from '../../core/postgres/postgres.ts';
import type { Postgres } from '../../core/postgres/postgres.ts';
import { openTestDatabase } from '../support/stack.ts';
import type { TestDatabase } from '../support/stack.ts';

let database: TestDatabase;
let postgres: Postgres;

beforeAll(async () => {
  database = await openTestDatabase();
  postgres = openPostgres(database.url, { max: 2, name: 'test' });
  await postgres.query('CREATE TABLE units (id text PRIMARY KEY, n bigint NOT NULL CHECK (n >= 0))');
});

afterAll(async () => {
  await postgres.close();
  await database.drop();
});

const ids = async () =>
  (await postgres.query<{ id: string }>('SELECT id FROM units ORDER BY id')).rows.map((row) => row.id);
const caught = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );
const backend = async (db: Pick<Postgres, 'query'>) =>
  (await db.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid ?? 0;

describe('types', () => {
  it('gives BIGINT, counts and sums as numbers, times as dates', async () => {
    const { rows, rowCount } = await postgres.query(
      'SELECT 9007199254740991::bigint AS big, count(*) AS many, sum(v) AS total, to_timestamp(0) AS at FROM unnest($1::bigint[]) v',
      [[1, 2, 3]],
    );
    expect(rowCount).toBe(1);
    expect(rows[0]).toEqual({ big: 9_007_199_254_740_991, many: 3, total: 6, at: new Date(0) });
  });

  it('throws rather than lose digits', async () => {
    await expect(postgres.query('SELECT 9007199254740993::bigint')).rejects.toThrow(RangeError);
    expect(await backend(postgres)).toBeGreaterThan(0);
  });
});

describe('transactions', () => {
  it('commit together or not at all', async () => {
    await postgres.transaction(async (tx) => {
      await tx.query('INSERT INTO units VALUES ($1, 1), ($2, 1)', ['a', 'b']);
    });
    const error = await caught(
      postgres.transaction(async (tx) => {
        await tx.query("INSERT INTO units VALUES ('c', 1)");
        await tx.query("INSERT INTO units VALUES ('a', 1)");
      }),
    );
    expect(isInfrastructureError(error)).toBe(false);
    expect(await ids()).toEqual(['a', 'b']);
  });

  it('do not pass for committed when a failed statement was ignored', async () => {
    const work = postgres.transaction(async (tx) => {
      await tx.query("INSERT INTO units VALUES ('d', 1)");
      await caught(tx.query("INSERT INTO units VALUES ('a', 1)"));
    });
    await expect(work).rejects.toThrow(/rolled back/);
    expect(await ids()).toEqual(['a', 'b']);
  });

  it('cannot be used after they ended', async () => {
    let leaked: Pick<Postgres, 'query'> | undefined;
    await postgres.transaction(async (tx) => {
      leaked = tx;
      await tx.query('SELECT 1');
    });
    await expect(leaked?.query('SELECT 1')).rejects.toThrow(/has ended/);
  });

  it('keep their connection after an error in the data, and drop a connection that broke', async () => {
    const one = openPostgres(database.url, { max: 1, name: 'test' });
    const before = await backend(one);
    await caught(one.query("INSERT INTO units VALUES ('x', -1)"));
    await caught(one.transaction((tx) => tx.query("INSERT INTO units VALUES ('x', -1)")));
    expect(await backend(one)).toBe(before);
    const error = await caught(
      one.transaction(async (tx) => {
        await tx.query("INSERT INTO units VALUES ('x', 1)");
        await postgres.query('SELECT pg_terminate_backend($1)', [before]);
        await tx.query('SELECT 1');
      }),
    );
    expect(isInfrastructureError(error)).toBe(true);
    expect(await backend(one)).not.toBe(before);
    expect(await ids()).toEqual(['a', 'b']);
    await one.close();
  });
});

describe('outages', () => {
  it('survives the loss of an idle connection', async () => {
    const one = openPostgres(database.url, { max: 1, name: 'test' });
    const pid = await backend(one);
    await postgres.query('SELECT pg_terminate_backend($1)', [pid]);
    await expect.poll(() => caught(backend(one))).not.toBe(pid);
    await one.close();
  });

  it('calls a server that cannot be reached an infrastructure error', async () => {
    const absent = openPostgres('postgres://nobody@127.0.0.1:1/none', { max: 1, name: 'test' });
    expect(isInfrastructureError(await caught(absent.query('SELECT 1')))).toBe(true);
    await absent.close();
  });
});
