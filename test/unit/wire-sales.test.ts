import type { Json } from '../support/api.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeFrame, encodeFrame, idOf } from '../../api/socket-codec.ts';
import { socketMessageSchema } from '../../api/wire.ts';
import { randomId } from '../../core/ids.ts';
import { createSaleSchema, isSaleId, skuSchema } from '../../shop/sales/wire.ts';
import { adjustSchema, reserveSchema, toOrderHoldReply } from '../../shop/sales/wire-inventory.ts';
import { buySchema, isPurchaseId, orderIdOf, toPurchaseReply } from '../../shop/sales/wire-purchase.ts';
import type { Purchase } from '../../actors/records.ts';

const purchase: Purchase = {
  purchaseId: 'pur_03abcdefgh',
  version: 3,
  status: 'RESERVED',
  buyer: 'u_1',
  saleId: 'sale_03abcdefgh',
  sku: 'A',
  quantity: 3,
  ticket: 7,
  expiresAt: 1_800_000_000_000,
  unitPrice: 1_005,
  currency: 'INR',
  createdAt: 1,
  updatedAt: 2,
  reason: '',
  orderRef: '',
  fingerprint: 'f',
  isRefundDue: false,
  hadHold: true,
};
const line = { sku: 'A', stock: 1, price: 1, currency: 'INR' };
const fieldsOf = (schema: { safeParse(value: unknown): Json }, value: unknown) =>
  schema.safeParse(value).error?.issues.map((issue: Json) => issue.path.join('.'));

describe('a sale on the wire', () => {
  it('has defaults, minor units and milliseconds behind it', () => {
    const sale = createSaleSchema.parse({
      name: 'x',
      opensAt: '2030-01-01T00:00:00+01:00',
      items: [{ sku: 'A', stock: 1, price: 0.29 }],
    });
    expect(sale).toMatchObject({
      opensAt: Date.parse('2029-12-31T23:00:00Z'),
      holdSeconds: 600,
      perBuyerLimit: 1,
      lineLimit: null,
    });
    expect(sale.items).toEqual([{ sku: 'A', stock: 1, unitPrice: 29, currency: 'INR' }]);
  });

  it('names what is wrong by its path', () => {
    const broken = (sale: Record<string, unknown>) => fieldsOf(createSaleSchema, { name: 'x', items: [line], ...sale });
    expect(broken({ items: [line, { ...line, sku: 'B', price: 0.001 }] })).toEqual(['items.1.price']);
    expect(broken({ items: [line, line] })).toEqual(['items.1.sku']);
    expect(broken({ items: Array.from({ length: 101 }, () => line) })).toEqual(['items']);
    expect(broken({ lineLimit: -1 })).toEqual(['lineLimit']);
    expect(broken({ admissionPerSecond: 1e-320 })).toEqual(['admissionPerSecond']);
    for (const opensAt of [
      '0000-01-01T00:00:00Z',
      '1969-12-31T23:59:59Z',
      '1970-01-01T00:00:00Z',
      '2026-02-30T12:00:00Z',
    ])
      expect(broken({ opensAt })).toEqual(['opensAt']);
    expect(broken({ closesAt: '1969-12-31T23:59:59Z' })).toEqual(['closesAt']);
    expect(broken({ items: [{ ...line, stock: 1.5 }] })).toEqual(['items.0.stock']);
    expect(broken({ items: [{ ...line, price: Number.NaN }] })).toEqual(['items.0.price']);
  });

  it('takes no text that could reach out of a Redis key', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 70 }), (text) => {
        if (skuSchema.safeParse(text).success) expect(text).toMatch(/^[A-Za-z0-9._-]{1,64}$/);
        for (const isId of [isSaleId, isPurchaseId]) if (isId(text)) expect(text).toMatch(/^[a-z]+_[0-9a-z]+$/);
      }),
    );
    expect([
      isSaleId(randomId('sale', 3)),
      isSaleId(randomId('pur', 3)),
      isSaleId('sale_zz12345678'),
      isPurchaseId(randomId('pur', 0)),
    ]).toEqual([true, false, false, true]);
  });
});

describe('a purchase on the wire', () => {
  it('shows decimals, instants and its order', () => {
    expect(toPurchaseReply(purchase, { ahead: 4 })).toEqual({
      purchaseId: 'pur_03abcdefgh',
      saleId: 'sale_03abcdefgh',
      sku: 'A',
      quantity: 3,
      status: 'RESERVED',
      version: 3,
      ticket: 7,
      expiresAt: '2027-01-15T08:00:00.000Z',
      unitPrice: 10.05,
      totalAmount: 30.15,
      currency: 'INR',
      orderId: orderIdOf(purchase.purchaseId),
    });
  });

  it('has no end once it has ended, and a place only while it waits', () => {
    const waiting = { ...purchase, status: 'WAITING', expiresAt: 0, hadHold: false } as const;
    expect(toPurchaseReply(waiting, { ahead: 4, estimatedWaitSeconds: null })).toMatchObject({
      ahead: 4,
      estimatedWaitSeconds: null,
    });
    expect(toPurchaseReply(waiting, {})).not.toHaveProperty('orderId');
    expect(toPurchaseReply({ ...purchase, status: 'EXPIRED' }, {})).not.toHaveProperty('expiresAt');
  });

  it('is one unit unless told otherwise', () => {
    expect(buySchema.parse({ sku: 'A', extra: true })).toEqual({ sku: 'A', quantity: 1 });
    for (const quantity of [0, -1, 1.5, 101, '1', null])
      expect(fieldsOf(buySchema, { sku: 'A', quantity })).toEqual(['quantity']);
  });
});

describe('inventory on the wire', () => {
  it('takes the words of the seed for a line', () => {
    const { items } = reserveSchema.parse({
      orderId: 'o1',
      items: [
        { productId: 'p', variantId: 'V', quantity: 2 },
        { sku: 'S', quantity: 1 },
      ],
    });
    expect(items).toEqual([
      { sku: 'V', quantity: 2 },
      { sku: 'S', quantity: 1 },
    ]);
    expect(fieldsOf(reserveSchema, { orderId: 'o1', items: [{ quantity: 1 }] })).toEqual(['items.0.sku']);
    expect(fieldsOf(adjustSchema, { sku: 'A', quantity: 0 })).toEqual(['quantity']);
    expect(fieldsOf(adjustSchema, { quantity: 1 })).toEqual(['sku']);
    const seeds = { productId: 'p_1', variantId: 'A', quantity: -2 };
    expect(adjustSchema.parse(seeds)).toEqual({ sku: 'A', quantity: -2, reason: 'adjust' });
  });

  it('ends when the first of its holds does', () => {
    const reply = toOrderHoldReply('o1', [
      purchase,
      { ...purchase, expiresAt: purchase.expiresAt - 1000 },
      { ...purchase, status: 'EXPIRED', expiresAt: 5 },
    ]);
    expect(reply.expiresAt).toBe('2027-01-15T07:59:59.000Z');
    expect(toOrderHoldReply('o1', [])).toEqual({ orderId: 'o1', items: [] });
  });
});

describe('frames', () => {
  it('come out as they went in, in both kinds', () => {
    const message = { type: 'buy', id: 3, saleId: 's', sku: 'A', quantity: 1, key: 'k' };
    for (const isBinary of [false, true]) {
      const frame = encodeFrame(message, isBinary);
      const bytes = typeof frame === 'string' ? Buffer.from(frame) : frame;
      expect(socketMessageSchema.parse(decodeFrame(bytes, isBinary))).toEqual(message);
    }
  });

  it('of any bytes are read without a throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.boolean(), (bytes, isBinary) => {
        const message = decodeFrame(bytes, isBinary);
        socketMessageSchema.safeParse(message);
        idOf(message);
      }),
    );
  });
});
