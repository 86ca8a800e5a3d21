// The buyers: they press Buy on any of the processes, with a key or without, twice at once, again when no answer came, with
// another body under the same key; they look at their purchase, pay, are declined, pay too late, give back, or vanish. What
// they are answered is judged at once.
import { SOLD_OUT_MEMORY_MS } from '../../core/constants.ts';
import { CodedError } from '../../core/errors.ts';
import type { Bought } from '../../shop/sales/purchases.ts';
import type { ApiProcess } from './processes.ts';
import type { Provider } from './provider.ts';
import type { Trail } from './stock-trail.ts';
import { mustHold, Violation } from './violation.ts';
import type { World } from './world.ts';

export interface SoldItem {
  readonly saleId: string;
  readonly sku: string;
}

type Habit = 'pays' | 'declined-then-pays' | 'pays-slowly' | 'pays-late' | 'vanishes' | 'gives-back';

interface Wish extends SoldItem {
  readonly buyer: string;
  readonly quantity: number;
  readonly key: string | undefined;
  readonly habit: Habit;
  triesLeft: number;
}

export interface Acknowledged {
  readonly purchaseId: string;
  readonly saleId: string;
  readonly buyer: string;
  readonly ticket: number;
  readonly at: number;
}

export interface Buyers {
  /** Somebody does something. */
  act(): void;
  readonly acknowledged: ReadonlyMap<string, Acknowledged>;
  /** Those who still mean to do something. */
  readonly busy: number;
}

export interface BuyersOptions {
  readonly world: World;
  readonly trail: Trail;
  readonly provider: Provider;
  readonly items: readonly SoldItem[];
  readonly api: () => ApiProcess | undefined;
  /** Whether what was acknowledged then may be lost by now. */
  readonly isExcused: (acknowledged: Acknowledged) => boolean;
  /** Redis has lost data at that time or later. */
  readonly wasLostSince: (at: number) => boolean;
  /** A check failed outside of the main loop. */
  readonly report: (violation: unknown) => void;
}

/** How long a message of the feed may be on its way. */
export const FEED_DELAY_MAX_MS = 400;

export function createBuyers(options: BuyersOptions): Buyers {
  const { world, trail, provider, items, api, report } = options;
  const { random, timeline } = world;
  const names = Array.from({ length: random.integer(2, 6) }, (_, i) => `u_${i}`);
  const wishes: Wish[] = [];
  const acknowledged = new Map<string, Acknowledged>();
  /** What each key was used for, in the order of the pressing. */
  const bodies = new Map<string, Set<string>>();
  const idOfBody = new Map<string, string>();
  const secrets = new Map<string, string>();
  let busy = 0;
  let numbered = 0;

  const keyOf = (wish: Wish): string => `${wish.buyer} ${wish.saleId} ${wish.key}`;
  const bodyOf = (wish: Wish): string => `${wish.sku} ${wish.quantity}`;

  function later(ms: number, run: () => void): void {
    busy += 1;
    timeline.schedule(ms, () => {
      busy -= 1;
      run();
    });
  }

  /** Runs a request of a buyer; whoever took it may die, and then nobody answers. */
  function ask<T>(process: ApiProcess, what: string, request: Promise<T>, then: (answer: T | undefined) => void): void {
    busy += 1;
    let isOver = false;
    const end = (answer: T | undefined): void => {
      if (isOver) return;
      isOver = true;
      busy -= 1;
      try {
        then(answer);
      } catch (error) {
        report(error);
      }
    };
    request.then(end, (error: unknown) => {
      timeline.note(`${process.node.name} ${what} failed: ${String(error).slice(0, 120)}`);
      if (!(error instanceof CodedError) && !/Connection/.test(String(error))) report(error);
      end(undefined);
    });
    const look = (): void => {
      if (!isOver) timeline.schedule(400, () => (process.node.isAlive ? look() : end(undefined)));
    };
    look();
  }

  // --- buying ---

  function press(wish: Wish): void {
    const process = api();
    if (process === undefined) return later(100, () => press(wish));
    const { saleId, sku, quantity, buyer, key } = wish;
    if (key !== undefined) bodies.set(keyOf(wish), (bodies.get(keyOf(wish)) ?? new Set()).add(bodyOf(wish)));
    const askedAt = timeline.now;
    timeline.note(`${process.node.name} ${buyer} buys ${quantity} ${sku} key ${key ?? '-'}`);
    const wished = { saleId, sku, quantity, buyer, key };
    const request = Promise.resolve(process.purchases.buy(wished, process.node.now() + 5_000));
    ask(process, `${buyer} buys`, request, (answer) => {
      if (answer !== undefined) return judge(wish, answer, askedAt);
      wish.triesLeft -= 1;
      if (key !== undefined && wish.triesLeft > 0) later(random.integer(50, 1_500), () => press(wish));
    });
  }

  function judge(wish: Wish, answer: Bought, askedAt: number): void {
    if (answer.kind === 'refused') return judgeRefusal(wish, answer, askedAt);
    const { purchaseId, ticket, status, version, quantity, sku } = answer.purchase;
    timeline.note(`${wish.buyer} is told ${status} ticket ${ticket} of ${purchaseId}`);
    const known = trail.purchases.get(purchaseId);
    const isTheirs =
      known?.buyer === wish.buyer && known.ticket === ticket && known.quantity === quantity && known.sku === sku;
    const ack = { purchaseId, saleId: wish.saleId, buyer: wish.buyer, ticket, at: timeline.now };
    mustHold(
      isTheirs || options.isExcused(ack),
      'acknowledged',
      () => `${wish.buyer} was told of ${purchaseId}, ticket ${ticket}, which is not there`,
    );
    mustHold(
      quantity === wish.quantity && sku === wish.sku,
      'answers',
      () => `${wish.buyer} asked for ${bodyOf(wish)} and got ${sku} ${quantity}`,
    );
    const told = trail.statuses.get(purchaseId)?.[version - 1];
    mustHold(
      told === status || options.isExcused(ack),
      'answers',
      () => `${purchaseId} was ${told} at version ${version}, its buyer was told ${status}`,
    );
    if (wish.key !== undefined) {
      const earlier = idOfBody.get(keyOf(wish)) ?? purchaseId;
      mustHold(earlier === purchaseId, 'once', () => `the key ${wish.key} gave ${earlier}, then ${purchaseId}`);
      idOfBody.set(keyOf(wish), purchaseId);
    }
    const before = acknowledged.get(purchaseId);
    mustHold(
      before === undefined || before.ticket === ticket || options.isExcused(before),
      'answers',
      () => `${purchaseId} had ticket ${before?.ticket}, now ${ticket}`,
    );
    if (before === undefined) follow(ack, wish.habit);
    acknowledged.set(purchaseId, before ?? ack);
  }

  function judgeRefusal(wish: Wish, { code, purchaseId }: Extract<Bought, { kind: 'refused' }>, askedAt: number): void {
    timeline.note(`${wish.buyer} is refused: ${code}`);
    if (code === 'KEY_REUSED') {
      const used = bodies.get(keyOf(wish))?.size ?? 0;
      mustHold(used > 1, 'answers', () => `${wish.buyer} was refused for a key that had no other body`);
    }
    if (code === 'LIMIT_EXCEEDED') {
      mustHold(
        trail.couldExceed(wish.saleId, wish.buyer, wish.quantity, askedAt) || options.wasLostSince(askedAt),
        'limit',
        () => `${wish.buyer} was refused ${wish.quantity} of ${wish.saleId} and has less than the limit`,
      );
    }
    if (code === 'LIMIT_EXCEEDED' && purchaseId !== undefined) {
      const owner = trail.purchases.get(purchaseId)?.buyer;
      // It may have been lost with Redis while the answer was on its way; another's it must never be.
      mustHold(
        owner === wish.buyer || (owner === undefined && options.wasLostSince(askedAt)),
        'answers',
        () => `${wish.buyer} is shown ${purchaseId} of ${owner}`,
      );
    }
    if (code === 'SOLD_OUT') {
      const from = askedAt - SOLD_OUT_MEMORY_MS - FEED_DELAY_MAX_MS;
      const changes = trail.skus.get(`${wish.saleId} ${wish.sku}`)?.remaining ?? [];
      const isTrue = changes.some(
        ({ units }, i) => wish.quantity > units && (changes[i + 1]?.at ?? Number.POSITIVE_INFINITY) >= from,
      );
      // After a loss of Redis nothing is known of before.
      mustHold(
        isTrue || changes.length === 0,
        'sold-out',
        () => `${wish.buyer} was told sold out for ${bodyOf(wish)}; what may come: ${JSON.stringify(changes)}`,
      );
    }
  }

  // --- afterwards ---

  /** Looks until there is something to pay, or nothing any more. */
  function follow(ack: Acknowledged, habit: Habit): void {
    if (habit === 'vanishes') return;
    if (habit === 'gives-back') return later(random.integer(0, 2_500), () => giveBack(ack));
    let looks = 0;
    const look = (): void => {
      const process = api();
      looks += 1;
      if (process === undefined) return later(200, look);
      ask(process, `${ack.buyer} looks`, process.purchases.get(ack.purchaseId, ack.buyer), (purchase) => {
        const secret = purchase?.payment?.clientSecret;
        if (secret !== undefined && secret !== null)
          return choose(ack, habit, secret, Date.parse(purchase?.expiresAt ?? ''));
        const status = purchase?.status;
        const isOver =
          status !== undefined && !['WAITING', 'RESERVED', 'PAYMENT_PENDING', 'PAYMENT_FAILED'].includes(status);
        if (!isOver && looks < 12) later(random.integer(60, 200 + 150 * looks), look);
      });
    };
    later(random.integer(20, 500), look);
  }

  function choose(ack: Acknowledged, habit: Habit, secret: string, endsAt: number): void {
    const earlier = secrets.get(ack.purchaseId) ?? secret;
    mustHold(earlier === secret, 'once', () => `two secrets were handed out for ${ack.purchaseId}`);
    secrets.set(ack.purchaseId, secret);
    const pay = (card: 'good' | 'bad' | 'slow'): void => provider.pay(secret, card);
    if (habit === 'pays') return later(random.integer(0, 800), () => pay('good'));
    if (habit === 'pays-slowly') return later(random.integer(0, 800), () => pay('slow'));
    if (habit === 'pays-late') {
      // Around the end of the hold, which by the provider's book may be before it, after it, or the same moment.
      const untilEnd = Number.isNaN(endsAt) ? 500 : Math.max(0, endsAt - timeline.now);
      return later(untilEnd + random.integer(-60, 900), () => pay('good'));
    }
    pay('bad');
    return later(random.integer(100, 1_200), () => pay(random.isLucky(0.7) ? 'good' : 'bad'));
  }

  function giveBack(ack: Acknowledged): void {
    const process = api();
    if (process === undefined) return later(200, () => giveBack(ack));
    ask(process, `${ack.buyer} gives back`, process.purchases.release(ack.purchaseId, ack.buyer), (purchase) => {
      if (purchase === undefined) return;
      const isEnded = ['CANCELLED', 'EXPIRED', 'SOLD_OUT', 'REFUNDED'].includes(purchase.status);
      if (!isEnded) throw new Violation('answers', `${ack.purchaseId} was given back and is ${purchase.status}`);
    });
  }

  const drawHabit = (): Habit =>
    random.pickWeighted({
      pays: 8,
      'declined-then-pays': 2,
      'pays-slowly': 2,
      'pays-late': 3,
      vanishes: 3,
      'gives-back': 2,
    });

  function wishAnew(): Wish {
    numbered += 1;
    const quantity = random.isLucky(0.7) ? 1 : random.integer(2, 3);
    const key = random.isLucky(0.7) ? `key-${random.isLucky(0.9) ? numbered : random.integer(1, numbered)}` : undefined;
    const wish = { ...random.pick(items), buyer: random.pick(names), quantity, key, habit: drawHabit(), triesLeft: 4 };
    wishes.push(wish);
    return wish;
  }

  return {
    acknowledged,
    get busy() {
      return busy;
    },
    act() {
      const deed = random.pickWeighted({ new: 12, twice: 3, again: 3, other: 1, back: 1 });
      const acks = [...acknowledged.values()];
      if (deed === 'back' && acks.length > 0) return giveBack(random.pick(acks));
      const keyed = wishes.filter((wish) => wish.key !== undefined);
      if (deed === 'again' && keyed.length > 0) return press({ ...random.pick(keyed), triesLeft: 2 });
      if (deed === 'other' && keyed.length > 0) {
        const wish = random.pick(keyed);
        return press({ ...wish, quantity: (wish.quantity % 3) + 1, triesLeft: 2 });
      }
      const wish = wishAnew();
      press(wish);
      // Two devices, or a double click.
      if (deed === 'twice') later(random.integer(0, 30), () => press({ ...wish }));
    },
  };
}
