// Redis' keys against the trail: counts re-summed from the purchases, every list and set exactly what the purchases say,
// and what time must do to them: holds end, free units do not lie beside somebody who waits.
import type { Purchase, PurchaseRecord } from '../../actors/records.ts';
import { isHolding, isLiving } from '../../shop/sales/purchase-states.ts';
import type { Look, SaleLook, SkuLook } from './observer.ts';
import type { Trail } from './stock-trail.ts';
import { mustHold } from './violation.ts';

/** A hold ends, and a unit finds who waits for it, within this. */
const PROMISE_MS = 1_000;

const sum = (purchases: readonly Purchase[]): number => purchases.reduce((total, p) => total + p.quantity, 0);
const listed = (entries: Iterable<readonly [string, number]>): string =>
  [...entries]
    .map(([id, score]) => `${id}@${score}`)
    .sort()
    .join(' ');

function checkRecords(look: NonNullable<Look['news']>, trail: Trail): void {
  for (const p of look.purchases.values()) {
    const told = trail.purchases.get(p.purchaseId);
    const same =
      told !== undefined &&
      told.version === p.version &&
      told.status === p.status &&
      told.expiresAt === p.expiresAt &&
      told.isRefundDue === p.isRefundDue &&
      told.ticket === p.ticket;
    mustHold(
      same,
      'records',
      () =>
        `${p.purchaseId} is ${p.status} version ${p.version}, the outbox told ${told?.status ?? 'nothing'} ${told?.version ?? ''}`,
    );
  }
}

function checkSku(s: SkuLook, own: readonly PurchaseRecord[], trail: Trail): void {
  const told = trail.skus.get(`${s.saleId} ${s.sku}`);
  const held = own.filter((p) => isHolding(p.status));
  const waiting = own.filter((p) => p.status === 'WAITING');
  const due = {
    held: sum(held),
    sold: sum(own.filter((p) => p.status === 'CONFIRMED')),
    waiting: sum(waiting),
    loaded: told?.loaded ?? 0,
  };
  const { counts } = s;
  const shown = { held: counts['held'], sold: counts['sold'], waiting: counts['waiting'], loaded: counts['loaded'] };
  mustHold(
    JSON.stringify(due) === JSON.stringify(shown),
    'conservation',
    () => `${s.sku} counts ${JSON.stringify(shown)}, its purchases ${JSON.stringify(due)}`,
  );
  const available = due.loaded - due.held - due.sold;
  mustHold(
    counts['available'] === available && available >= 0,
    'conservation',
    () => `${s.sku} says ${counts['available']} available, ${available} are`,
  );
  const tickets = own.filter((p) => p.orderRef === '').sort((a, b) => a.ticket - b.ticket);
  mustHold(
    tickets.every((p, i) => p.ticket === i + 1 && s.tickets[i] === p.purchaseId) && tickets.length === s.tickets.length,
    'order',
    () => `${s.sku}: the tickets are not 1 to ${s.tickets.length}`,
  );
  mustHold(
    counts['lastTicket'] === tickets.length,
    'order',
    () => `${s.sku}: the last ticket is ${counts['lastTicket']} of ${tickets.length}`,
  );
  const big = listed(waiting.filter((p) => p.quantity > 1).map((p) => [p.purchaseId, p.quantity] as const));
  mustHold(listed(s.big) === big, 'order', () => `${s.sku}: the large ones are ${listed(s.big)}, waiting are ${big}`);
  checkLine(s, waiting);
  checkHolds(s, held);
}

/** Who waits is from the head on, and the head is the first who does: histories are shorter than a slice. */
function checkLine({ sku, counts }: SkuLook, waiting: readonly PurchaseRecord[]): void {
  mustHold(
    counts['waiters'] === waiting.length,
    'order',
    () => `${sku}: ${counts['waiters']} are counted in line, ${waiting.length} are`,
  );
  const first = Math.min(...waiting.map((p) => p.ticket));
  mustHold(
    waiting.length === 0 || counts['head'] === first,
    'order',
    () => `${sku}: the line begins at ticket ${counts['head']}, the first that waits is ${first}`,
  );
}

/** Each hold is where the sweep finds it at its end; the list is in the order of ends and of tickets. */
function checkHolds(s: SkuLook, held: readonly PurchaseRecord[]): void {
  const { sku, counts, runs } = s;
  mustHold(
    counts['holders'] === held.length,
    'conservation',
    () => `${sku}: ${counts['holders']} holds are counted, ${held.length} are`,
  );
  const inOrder = runs.every(({ ends, first, last }, i) => {
    const before = runs[i - 1];
    return first <= last && (before === undefined || (before.ends <= ends && before.last < first));
  });
  mustHold(inOrder, 'hold-ends', () => `${sku}: the runs of holds are not in order: ${JSON.stringify(runs)}`);
  for (const { purchaseId, ticket, expiresAt } of held) {
    const run = runs.find(({ first, last }) => ticket >= first && ticket <= last);
    mustHold(
      run?.ends === expiresAt || s.ends.get(purchaseId) === expiresAt,
      'hold-ends',
      () => `${purchaseId}: ends at ${expiresAt}, the sweep comes for it at ${run?.ends ?? s.ends.get(purchaseId)}`,
    );
  }
}

function checkSale(sale: SaleLook, own: readonly PurchaseRecord[]): void {
  const entries = new Map<string, string[]>();
  for (const p of own) {
    if (p.orderRef !== '' || !isLiving(p.status)) continue;
    entries.set(p.buyer, [...(entries.get(p.buyer) ?? []), p.purchaseId]);
  }
  const due = [...entries].map(
    ([buyer, ids]) => `${buyer}=${sum(own.filter((p) => ids.includes(p.purchaseId)))} ${ids.sort().join(' ')}`,
  );
  const shown = [...sale.buyers].map(([buyer, text]) => {
    const [units = '', ...ids] = text.split(' ');
    return `${buyer}=${units} ${ids.sort().join(' ')}`;
  });
  mustHold(
    due.sort().join() === shown.sort().join(),
    'limit',
    () => `buyers of ${sale.saleId} are counted ${shown.join()}, they have ${due.join()}`,
  );
  const unstarted = own.filter((p) => p.orderRef === '' && p.status === 'RESERVED').length;
  mustHold(
    sale.unstarted === undefined || sale.unstarted === unstarted,
    'records',
    () => `${sale.saleId} counts ${sale.unstarted} unstarted payments, ${unstarted} are`,
  );
}

export interface Watch {
  /** Takes in what is new, and checks it. */
  see(look: Look, now: number): void;
  /** What must have happened by now. `upSince`: since when Redis has answered without a break. */
  checkTime(now: number, upSince: number): void;
  /** Nothing of it holds any more: Redis was replaced. */
  forget(partitions: readonly number[]): void;
}

export function createWatch(trail: Trail, isThrottled: (saleId: string) => boolean): Watch {
  const ends = new Map<string, number>();
  /** Heads that could have been served, and since when. */
  const owed = new Map<string, number>();
  /** Partitions of which nothing is known until they are sold from again. */
  const lost = new Set<number>();

  function noteOwed(sale: SaleLook, s: SkuLook, own: readonly PurchaseRecord[], now: number): void {
    const key = `${s.saleId} ${s.sku}`;
    const [head] = own.filter((p) => p.status === 'WAITING').sort((a, b) => a.ticket - b.ticket);
    const couldBe =
      sale.status === 'OPEN' &&
      !s.isBlocked &&
      !isThrottled(s.saleId) &&
      head !== undefined &&
      head.quantity <= (s.counts['available'] ?? 0);
    if (!couldBe) owed.delete(key);
    else if (!owed.has(key)) owed.set(key, now);
  }

  return {
    see(look, now) {
      const { news } = look;
      if (news === undefined) return;
      if (lost.delete(look.partition)) {
        const loads = news.sales.flatMap((sale) =>
          sale.skus.map((s) => [s.saleId, s.sku, s.counts['loaded'] ?? 0] as const),
        );
        trail.adopt(look.partition, look.seq, [...news.purchases.values()], loads, now);
      } else for (const { records } of news.entries) trail.read(look.partition, records, now);
      checkRecords(news, trail);
      for (const sale of news.sales) {
        const ofSale = [...trail.purchases.values()].filter((p) => p.saleId === sale.saleId);
        for (const s of sale.skus) {
          const own = ofSale.filter((p) => p.sku === s.sku);
          checkSku(s, own, trail);
          noteOwed(sale, s, own, now);
          const member = `${s.saleId} ${s.sku}`;
          const first = Math.min(...own.filter((p) => isHolding(p.status)).map((p) => p.expiresAt));
          const asked = news.deadlines.get(member) ?? Number.POSITIVE_INFINITY;
          mustHold(asked <= first, 'hold-ends', () => `${s.sku}: a hold ends at ${first}, the sweep comes at ${asked}`);
          if (first === Number.POSITIVE_INFINITY) ends.delete(member);
          else ends.set(member, first);
        }
        checkSale(sale, ofSale);
      }
    },
    checkTime(now, upSince) {
      for (const [member, at] of ends) {
        const late = now - Math.max(at, upSince);
        mustHold(late <= PROMISE_MS, 'hold-ends', () => `a hold of ${member} lives ${late} ms beyond its end`);
      }
      for (const [member, since] of owed) {
        const idle = now - Math.max(since, upSince);
        mustHold(
          idle <= PROMISE_MS,
          'idle-units',
          () => `units of ${member} lie idle for ${idle} ms while the head of the line waits`,
        );
      }
    },
    forget(partitions) {
      for (const partition of partitions) lost.add(partition);
      trail.forget();
      ends.clear();
      owed.clear();
    },
  };
}
