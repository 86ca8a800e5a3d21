// With a replica, an answer means that the replica has it: a primary that dies takes nothing with it that was acknowledged,
// and the system goes on with its replica as soon as that was compared with Postgres.
import { createServer, type Server, type Socket, connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { unownedPurchaseId } from '../../actors/purchase-ids.ts';
import { createCounter, type Counter } from '../../actors/sku-actor.ts';
import { createStockStore, type StockStore } from '../../actors/stock-store.ts';
import { sleep, systemClock } from '../../core/clock.ts';
import { connectRedis, type Redis, whenReady } from '../../core/redis/redis.ts';
import type { Service } from '../../core/services/service.ts';
import { startRedis } from '../support/stack.ts';
import { createEpochRecord, PARTITION, readCensus, saleOf } from '../support/stock.ts';
import { placeOf } from '../support/stored-purchase.ts';

/** The address under which the primary is known, as a name or a balancer gives it. */
async function openAddress(target: { port: number }) {
  const open = new Set<Socket>();
  let port = target.port;
  const server: Server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        open.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    url: `redis://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`,
    pointTo(next: { port: number }) {
      port = next.port;
      for (const socket of open) socket.destroy();
    },
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

let services: Service[];
let primary: Service;
let replica: Service;
let address: Awaited<ReturnType<typeof openAddress>>;
let redis: Redis;
let direct: Redis;
let stock: StockStore;
let counter: Counter;
let record: ReturnType<typeof createEpochRecord>;

async function startReplica(of: Service): Promise<Service> {
  const service = await startRedis({ args: ['--replicaof', '127.0.0.1', String(of.port)] });
  services.push(service);
  const connection = connectRedis(service.url, 'queue');
  await expect.poll(() => connection.info('replication'), { timeout: 20_000 }).toContain('master_link_status:up');
  connection.disconnect();
  return service;
}

beforeEach(async () => {
  primary = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] });
  services = [primary];
  replica = await startReplica(primary);
  address = await openAddress(primary);
  redis = connectRedis(address.url, 'scripts');
  await whenReady(redis, 10_000);
  direct = connectRedis(replica.url, 'scripts');
  await whenReady(direct, 10_000);
  stock = createStockStore({ redis, replicas: 1 });
  record = createEpochRecord();
  await stock.attach(record);
  counter = createCounter({ stock, clock: systemClock });
});
afterEach(async () => {
  redis.disconnect();
  direct.disconnect();
  await counter.drain();
  address.close();
  for (const service of services) {
    service.kill('SIGCONT');
    service.kill('SIGKILL');
  }
});

const wishOf = (saleId: string, n: number) => ({
  saleId,
  sku: 'SHIRT',
  purchaseId: unownedPurchaseId(PARTITION),
  buyer: `u_${n}`,
  quantity: 1,
  fingerprint: 'f',
  hasKey: true,
});

describe('an answer', () => {
  it('comes when the replica has it', async () => {
    const sale = saleOf({ stock: 1_000 });
    await stock.createSale(sale);
    for (let n = 0; n < 20; n++) {
      const wish = wishOf(sale.saleId, n);
      await stock.reserve(sale.saleId, 'SHIRT', [wish]);
      const { key, field } = placeOf(`db:{p${PARTITION}}:`, wish.purchaseId);
      expect(await direct.hexists(key, field)).toBe(1);
    }
  });

  it('is not given while the replica is away; a retry gets it when it is back', async () => {
    const sale = saleOf({ stock: 10 });
    await stock.createSale(sale);
    replica.kill('SIGSTOP');
    const wish = wishOf(sale.saleId, 1);
    await expect(stock.reserve(sale.saleId, 'SHIRT', [wish])).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    // It ran, and whoever asks about it before the replica has it is not told so either.
    await expect(stock.reserve(sale.saleId, 'SHIRT', [wish])).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    const other = createStockStore({ redis, replicas: 1 });
    await other.attach(record);
    await expect(other.reserve(sale.saleId, 'SHIRT', [wish])).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    replica.kill('SIGCONT');
    const outcome = await counter.buy(wish, systemClock.now() + 30_000);
    expect(outcome).toMatchObject({ kind: 'purchase', isReplay: true, purchase: { ticket: 1 } });
  });
});

describe('a failover', () => {
  it('loses nothing that was acknowledged, and the sale goes on', async () => {
    const second = await startReplica(primary);
    const sale = saleOf({ stock: 300, lineLimit: 100_000, holdMs: 600_000 });
    await stock.createSale(sale);
    const acknowledged = new Map<string, number>();
    const asked: Promise<unknown>[] = [];
    let killed: Promise<unknown> | undefined;
    for (let n = 0; n < 2_000; n++) {
      const wish = wishOf(sale.saleId, n);
      const answer = counter.buy(wish, systemClock.now() + 60_000).then((outcome) => {
        if (outcome.kind === 'purchase') acknowledged.set(wish.purchaseId, outcome.purchase.ticket);
      });
      asked.push(answer);
      if (n % 50 === 0) await sleep(1);
      if (n === 1_000) {
        await asked[200];
        primary.kill('SIGKILL');
        killed = failOver(replica, second);
      }
    }
    const beforeFailover = acknowledged.size;
    await killed;
    await Promise.all(asked);
    expect(beforeFailover).toBeGreaterThan(0);
    expect(acknowledged.size).toBe(2_000);
    const { purchases, counters } = await readCensus(stock, sale.saleId);
    const tickets = new Map(purchases.map((purchase) => [purchase.purchaseId, purchase.ticket]));
    for (const [purchaseId, ticket] of acknowledged) expect(tickets.get(purchaseId)).toBe(ticket);
    expect([...tickets.values()].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 2_000 }, (_, i) => i + 1));
    expect(counters).toMatchObject({ loaded: 300, available: 0, held: 300, sold: 0 });
  });

  it('to a replica that lacks something that was told is refused', async () => {
    const careless = createStockStore({ redis }); // asks for no replica
    await careless.attach(record);
    const sale = saleOf({ stock: 10 });
    await careless.createSale(sale);
    await expect.poll(() => direct.exists(`db:{p${PARTITION}}:sale:${sale.saleId}`)).toBe(1);
    await promote(replica); // cut off from its primary, which answers on
    await careless.reserve(sale.saleId, 'SHIRT', [wishOf(sale.saleId, 1)]);
    primary.kill('SIGKILL');
    await primary.ended;
    address.pointTo(replica);
    await whenReady(redis, 30_000);
    await expect
      .poll(() => careless.expire(PARTITION).catch((error: { code: string }) => error.code), { timeout: 20_000 })
      .toBe('FENCED');
    await expect(careless.attach(record)).rejects.toMatchObject({ code: 'FENCED' });
  });
});

async function promote(service: Service): Promise<void> {
  const connection = connectRedis(service.url, 'queue');
  await connection.call('REPLICAOF', 'NO', 'ONE');
  connection.disconnect();
}

/** How much of the primary's writes a replica has, once it has noticed that the primary is gone. */
async function offsetOf(service: Service): Promise<number> {
  const connection = connectRedis(service.url, 'queue');
  const replication = async (): Promise<string> => connection.info('replication');
  await expect.poll(replication).toContain('master_link_status:down');
  const [, offset] = /slave_repl_offset:(\d+)/.exec(await replication()) ?? [];
  connection.disconnect();
  return Number(offset);
}

/** What a sentinel does: the replica that has most becomes the primary of the other, and the address follows. */
async function failOver(first: Service, second: Service): Promise<void> {
  await primary.ended;
  const [one, two] = [await offsetOf(first), await offsetOf(second)];
  const [promoted, other] = one >= two ? [first, second] : [second, first];
  await promote(promoted);
  const connection = connectRedis(other.url, 'queue');
  await connection.call('REPLICAOF', '127.0.0.1', String(promoted.port));
  connection.disconnect();
  address.pointTo(promoted);
  await whenReady(redis, 30_000);
  // As each process does within a second, until Redis is right.
  for (;;) {
    try {
      await stock.attach(record);
      return;
    } catch {
      await sleep(50);
    }
  }
}
