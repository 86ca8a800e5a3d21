// The parts of the demo that judge or that are chance: a judge that cannot see a violation would bless everything.
import { expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import type { Purchase } from '../../scripts/rush/answers.ts';
import { judge, overtakings } from '../../scripts/rush/verdict.ts';
import { createDice } from '../../scripts/rush/seeded.ts';
import { createWheel } from '../../scripts/rush/wheel.ts';
import { createWitness, percentile } from '../../scripts/rush/witness.ts';

const purchase = (ticket: number, status: Purchase['status'], version = 1): Purchase => ({
  purchaseId: `pur_${ticket}`,
  ticket,
  status,
  version,
});
const row = (ticket: number, status: string, hadHold = true) => ({
  purchaseId: `pur_${ticket}`,
  ticket,
  status,
  hadHold,
});
const recordsOf = (rows: ReturnType<typeof row>[], sold: number, orders: string[]) => ({
  purchases: rows,
  admittedTickets: rows.filter(({ hadHold }) => hadHold).map(({ ticket }) => ticket),
  paidOrders: new Set(orders),
  sold,
});

test('overtakings are counted in pairs, and include those who were passed over for good', () => {
  expect(overtakings({ purchases: [], admittedTickets: [1, 2, 3, 7] })).toBe(0);
  expect(overtakings({ purchases: [], admittedTickets: [2, 3, 1] })).toBe(2);
  expect(overtakings({ purchases: [row(2, 'SOLD_OUT', false)], admittedTickets: [1, 3] })).toBe(1);
  expect(overtakings({ purchases: [row(2, 'CANCELLED', false)], admittedTickets: [1, 3] })).toBe(0);
});

test('the judge sees what is oversold, and what was acknowledged and is gone', () => {
  const witness = createWitness(3, systemClock);
  for (const ticket of [1, 2]) witness.saw(ticket, purchase(ticket, 'CONFIRMED'), undefined);
  const good = recordsOf([row(1, 'CONFIRMED'), row(2, 'CONFIRMED')], 2, ['pur_1', 'pur_2']);
  expect(judge(good, witness, 2, 0)).toEqual({ oversold: 0, lost: 0, outOfOrder: 0 });
  expect(judge(good, witness, 1, 0)).toMatchObject({ oversold: 1 });
  expect(judge({ ...good, paidOrders: new Set(['pur_1']) }, witness, 2, 0)).toMatchObject({ lost: 1 });
  expect(judge({ ...good, purchases: [row(1, 'CONFIRMED')] }, witness, 2, 0)).toMatchObject({ lost: 1 });
  expect(judge(good, witness, 2, 1)).toMatchObject({ outOfOrder: 1 });
});

test('a buyer who still waits after a later ticket was told of its hold was overtaken', () => {
  const witness = createWitness(2, systemClock);
  witness.saw(0, purchase(5, 'WAITING'), 0);
  const asksBefore = witness.admittedUpTo();
  witness.saw(1, purchase(6, 'RESERVED'), 0);
  const asksAfter = witness.admittedUpTo();
  witness.saw(0, purchase(5, 'WAITING', 2), asksBefore);
  expect([...witness.overtaken]).toEqual([]);
  witness.saw(0, purchase(5, 'WAITING', 3), asksAfter);
  expect([...witness.overtaken]).toEqual(['pur_5']);
});

test('the same seed throws the same dice', () => {
  const throwTen = (seed: number): number[] => {
    const dice = createDice(seed);
    return Array.from({ length: 10 }, () => dice.next());
  };
  expect(throwTen(7)).toEqual(throwTen(7));
  expect(throwTen(7)).not.toEqual(throwTen(8));
  expect(throwTen(7).every((value) => value >= 0 && value < 1)).toBe(true);
});

test('the wheel wakes in order of time, hastens the patient, and lets nobody sleep when it stops', async () => {
  const wheel = createWheel(systemClock);
  const woken: string[] = [];
  const note = (name: string) => () => void woken.push(name);
  const all = [
    wheel.wait(40).then(note('later')),
    wheel.wait(5).then(note('soon')),
    wheel.waitPatiently(600_000).then(note('patient')),
    wheel.wait(600_000).then(note('stopped')),
  ];
  await all[0];
  expect(woken).toEqual(['soon', 'later']);
  wheel.hasten(10);
  await all[2];
  expect(woken).toEqual(['soon', 'later', 'patient']);
  wheel.stop();
  await Promise.all(all);
  expect(woken.at(-1)).toBe('stopped');
});

test('percentiles are values that were measured', () => {
  const sorted = Float64Array.from({ length: 100 }, (_, index) => index + 1);
  expect([percentile(sorted, 0.5), percentile(sorted, 0.99), percentile(sorted, 1)]).toEqual([50, 99, 100]);
  expect(percentile(new Float64Array(), 0.5)).toBe(0);
});
