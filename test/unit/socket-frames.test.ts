// What is written, read and listed by hand on the sockets' hot path, against the packer and the schema that it stands in for.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packPurchase } from '../../api/purchase-frame.ts';
import { encodeAnswer } from '../../api/socket-codec.ts';
import { createSocketBuyers } from '../../api/socket-buyers.ts';
import { readBuy } from '../../api/socket-message.ts';
import { socketMessageSchema } from '../../api/wire.ts';
import { SOCKETS_PER_BUYER_MAX } from '../../core/constants.ts';
import { unpack } from '../../core/redis/msgpack.ts';
import { writePurchase } from '../../shop/sales/purchase-json.ts';
import type { PurchaseReply } from '../../shop/sales/sales.ts';

const ids = fc.oneof(fc.string({ maxLength: 70, unit: 'grapheme' }), fc.string({ maxLength: 70 }), fc.integer());
const counts = fc.oneof(fc.nat(300), fc.nat(70_000), fc.nat(2 ** 31), fc.constantFrom(2 ** 32 - 1, 2 ** 40));

const rare = fc.constantFrom<Partial<PurchaseReply>>(
  {},
  {},
  { reason: 'gr\u00fcn' },
  { payment: { clientSecret: null, status: 'requires_payment_method' } },
);

const common: fc.Arbitrary<PurchaseReply> = fc
  .record(
    {
      purchaseId: fc.stringMatching(/^pur_[0-9a-z]{10,40}$/),
      saleId: fc.stringMatching(/^sale_[0-9a-z]{10,40}$/),
      sku: fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/),
      quantity: fc.integer({ min: 1, max: 100 }),
      status: fc.constantFrom('WAITING' as const, 'RESERVED' as const, 'SOLD_OUT' as const),
      version: counts,
      ticket: counts,
      unitPrice: fc.oneof(fc.nat(100_000), fc.double({ min: 0, max: 1e6, noNaN: true })),
      totalAmount: fc.double({ min: 0, max: 1e8, noNaN: true }),
      currency: fc.constantFrom('INR', 'JPY'),
      bucket: fc.nat(16),
      ahead: fc.nat(100_000),
      estimatedWaitSeconds: fc.option(fc.double({ min: 0, max: 1e5, noNaN: true })),
      expiresAt: fc.constant('2026-12-01T12:10:00.000Z'),
      orderId: fc.stringMatching(/^ord_[0-9a-z]{10,40}$/),
    },
    {
      requiredKeys: [
        'purchaseId',
        'saleId',
        'sku',
        'quantity',
        'status',
        'version',
        'ticket',
        'unitPrice',
        'totalAmount',
        'currency',
      ],
    },
  )
  // What is absent is absent, not undefined.
  .map((reply) => ({ ...reply, totalAmount: reply.unitPrice * reply.quantity }));

const replies = fc.tuple(common, rare).map(([reply, more]): PurchaseReply => ({ ...reply, ...more }));

describe('the binary frame of a purchase', () => {
  it('says what the packer would say', () => {
    let written = 0;
    fc.assert(
      fc.property(replies, fc.option(ids, { nil: undefined }), (reply, id) => {
        if (packPurchase(reply, id) !== undefined) written += 1;
        const frame = encodeAnswer(reply, id, true);
        const message = { type: 'purchase', ...(id !== undefined && { id }), ...reply };
        expect(unpack(Buffer.from(frame))).toEqual(JSON.parse(JSON.stringify(message)));
      }),
      { numRuns: 1_000 },
    );
    expect(written).toBeGreaterThan(100);
  });
});

describe('the JSON of a purchase', () => {
  it('is what JSON.stringify writes, member for member', () => {
    const before = [
      'purchaseId',
      'saleId',
      'sku',
      'quantity',
      'status',
      'version',
      'ticket',
      'unitPrice',
      'totalAmount',
    ];
    const after = ['currency', 'ahead', 'estimatedWaitSeconds', 'expiresAt', 'bucket', 'orderId', 'reason', 'payment'];
    const orders = fc.constantFrom<Partial<PurchaseReply>>({}, {}, { orderId: 'an order "of theirs"' });
    fc.assert(
      fc.property(replies, orders, (reply, more) => {
        const all: Partial<Record<string, unknown>> = { ...reply, ...more };
        const members = [...before, ...after].flatMap((name) => (name in all ? [[name, all[name]]] : []));
        const ordered: PurchaseReply = Object.fromEntries(members);
        expect(writePurchase(ordered)).toBe(JSON.stringify(ordered));
      }),
      { numRuns: 500 },
    );
  });
});

describe('a buy that is read by hand', () => {
  const values = fc.oneof(ids, fc.constant(null), fc.constant(undefined), fc.boolean(), fc.double());
  const buys = fc.record(
    {
      type: fc.oneof({ weight: 9, arbitrary: fc.constant('buy') }, { weight: 1, arbitrary: values }),
      id: fc.oneof(ids, values),
      saleId: fc.oneof({ weight: 4, arbitrary: fc.string({ maxLength: 140 }) }, { weight: 1, arbitrary: values }),
      sku: fc.oneof({ weight: 4, arbitrary: fc.stringMatching(/^[A-Z-]{1,66}$/) }, { weight: 1, arbitrary: values }),
      quantity: fc.oneof({ weight: 4, arbitrary: fc.integer({ min: -1, max: 102 }) }, values),
      key: fc.oneof({ weight: 4, arbitrary: fc.stringMatching(/^[!-~]{1,260}$/) }, values),
      more: values,
    },
    { requiredKeys: ['type', 'saleId', 'sku'] },
  );

  it('is one that the schema passes, as the schema passes it', () => {
    let read = 0;
    fc.assert(
      fc.property(fc.oneof({ weight: 9, arbitrary: buys }, { weight: 1, arbitrary: values }), (raw) => {
        const buy = readBuy(raw);
        const checked = socketMessageSchema.safeParse(raw);
        if (buy !== undefined) read += 1;
        // Each buy that the schema passes is read by hand, too: else the hot path is not the one that is meant.
        expect(buy).toEqual(checked.success && checked.data.type === 'buy' ? checked.data : undefined);
      }),
      { numRuns: 2_000 },
    );
    expect(read).toBeGreaterThan(200);
  });
});

describe('the sockets of a buyer', () => {
  interface Listed {
    readonly userId: string;
    sibling: Listed | undefined;
  }
  const socketOf = (userId: string): Listed => ({ userId, sibling: undefined });

  it('are all found, whichever of them has gone', () => {
    const mine = Array.from({ length: 4 }, () => socketOf('u_1'));
    for (const gone of mine) {
      const buyers = createSocketBuyers<Listed>();
      const other = socketOf('u_2');
      for (const socket of [...mine, other]) expect(buyers.add(socket, socket.userId)).toBe(true);
      buyers.remove(gone);
      expect(new Set(buyers.of('u_1'))).toEqual(new Set(mine.filter((socket) => socket !== gone)));
      expect([buyers.of('u_2'), buyers.size]).toEqual([[other], 2]);
      for (const socket of mine) buyers.remove(socket);
      expect([buyers.of('u_1'), buyers.size]).toEqual([[], 1]);
    }
  });

  it('are no more than a buyer may have, and one that was refused takes nobody with it', () => {
    const buyers = createSocketBuyers<Listed>();
    for (let i = 0; i < SOCKETS_PER_BUYER_MAX; i += 1) expect(buyers.add(socketOf('u_1'), 'u_1')).toBe(true);
    const refused = socketOf('u_1');
    expect(buyers.add(refused, 'u_1')).toBe(false);
    buyers.remove(refused);
    expect(buyers.of('u_1')).toHaveLength(SOCKETS_PER_BUYER_MAX);
  });
});
