import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { PurchaseStatus } from '../../actors/records.ts';
import {
  canMoveOrder,
  FULFILMENT,
  ORDER_MOVES,
  type OrderStatus,
  orderStatusOf,
} from '../../shop/orders/order-states.ts';
import { canMovePurchase, isHolding, isLiving, PURCHASE_MOVES } from '../../shop/sales/purchase-states.ts';

const purchaseStatuses = Object.keys(PURCHASE_MOVES) as PurchaseStatus[];
const orderStatuses = Object.keys(ORDER_MOVES) as OrderStatus[];

/** Everything that can be reached from `from`, itself included. */
function reachable<S extends string>(moves: Readonly<Record<S, readonly S[]>>, from: S): Set<S> {
  const seen = new Set<S>([from]);
  for (const status of seen) for (const next of moves[status]) seen.add(next);
  return seen;
}

/** `from>to` of the table MOVES in mark.lua: there the target comes first. */
function movesOfMark(): string[] {
  const source = readFileSync(new URL('../../scripts/lua/mark.lua', import.meta.url), 'utf8');
  const [, table = ''] = /^local MOVES = \{\n(.*?)^\}/ms.exec(source) ?? [];
  return [...table.matchAll(/^ {2}(\w+) = \{(.*)\},$/gm)].flatMap(([, to = '', froms = '']) =>
    [...froms.matchAll(/(\w+) = true/g)].map(([, from = '']) => `${from}>${to}`),
  );
}

describe('purchase states', () => {
  test('the legal moves are exactly those of the design', () => {
    const moves = purchaseStatuses.flatMap((from) => PURCHASE_MOVES[from].map((to) => `${from}>${to}`)).sort();
    expect(moves).toEqual(
      [
        'WAITING>RESERVED',
        'WAITING>SOLD_OUT',
        'WAITING>CANCELLED',
        'RESERVED>PAYMENT_PENDING',
        'RESERVED>PAYMENT_FAILED',
        'RESERVED>CONFIRMED',
        'RESERVED>EXPIRED',
        'RESERVED>CANCELLED',
        'PAYMENT_PENDING>CONFIRMED',
        'PAYMENT_PENDING>PAYMENT_FAILED',
        'PAYMENT_PENDING>EXPIRED',
        'PAYMENT_PENDING>CANCELLED',
        'PAYMENT_FAILED>PAYMENT_PENDING',
        'PAYMENT_FAILED>CONFIRMED',
        'PAYMENT_FAILED>EXPIRED',
        'PAYMENT_FAILED>CANCELLED',
        'EXPIRED>CONFIRMED',
        'EXPIRED>REFUNDED',
        'CANCELLED>CONFIRMED',
        'CANCELLED>REFUNDED',
        'CONFIRMED>REFUNDED',
      ].sort(),
    );
  });

  test('the moves of mark.lua are all there are into the states that only a payment reports', () => {
    const byPayment = ['PAYMENT_PENDING', 'PAYMENT_FAILED'] as const;
    const into = byPayment.flatMap((to) =>
      purchaseStatuses.filter((from) => canMovePurchase(from, to)).map((from) => `${from}>${to}`),
    );
    // REFUNDED is also reached by release.lua, from CONFIRMED.
    const refunds = ['CANCELLED>REFUNDED', 'EXPIRED>REFUNDED'];
    expect(movesOfMark().sort()).toEqual([...into, ...refunds].sort());
    for (const move of refunds) expect(PURCHASE_MOVES[move.split('>')[0] as PurchaseStatus]).toContain('REFUNDED');
  });

  test('every purchase starts waiting or reserved and can reach every end', () => {
    expect([...reachable(PURCHASE_MOVES, 'WAITING')].sort()).toEqual([...purchaseStatuses].sort());
  });

  test('nothing leaves SOLD_OUT or REFUNDED, and no move stands still', () => {
    for (const status of purchaseStatuses) expect(canMovePurchase(status, status)).toBe(false);
    for (const to of purchaseStatuses) {
      expect(canMovePurchase('SOLD_OUT', to)).toBe(false);
      expect(canMovePurchase('REFUNDED', to)).toBe(false);
    }
  });

  test('a hold lives in three states, a purchase in five', () => {
    expect(purchaseStatuses.filter(isHolding)).toEqual(['RESERVED', 'PAYMENT_PENDING', 'PAYMENT_FAILED']);
    expect(purchaseStatuses.filter(isLiving)).toEqual([
      'WAITING',
      'RESERVED',
      'PAYMENT_PENDING',
      'PAYMENT_FAILED',
      'CONFIRMED',
    ]);
  });
});

describe('order states', () => {
  test('every order is reachable from CREATED, and a shipped one is not cancelled', () => {
    expect([...reachable(ORDER_MOVES, 'CREATED')].sort()).toEqual([...orderStatuses].sort());
    expect(canMoveOrder('SHIPPED', 'CANCELLED')).toBe(false);
    expect(canMoveOrder('PACKED', 'CANCELLED')).toBe(true);
    expect(canMoveOrder('DELIVERED', 'REFUNDED')).toBe(true);
    expect(canMoveOrder('CONFIRMED', 'REFUNDED')).toBe(false);
  });

  test('every legal move of a held purchase is a legal move of its order, or none', () => {
    for (const from of purchaseStatuses.filter((status) => status !== 'WAITING')) {
      for (const to of PURCHASE_MOVES[from]) {
        const [before, after] = [
          orderStatusOf({ status: from, reason: '' }),
          orderStatusOf({ status: to, reason: '' }),
        ];
        // A refund of a paid purchase passes through CANCELLED on the order's side.
        const isLegal =
          before === after || canMoveOrder(before, after) || (before === 'CONFIRMED' && after === 'REFUNDED');
        expect(isLegal, `${from} → ${to} means ${before} → ${after}`).toBe(true);
      }
    }
  });

  test('a purchase ended for its data leaves a FAILED order', () => {
    expect(orderStatusOf({ status: 'CANCELLED', reason: 'DATA_ERROR' })).toBe('FAILED');
    expect(orderStatusOf({ status: 'CANCELLED', reason: 'BUYER' })).toBe('CANCELLED');
  });

  test('fulfilment is what follows CONFIRMED on the way to the buyer', () => {
    const onTheWay = [...reachable(ORDER_MOVES, 'PACKED')].filter((status) => FULFILMENT.includes(status));
    expect(onTheWay).toEqual([...FULFILMENT]);
  });
});
