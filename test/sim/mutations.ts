// The list of planted bugs: a text of the scripts or of the SQL that is replaced, or a part of a process that is a faulty one.
// Each must be found by the checks. How they are put in is plant.ts.
import { failAtFirstReturn, tellRefusedAgain, withFault } from './faulty-stores.ts';
import type { Surgery } from './processes.ts';

export interface Mutation {
  readonly name: string;
  /** What goes wrong, in words. */
  readonly bug: string;
  readonly lua?: readonly (readonly [find: string, replace: string])[];
  readonly sql?: readonly (readonly [find: string, replace: string])[];
  readonly surgery?: Surgery;
}

const END_HOLD = '  touch(id, p, p[QUANTITY], -p[QUANTITY], 0)';

export const mutations: readonly Mutation[] = [
  {
    name: 'units-lost',
    bug: 'a hold that ends does not give its units back',
    lua: [[END_HOLD, '  touch(id, p, 0, -p[QUANTITY], 0)']],
  },
  {
    name: 'units-doubled',
    bug: 'a refund gives its units back twice',
    lua: [['touch(id, p, p[QUANTITY], 0, -p[QUANTITY])', 'touch(id, p, 2 * p[QUANTITY], 0, -p[QUANTITY])']],
  },
  {
    name: 'hold-kept',
    bug: 'a confirmed purchase is ended when its hold would have been',
    lua: [
      [
        '    if p and IS_HELD[p[STATUS]] then\n',
        "    if p and (IS_HELD[p[STATUS]] or p[STATUS] == 'CONFIRMED') then\n",
      ],
    ],
  },
  {
    name: 'hold-forgotten',
    bug: 'the last hold of a run is not kept for the sweep',
    lua: [
      [
        "string.format('%d %d %d', run.ends, run.first, run.last)",
        "string.format('%d %d %d', run.ends, run.first, run.last - 1)",
      ],
    ],
  },
  {
    name: 'place-passed-over',
    bug: 'the head of the line moves on over somebody who still waits',
    lua: [['        if not visit(id, p) then\n', '        if not visit(id, p) then\n          s.head = s.head + 1\n']],
  },
  {
    name: 'newcomer-overtakes',
    bug: 'free stock goes to whoever asks, though others wait',
    lua: [['s.waiters > 0 or quantity > s.available', 'quantity > s.available']],
  },
  {
    name: 'small-overtakes',
    bug: 'a head that wants more than is free is passed over',
    lua: [['if p[QUANTITY] > s.available then return false end', 'if p[QUANTITY] > s.available then return true end']],
  },
  {
    name: 'limit-ignored',
    bug: 'nobody asks for the limit of a buyer',
    lua: [['if units + quantity > sale.perBuyerLimit', 'if units + quantity > 1e9']],
  },
  {
    name: 'limit-not-uncounted',
    bug: 'a hold that ends still counts for its buyer',
    lua: [['status <= STATUS_CODES.CONFIRMED and', 'status <= STATUS_CODES.EXPIRED and']],
  },
  {
    name: 'folder-overwritten',
    bug: 'what a buyer buys next takes the place of what they have',
    lua: [['records[not is_new and place_in(records, rest) or #records + 1] = record', 'records[1] = record']],
  },
  {
    name: 'ticket-skipped',
    bug: 'now and then a ticket is left out',
    lua: [['local ticket = s.lastTicket + 1\n', 'local ticket = s.lastTicket + (NOW % 5 == 0 and 2 or 1)\n']],
  },
  {
    name: 'retry-not-recognised',
    bug: 'the purchase id is not looked up',
    lua: [['  if known then return is_same(', '  if known and known[VERSION] < 0 then return is_same(']],
  },
  {
    name: 'key-not-bound',
    bug: 'the same key with another body is answered as if it were the same',
    lua: [["and { known, stray or nil } or 'KEY_REUSED'", 'and { known } or { known }']],
  },
  {
    name: 'restock-repeated',
    bug: 'a delivery that is told twice counts twice',
    lua: [['if earlier then return', 'if earlier == nil then return']],
  },
  {
    name: 'late-without-room',
    bug: 'a late payment takes stock though somebody waits, or none is there',
    lua: [['if p[HAD_HOLD] == 1 and has_room(id, p, sale, s) then', 'if p[HAD_HOLD] == 1 then']],
  },
  {
    name: 'refund-not-sticky',
    bug: 'a payment that was to be refunded takes stock when it is told again',
    lua: [["if p[REFUND_DUE] == 1 then return 'REFUND' end", '']],
    // By chance one is told again while stock is free in one history of hundreds.
    surgery: { stock: tellRefusedAgain },
  },
  {
    name: 'record-dropped',
    bug: 'the last record of a large entry is not told',
    lua: [
      [
        '  local rows = #changed + #accepted',
        '  local told = #accepted > 0 and accepted or changed\n' +
          '  if #changed + #accepted > 2 then told[#told] = nil end\n' +
          '  local rows = #changed + #accepted',
      ],
    ],
  },
  {
    name: 'line-forgotten',
    bug: 'units of holds that end are not offered to the line',
    lua: [
      ['    offers = offer(sale, s, offers)\n', ''],
      ['  expire_due(sale, s, 64)\n  offer(sale, s, 256)\n', '  expire_due(sale, s, 64)\n'],
    ],
  },
  {
    name: 'sold-out-too-soon',
    bug: 'sold out is said while held units may come back',
    lua: [
      ["if quantity > unsold_of(s) then return 'SOLD_OUT' end", "if quantity > s.available then return 'SOLD_OUT' end"],
    ],
  },
  {
    name: 'hopeless-wait',
    bug: 'whoever waits for more than can ever come is not told',
    lua: [['  budget = end_hopeless(sale, s, budget)\n', '']],
  },
  {
    name: 'hold-never-ends',
    bug: 'the sweep is told to come a minute later',
    lua: [
      [
        "redis.call('ZADD', DEADLINES, string.format('%d', first), s.member)",
        "redis.call('ZADD', DEADLINES, string.format('%d', first + 60000), s.member)",
      ],
    ],
  },
  {
    name: 'starts-miscounted',
    bug: 'a payment that starts stays in the backlog',
    lua: [['then count_starts(sale, -1) end', 'then count_starts(sale, 0) end']],
  },
  {
    name: 'restart-not-compared',
    bug: 'a Redis that was restarted is used without a look at Postgres',
    lua: [["if fence[5] ~= RUN then return reply('FENCED', 'UNCHECKED') end", '']],
  },
  {
    name: 'older-copy-accepted',
    bug: 'a Redis that is behind what Postgres knows is attached to',
    lua: [["if has_seq < seq then return answer('FENCED', 'this Redis is behind Postgres') end", '']],
  },
  {
    name: 'applied-out-of-order',
    bug: 'a job commits its records before those that they build on',
    sql: [['SELECT epoch, seq FROM partitions', 'SELECT epoch, 1000000000::bigint AS seq FROM partitions']],
  },
  {
    name: 'no-version-guard',
    bug: 'an older record overwrites a newer one in Postgres',
    sql: [
      [
        'status = CASE WHEN excluded.version > p.version THEN excluded.status ELSE p.status END',
        'status = excluded.status',
      ],
      [
        'WHERE excluded.version > p.version OR (p.hold_seq IS NULL AND excluded.hold_seq IS NOT NULL) OR (p.end_seq IS NULL AND excluded.end_seq IS NOT NULL)',
        '',
      ],
      ['AND p.version < ($5::bigint[])[n]', ''],
    ],
  },
  {
    name: 'order-left-behind',
    bug: 'the order does not follow every change of its purchase',
    sql: [
      [
        'CASE WHEN ($11::text[])[n] IS NULL',
        'CASE WHEN ($5::bigint[])[n] <= p.version + 1 OR ($11::text[])[n] IS NULL',
      ],
    ],
  },
  {
    name: 'take-back-left-behind',
    bug: 'nobody finishes the take-back of a paid order whose process died in the middle of it',
    sql: [['FROM units_due WHERE at <=', 'FROM units_due WHERE false AND at <=']],
    // By chance one dies just there in a history of hundreds.
    surgery: { stock: failAtFirstReturn },
  },
  {
    name: 'load-not-added',
    bug: 'a delivery is in the ledger and not in the item',
    sql: [['SET loaded = i.loaded + s.d_loaded', 'SET loaded = i.loaded']],
  },
  {
    name: 'acknowledged-before-commit',
    bug: 'an outbox entry is deleted before Postgres has it',
    surgery: {
      async applied(step, stock, partition, entryIds) {
        if (step === 'read') await stock.acknowledge(partition, entryIds);
      },
    },
  },
  {
    name: 'settled-without-stock',
    bug: 'a payment is called settled and its purchase is never confirmed',
    surgery: {
      stock: (stock) =>
        withFault(stock, {
          confirm: async (items) => items.map(({ purchaseId }) => ({ purchaseId, decision: 'CONFIRMED' as const })),
        }),
    },
  },
  {
    name: 'money-kept',
    bug: 'a refund is written down and never asked for',
    surgery: {
      gateway: (gateway) => ({
        ...gateway,
        refund: async ({ purchaseId, intentId, amount }) => ({
          kind: 'refund',
          refund: { refundId: `re_${purchaseId}`, intentId, amount, status: 'succeeded', purchaseId, failure: '' },
        }),
      }),
    },
  },
  {
    name: 'refund-repeated',
    bug: 'nobody looks whether the money was returned before, and each try has a new key',
    surgery: {
      gateway: (gateway, world) => ({
        ...gateway,
        refundsOf: async () => [],
        refund: (order) => gateway.refund({ ...order, attempt: world.timeline.events + 2 }),
      }),
    },
  },
  {
    name: 'wrong-ticket-told',
    bug: 'now and then a buyer is told the ticket of the next one',
    surgery: {
      stock: (stock, world) =>
        withFault(stock, {
          async reserve(saleId, sku, items) {
            const real = await stock.reserve(saleId, sku, items);
            if (!world.random.isLucky(0.1)) return real;
            const swapped = real.outcomes.map((outcome) =>
              outcome.kind === 'purchase'
                ? { ...outcome, purchase: { ...outcome.purchase, ticket: outcome.purchase.ticket + 1 } }
                : outcome,
            );
            return { ...real, outcomes: swapped };
          },
        }),
    },
  },
];
