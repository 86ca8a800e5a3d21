// The continuous audit, as a worker runs it: looks at the counts of every live SKU each second, and checks each of them
// against independent records again and again, one worker at a time, at a bounded pace. A difference that is found twice
// stops the SKU's sale. Lag, and a store that is away, make a result unknown; they stop nothing.
import type { StockStore } from '../../actors/stock-store.ts';
import type { Clock } from '../../core/clock.ts';
import { AUDIT_LEASE_MS, RESCUE_INTERVAL_MS } from '../../core/constants.ts';
import { fault, messageOf } from '../../core/errors.ts';
import { partitionOf, randomId } from '../../core/ids.ts';
import type { Log } from '../../core/log.ts';
import { isInfrastructureError, type Postgres } from '../../core/postgres/postgres.ts';
import type { Redis } from '../../core/redis/redis.ts';
import { createAuditMetrics } from './audit-metrics.ts';
import {
  dropLease,
  findWatchedSales,
  readAuditState,
  saveChecks,
  saveUnknown,
  takeLease,
  type WatchedSale,
} from './audit-store.ts';
import { type Difference, persisting } from './differences.ts';
import { resolveFindings } from './finding-store.ts';
import { judgeCounters } from './judge-stock.ts';
import { toSums } from './online-sums.ts';
import type { OnlineDependencies } from './online-dependencies.ts';
import { lookOnline, type OnlineLook } from './online-sale.ts';
import { createPace, type PaceOptions } from './pace.ts';
import { createRecordWatcher } from './record-watch.ts';
import { createSkuStopper } from './sku-stopper.ts';

export interface OnlineAudit {
  /** The counts of every live SKU by themselves. Any number of processes may look. */
  look(): Promise<void>;
  /** Each live SKU once, against all other records, unless another process is at it. Answers how many sales were checked. */
  round(): Promise<number>;
  /** Ends a round that is under way, and leaves the audit to the next process. */
  stop(): Promise<void>;
}

export interface OnlineAuditDependencies {
  readonly postgres: Postgres;
  readonly redis: Redis;
  readonly redisUrl: string;
  readonly stock: StockStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly pace?: PaceOptions;
}

export function createOnlineAudit(deps: OnlineAuditDependencies): OnlineAudit {
  const { postgres, redis, stock, clock, log } = deps;
  const stopping = new AbortController();
  const holder = randomId('aud');
  const watcher = createRecordWatcher({ redisUrl: deps.redisUrl, clock, log });
  const stopper = createSkuStopper({ postgres, stock, log });
  const metrics = createAuditMetrics(clock);
  let leaseUntil = 0;
  let watched: readonly WatchedSale[] = [];
  let watchedAt = Number.NEGATIVE_INFINITY;
  const lastReason = new Map<string, string>();

  /** Whether this process is the one that audits; asks Postgres only when a third of the lease is over. */
  async function holdsLease(): Promise<boolean> {
    if (clock.now() < leaseUntil - (AUDIT_LEASE_MS * 2) / 3) return true;
    const askedAt = clock.now();
    const isMine = await takeLease(postgres, holder, AUDIT_LEASE_MS);
    leaseUntil = isMine ? askedAt + AUDIT_LEASE_MS : 0;
    return isMine;
  }

  const online: OnlineDependencies = {
    postgres,
    redis,
    stock,
    watcher,
    clock,
    pace: createPace(clock, stopping.signal, deps.pace),
    signal: stopping.signal,
    async renew() {
      if (stopping.signal.aborted || !(await holdsLease()))
        throw fault('UNAVAILABLE', 'another process audits by now, or this one ends');
    },
  };

  /** One look, and a second at what differs: the differences that both have. */
  async function checkTwice(saleId: string): Promise<OnlineLook> {
    const first = await lookOnline(online, saleId);
    if (first.differences.length === 0) return first;
    await online.pace.confirm();
    const skus = new Set(first.differences.flatMap(({ sku }) => (sku === undefined ? [] : [sku])));
    const second = await lookOnline(online, saleId, skus.size > 0 ? skus : undefined);
    const differences = persisting(first.differences, second.differences);
    // Found and not found again: said neither to agree nor to differ; the next round judges it.
    const isOpen = new Set(second.differences.flatMap(({ sku }) => sku ?? []));
    for (const difference of differences) isOpen.delete(difference.sku ?? '');
    const looked = [...first.skus.filter(({ counters }) => !skus.has(counters.sku)), ...second.skus];
    return { skus: looked.filter(({ counters }) => !isOpen.has(counters.sku)), differences };
  }

  async function check(sale: WatchedSale): Promise<void> {
    const { saleId } = sale;
    const { skus, differences } = await checkTwice(saleId);
    await stopper.report(differences);
    const differing = new Set(differences.map(({ sku }) => sku));
    if (differing.has(undefined)) return saveUnknown(postgres, saleId, sale.skus, 'Redis does not know the sale');
    const checks = skus.map((sku) => ({
      sku: sku.counters.sku,
      agrees: !differing.has(sku.counters.sku),
      position: sku.seq,
      sums: toSums(sku),
    }));
    await saveChecks(postgres, saleId, checks);
    // A finding of the whole sale has an empty SKU.
    const names = ['', ...checks.map(({ sku }) => sku)];
    await resolveFindings(postgres, { saleId, skus: names }, differences, 'a later check agrees');
  }

  /** Says once why a sale cannot be checked, and leaves its last result beside it. */
  async function cannotCheck(sale: WatchedSale, error: unknown): Promise<void> {
    const reason = messageOf(error);
    // How far the outbox is behind is another number each time, and the same reason.
    const kind = reason.replaceAll(/\d+/g, 'n');
    if (lastReason.get(sale.saleId) !== kind) {
      const level = isInfrastructureError(error) ? 'warn' : 'error';
      log[level]({ saleId: sale.saleId, reason }, 'a sale cannot be audited at present');
    }
    lastReason.set(sale.saleId, kind);
    await saveUnknown(postgres, sale.saleId, sale.skus, reason).catch(() => undefined);
  }

  async function refreshWatched(): Promise<void> {
    if (clock.now() - watchedAt < RESCUE_INTERVAL_MS) return;
    watched = await findWatchedSales(postgres);
    watchedAt = clock.now();
    metrics.tell(await readAuditState(postgres));
  }

  /** What the counts of these sales say by themselves; each sale's are read at one moment. */
  async function findBadCounts(saleIds: readonly string[]): Promise<Difference[]> {
    const snapshots = await stock.snapshot(saleIds);
    return snapshots.flatMap((snapshot) =>
      (snapshot?.items ?? []).flatMap((counters) =>
        judgeCounters(counters).map(
          ([code, message]): Difference => ({ code, message, saleId: counters.saleId, sku: counters.sku }),
        ),
      ),
    );
  }

  return {
    async look() {
      if (!stock.isAttached) return;
      // Without Postgres, what it last told of is looked at all the same.
      await refreshWatched().catch(() => metrics.tell(undefined));
      metrics.tell(undefined);
      const found = await findBadCounts(watched.map(({ saleId }) => saleId));
      if (found.length === 0) return;
      await online.pace.confirm();
      const again = await findBadCounts([...new Set(found.map(({ saleId }) => saleId))]);
      await stopper.report(persisting(found, again));
    },

    async round() {
      if (!stock.isAttached || stopping.signal.aborted || !(await holdsLease())) return 0;
      const stalled = new Map<number | undefined, unknown>();
      let checked = 0;
      for (const sale of await findWatchedSales(postgres)) {
        if (stopping.signal.aborted || !(await holdsLease())) break;
        const partition = partitionOf(sale.saleId);
        try {
          // What keeps one sale of a partition from being checked, keeps the others too: it is waited for once a round.
          if (stalled.has(partition)) throw stalled.get(partition);
          await check(sale);
          lastReason.delete(sale.saleId);
          checked += 1;
        } catch (error) {
          if (stopping.signal.aborted) break;
          if (isInfrastructureError(error)) stalled.set(partition, error);
          await cannotCheck(sale, error);
        }
      }
      metrics.countRound();
      metrics.tell(await readAuditState(postgres));
      return checked;
    },

    async stop() {
      stopping.abort();
      watcher.close();
      if (leaseUntil > 0) await dropLease(postgres, holder).catch(() => undefined);
    },
  };
}
