// The operators and the shop's other services: they open, pause and close sales, bring and take stock, cancel and refund
// orders, hold stock for checkouts. Who gets no answer asks again with the same key.
import { CodedError } from '../../core/errors.ts';
import type { Acknowledged, SoldItem } from './buyers.ts';
import type { ApiProcess } from './processes.ts';
import type { World } from './world.ts';

export interface OperatorsOptions {
  readonly world: World;
  readonly items: readonly SoldItem[];
  readonly api: () => ApiProcess | undefined;
  readonly acknowledged: () => readonly Acknowledged[];
  readonly report: (problem: unknown) => void;
}

export interface Operators {
  act(): void;
  /** Opens what is not open, until it is or cannot be. */
  openAll(): void;
  readonly busy: number;
}

export function createOperators({ world, items, api, acknowledged, report }: OperatorsOptions): Operators {
  const { random, timeline } = world;
  const saleIds = [...new Set(items.map((item) => item.saleId))];
  const orders: string[] = [];
  let busy = 0;
  let numbered = 0;

  /** Tries until there is an answer, good or bad, as a script of an operator does. */
  function insist(what: string, request: (process: ApiProcess) => Promise<unknown>, tries = 6): void {
    busy += 1;
    const process = api();
    let isOver = false;
    const end = (again: boolean): void => {
      if (isOver) return;
      isOver = true;
      if (again && tries > 1) timeline.schedule(random.integer(50, 900), () => insist(what, request, tries - 1));
      timeline.schedule(1_000, () => {
        busy -= 1;
      });
    };
    if (process === undefined) return end(true);
    timeline.note(`${process.node.name} operator: ${what}`);
    request(process).then(
      () => end(false),
      (error: unknown) => {
        timeline.note(`operator: ${what} failed: ${String(error).slice(0, 120)}`);
        const isCoded = error instanceof CodedError;
        if (!isCoded && !/Connection/.test(String(error))) report(error);
        end(!isCoded || error.status === 503);
      },
    );
    const look = (): void => {
      if (!isOver) timeline.schedule(400, () => (process.node.isAlive ? look() : end(true)));
    };
    look();
  }

  function adjust(): void {
    numbered += 1;
    const { sku } = random.pick(items);
    const quantity = random.isLucky(0.6) ? random.integer(1, 3) : -random.integer(1, 2);
    const key = random.isLucky(0.85) ? `adjust-${numbered}` : `adjust-${random.integer(1, numbered)}`;
    const request = (process: ApiProcess): Promise<unknown> =>
      process.inventory.adjust({ sku, quantity, reason: 'DELIVERY' }, { userId: 'u_admin', key });
    insist(`adjust ${sku} by ${quantity} (${key})`, request);
    // The same delivery, told twice.
    if (random.isLucky(0.3))
      timeline.schedule(random.integer(0, 400), () => insist(`adjust ${sku} again (${key})`, request));
  }

  function hold(): void {
    numbered += 1;
    const orderId = orders.length > 0 && random.isLucky(0.3) ? random.pick(orders) : `cart-${numbered}`;
    orders.push(orderId);
    const count = random.integer(1, Math.min(2, items.length));
    const lines = Array.from({ length: count }, () => ({
      sku: random.pick(items).sku,
      quantity: random.integer(1, 2),
    }));
    insist(`hold for ${orderId}`, (process) => process.inventory.reserve({ orderId, items: lines }), 3);
  }

  function takeBack(isRefund: boolean): void {
    const acks = acknowledged();
    if (acks.length === 0) return;
    const { purchaseId, buyer } = random.pick(acks);
    const orderId = `ord_${purchaseId.slice('pur_'.length)}`;
    // Half of them ask once and go home: what was begun for them is finished without them.
    const tries = random.isLucky(0.5) ? 1 : 6;
    if (isRefund) return insist(`refund ${orderId}`, (process) => process.orders.refund(orderId), tries);
    const owner = random.isLucky(0.5) ? buyer : undefined;
    insist(`cancel ${orderId}`, (process) => process.orders.cancel(orderId, owner), tries);
  }

  const move = (saleId: string, verb: 'open' | 'pause' | 'close'): void =>
    insist(`${verb} ${saleId}`, (process) => process.sales.move(saleId, verb), 12);

  return {
    get busy() {
      return busy;
    },
    openAll() {
      for (const saleId of saleIds) move(saleId, 'open');
    },
    act() {
      const deed = random.pickWeighted({
        adjust: 5,
        hold: 3,
        unhold: 2,
        refund: 4,
        cancel: 4,
        pause: 2,
        open: 3,
        close: 0.3,
      });
      if (deed === 'adjust') return adjust();
      if (deed === 'hold') return hold();
      if (deed === 'refund' || deed === 'cancel') return takeBack(deed === 'refund');
      if (deed !== 'unhold') return move(random.pick(saleIds), deed);
      if (orders.length > 0) {
        const orderId = random.pick(orders);
        insist(`give back ${orderId}`, (process) => process.inventory.release(orderId), 3);
      }
    },
  };
}
