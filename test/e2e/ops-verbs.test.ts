// The operators' command line against a whole running system, each verb in a process of its own.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keys } from '../../actors/keys.ts';
import { encodeOutbox } from '../../actors/outbox.ts';
import { loadConfig } from '../../core/config.ts';
import { partitionOf } from '../../core/ids.ts';
import { openPostgres, type Postgres } from '../../core/postgres/postgres.ts';
import { connectRedis, type Redis, whenReady } from '../../core/redis/redis.ts';
import { startSystem, type System } from '../../scripts/start/system.ts';
import type { AuditReport } from '../../shop/admin/admin.ts';
import { runOps } from '../support/ops.ts';
import { purchaseRecord } from '../support/outbox.ts';
import { temporaryDirectory } from '../support/stack.ts';

interface Sale {
  saleId: string;
  status: string;
  name: string;
  items: { sku: string; loaded: number; available: number; held: number; waiting: number }[];
}

let system: System;
let postgres: Postgres;
let redis: Redis;
let directory: string;

const ops = (...args: string[]) => runOps(args, { DATA_DIR: directory });
const fileOf = (name: string, content: string) => {
  const file = join(temporaryDirectory('ops'), name);
  writeFileSync(file, content);
  return file;
};

beforeAll(async () => {
  directory = temporaryDirectory('system');
  const env = { DATA_DIR: directory, PORT: '0', SANDBOX_PORT: '0', API_PROCESSES: '1', LOG_LEVEL: 'warn' };
  system = await startSystem(loadConfig(env), {
    say: () => undefined,
    env: { PATH: process.env['PATH'] },
    isQuiet: true,
  });
  postgres = openPostgres(system.config.databaseUrl, { max: 2, name: 'test' });
  redis = connectRedis(system.config.redisUrl, 'scripts');
  await whenReady(redis, 10_000);
});

afterAll(async () => {
  redis?.disconnect();
  await postgres?.close();
  await system?.stop();
});

describe('the command line', () => {
  it.concurrent.each([
    [[]],
    [['sale']],
    [['sale', 'create']],
    [['stock']],
    [['stock', 'seed']],
    [['audit']],
    [['dead']],
    [['dead', 'replay']],
    [['token']],
  ])('has help for %j', async (path: string[]) => {
    const run = await ops(...path, '--help');
    expect(run.code).toBe(0);
    expect(run.stdout).toMatch(/^Usage: ops/);
  });

  it.concurrent.each([
    [['sail']],
    [['sale', 'create', '--stock', 'many']],
    [['sale', 'open']],
    [['token']],
    [['token', '--user', 'me']],
    [['dead', 'replay']],
    [['stock', 'seed', '/nowhere.csv']],
    [['sale', 'list', '--url', 'shop.example']],
  ])('answers a wrong one with exit code 2: %j', async (path: string[]) => {
    const run = await ops(...path);
    expect(run.code).toBe(2);
    expect(run.stdout).toBe('');
    expect(run.stderr).not.toMatch(/\bat .*\.ts:/);
  });

  it('says what to do when nothing runs', async () => {
    const run = await runOps(['audit'], { DATA_DIR: temporaryDirectory('nothing') });
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('start it with npm start, or set DATABASE_URL and REDIS_URL');
    const json = await runOps(['sale', 'list', '--json'], { DATA_DIR: temporaryDirectory('nothing') });
    expect(json.code).toBe(1);
    expect(json.stderr).toBe('');
    expect(json.json<{ error: { message: string } }>().error.message).toContain('no running system found');
  });

  it('lists every problem of its environment', async () => {
    const run = await runOps(['audit'], { PORT: 'x', REDIS_URL: 'nonsense' });
    expect(run.code).toBe(2);
    expect(run.stderr).toMatch(/PORT[\s\S]*REDIS_URL/);
  });
});

describe('a sale', () => {
  it('is created, opened, paused, closed, shown and listed', async () => {
    const created = await ops(
      'sale',
      'create',
      '--name',
      'Noon',
      '--sku',
      'LIFE-1',
      '--stock',
      '40',
      '--price',
      '9.50',
      '--limit',
      '2',
      '--json',
    );
    expect(created).toMatchObject({ code: 0, stderr: '' });
    const { saleId, status } = created.json<Sale>();
    expect(status).toBe('SCHEDULED');
    for (const [move, expected] of [
      ['open', 'OPEN'],
      ['pause', 'PAUSED'],
      ['open', 'OPEN'],
    ] as const) {
      const moved = await ops('sale', move, saleId, '--json');
      expect(moved.json<Sale>().status).toBe(expected);
    }
    const shown = await ops('sale', 'show', saleId);
    expect(shown.stdout).toMatch(/Noon .*OPEN[\s\S]*LIFE-1 +·{24} +40 +0 +0 +40 +0 +9.5 INR/);
    const listed = await ops('sale', 'list', '--status', 'OPEN', '--json');
    expect(listed.json<{ items: Sale[] }>().items.map((sale) => sale.saleId)).toContain(saleId);
    expect((await ops('sale', 'close', saleId, '--json')).json<Sale>().status).toBe('CLOSED');
    const refused = await ops('sale', 'open', saleId, '--json');
    expect(refused.code).toBe(1);
    expect(refused.json<{ error: { code: string } }>().error.code).toBe('ILLEGAL_TRANSITION');
  });

  it('comes from a file as well, and a refusal names the field or the other sale', async () => {
    const file = fileOf(
      'sale.json',
      JSON.stringify({ name: 'From a file', items: [{ sku: 'FILE-1', stock: 3, price: 1, currency: 'EUR' }] }),
    );
    const created = await ops('sale', 'create', '--file', file, '--hold', '30', '--open', '--json');
    expect(created.json<Sale & { holdSeconds: number }>()).toMatchObject({
      name: 'From a file',
      status: 'OPEN',
      holdSeconds: 30,
    });
    const taken = await ops('sale', 'create', '--sku', 'FILE-1');
    expect(taken).toMatchObject({ code: 1, stdout: '' });
    expect(taken.stderr).toContain(created.json<Sale>().saleId);
    const invalid = await ops('sale', 'create', '--sku', 'NOT A SKU');
    expect(invalid.code).toBe(1);
    expect(invalid.stderr).toContain('sku');
    expect((await ops('sale', 'show', 'sale_00nosuchsalexxxxxxxx')).code).toBe(1);
  });
});

describe('stock', () => {
  it('is added once an operation', async () => {
    await ops('sale', 'create', '--sku', 'ADD-1', '--stock', '5', '--open');
    for (let i = 0; i < 2; i++) expect((await ops('stock', 'add', 'ADD-1', '7', '--id', 'delivery-1')).code).toBe(0);
    expect((await ops('stock', 'show', 'ADD-1', '--json')).json()).toMatchObject({
      sku: 'ADD-1',
      loaded: 12,
      available: 12,
    });
    expect((await ops('stock', 'add', 'ADD-1', '--', '-2')).stdout).toMatch(/ADD-1 +·+ +10/);
    const below = await ops('stock', 'add', 'ADD-1', '--', '-11');
    expect(below).toMatchObject({ code: 1, stdout: '' });
    expect((await ops('stock', 'show', 'UNKNOWN')).code).toBe(1);
  });

  it('of a file is seeded once, however often the file is run', async () => {
    const file = fileOf(
      'noon drop.csv',
      `sku,stock,price\n${Array.from({ length: 230 }, (_, i) => `SEED-${i},${i},10`).join('\n')}\n`,
    );
    const dry = await ops('stock', 'seed', file, '--dry-run', '--json');
    expect(dry.json()).toMatchObject({ isDryRun: true, planned: { sales: 3, skus: 230 }, created: [] });
    const first = (await ops('stock', 'seed', file, '--open', '--json')).json<{ created: Sale[] }>();
    expect(first.created.map((sale) => [sale.name, sale.status])).toEqual([
      ['noon drop (1/3)', 'OPEN'],
      ['noon drop (2/3)', 'OPEN'],
      ['noon drop (3/3)', 'OPEN'],
    ]);
    for (const flags of [[], ['--add']]) {
      const again = await ops('stock', 'seed', file, ...flags, '--json');
      expect(again).toMatchObject({ code: 0 });
      expect(again.json()).toMatchObject({ created: [], added: { skus: 0 }, skipped: { seededBefore: 230 } });
    }
    const more = fileOf('more.csv', 'sku,stock,price\nSEED-7,100,10\nSEED-NEW,1,10\n');
    expect((await ops('stock', 'seed', more, '--json')).json()).toMatchObject({
      skipped: { inAnotherSale: 1 },
      created: [{ skus: 1 }],
    });
    expect((await ops('stock', 'seed', more, '--add', '--json')).json()).toMatchObject({
      added: { skus: 1, units: 100 },
      created: [],
    });
    await expect
      .poll(async () => (await ops('stock', 'seed', more, '--add', '--json')).json(), { timeout: 30_000 })
      .toMatchObject({ added: { skus: 0 }, skipped: { addedBefore: 1 } });
    expect((await ops('stock', 'show', 'SEED-7', '--json')).json()).toMatchObject({ loaded: 107 });
  });

  it('of a bad file is not applied, or without the bad rows', async () => {
    const file = fileOf('bad.csv', 'sku,stock,price\nGOOD-1,1,10\nGOOD-2,none,10\n');
    const refused = await ops('stock', 'seed', file);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toContain('line 3: stock "none" is not a number');
    expect((await ops('stock', 'show', 'GOOD-1')).code).toBe(1);
    const applied = await ops('stock', 'seed', file, '--skip-bad', '--json');
    expect(applied).toMatchObject({ code: 0 });
    expect(applied.json()).toMatchObject({ created: [{ skus: 1 }], skipped: { bad: 1 }, errorCount: 1 });
  });
});

describe('tokens', () => {
  it('are let in by the API, and many go into a file', async () => {
    const { stdout } = await ops('token', '--user', 'u_alice', '--ttl', '5m');
    const answer = await fetch(`${system.url}/api/v1/purchases/pur_00nosuchpurchasexxxx`, {
      headers: { authorization: `Bearer ${stdout.trim()}` },
    });
    expect(answer.status).toBe(404);
    const out = join(temporaryDirectory('ops'), 'tokens');
    expect((await ops('token', '--user', 'u_many', '--count', '1500', '--out', out, '--json')).json()).toMatchObject({
      count: 1500,
    });
    const lines = readFileSync(out, 'utf8').trim().split('\n');
    expect(lines).toHaveLength(1500);
    expect(lines[1499]).toMatch(/^u_many-1500 ey/);
  });
});

describe('the audit', () => {
  let saleId: string;

  beforeAll(async () => {
    const created = await ops('sale', 'create', '--sku', 'AUDIT-1', '--stock', '5', '--open', '--json');
    saleId = created.json<Sale>().saleId;
    const { stdout } = await ops('token', '--user', 'u_buyer', '--count', '7');
    for (const line of stdout.trim().split('\n')) {
      const response = await fetch(`${system.url}/api/v1/sales/${saleId}/purchases`, {
        method: 'POST',
        headers: { authorization: `Bearer ${line.split(' ')[1]}`, 'content-type': 'application/json' },
        body: JSON.stringify({ sku: 'AUDIT-1', quantity: 1 }),
      });
      expect([201, 202]).toContain(response.status);
    }
  });

  it('finds a real shop in order', async () => {
    const run = await ops('audit');
    expect(run.stdout).toContain('Everything agrees.');
    expect(run).toMatchObject({ code: 0, stderr: '' });
    const report = (await ops('audit', '--sale', saleId, '--json')).json<AuditReport>();
    expect(report).toMatchObject({ ok: true, differences: [], outOfOrder: 0, oversold: 0, lost: 0 });
    expect(report.sales).toMatchObject([
      { saleId, skus: [{ sku: 'AUDIT-1', loaded: 5, held: 5, waiting: 2, ledger: { held: 5 } }] },
    ]);
  });

  it('exits with 1 and a sentence when something does not agree, and with 0 when it does again', async () => {
    const key = keys.fence(partitionOf(saleId) ?? 0).replace(/fence$/, `stock:${saleId}:AUDIT-1`);
    await redis.hincrby(key, 'available', 3);
    const run = await ops('audit', '--sale', saleId);
    expect(run.code).toBe(1);
    expect(run.stdout).toContain('3 available + 5 held + 0 sold make 8, but 5 units were loaded');
    const json = await ops('audit', '--sale', saleId, '--json');
    expect(json).toMatchObject({ code: 1, stderr: '' });
    expect(json.json<AuditReport>().ok).toBe(false);
    await redis.hincrby(key, 'available', -3);
    expect((await ops('audit', '--sale', saleId)).code).toBe(0);
    expect((await ops('audit', '--sale', 'sale_00nosuchsalexxxxxxxx')).code).toBe(1);
  });
});

describe('payments', () => {
  it('are compared with the provider, and what was decided is told', async () => {
    const compared = await ops('payments', 'reconcile');
    expect([compared.code, compared.stdout]).toEqual([0, expect.stringContaining('no difference')]);
    const decided = await ops('payments', 'decisions', '--sale', 'sale_00nosuchsalexxxxxxxx');
    expect([decided.code, decided.stdout]).toEqual([0, 'nothing was decided\n']);
    expect((await ops('payments', 'decisions', '--json')).json<{ items: unknown[] }>().items).toBeInstanceOf(Array);
    const unknown = await ops('payments', 'retry-refund', 'pur_03nosuchpurchasexxxx');
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('There is no payment of')]);
  });
});

describe('dead records', () => {
  it('are listed, replayed where their purchase lives, and dropped', async () => {
    const record = purchaseRecord({ purchaseId: 'pur_03deadpurchasexxxxxxxx', seq: 1 });
    await postgres.query(
      "INSERT INTO dead_records (dead_id, partition, entry_id, purchase_id, kind, bytes, error) VALUES ('dead-3-1-1-0', 3, '1-1', $1, 'purchase', $2, 'refused')",
      [record.purchaseId, encodeOutbox([record])],
    );
    const listed = (await ops('dead', 'list', '--json')).json<{ items: { id: string; kind: string }[] }>();
    expect(listed.items).toMatchObject([
      { id: 'dead-3-1-1-0', kind: 'record', concerns: [record.purchaseId], why: 'refused' },
    ]);
    const replayed = await ops('dead', 'replay', 'dead-3-1-1-0');
    expect(replayed.code).toBe(1);
    expect(replayed.stdout).toContain('is not brought back');
    expect((await ops('dead', 'drop', '--all')).stdout).toContain('dead-3-1-1-0: dropped');
    expect((await ops('dead', 'list')).stdout).toContain('nothing is dead');
    expect((await ops('dead', 'drop', 'dead-3-1-1-0')).code).toBe(1);
  });
});
