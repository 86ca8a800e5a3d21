// Ids of buckets, and what the balancer decides from counts: both pure.
import { describe, expect, it } from 'vitest';
import { bucketFor, bucketIds, bucketOf, bucketsOf, publicSaleId, splitId } from '../../actors/buckets.ts';
import type { SkuCounters } from '../../actors/records.ts';
import { PARTITIONS } from '../../core/constants.ts';
import { partitionOf, randomId } from '../../core/ids.ts';
import { isNews, planMoves, unsoldIn } from '../../shop/sales/bucket-plan.ts';

describe('the id of a bucket', () => {
  it('of an ordinary sale says that there is one', () => {
    for (let i = 0; i < 200; i += 1) {
      const id = randomId('sale', i % PARTITIONS);
      expect([bucketsOf(id), bucketOf(id), publicSaleId(id), bucketFor(id, 'u_1')]).toEqual([1, 0, id, id]);
      expect(bucketIds(id)).toEqual([id]);
      expect(splitId(id, 1)).toBe(id);
    }
  });

  it.each([0, 3, PARTITIONS - 1])('tells the others, from each of them (home in partition %i)', (home) => {
    const id = splitId(randomId('sale', home), 5);
    const ids = bucketIds(id);
    expect(ids[0]).toBe(id);
    expect(ids.map(partitionOf)).toEqual([0, 1, 2, 3, 4].map((k) => (home + k) % PARTITIONS));
    for (const [bucket, one] of ids.entries()) {
      expect([bucketOf(one), bucketsOf(one), publicSaleId(one)]).toEqual([bucket, 5, id]);
      expect(bucketIds(one)).toEqual(ids);
      expect(bucketFor(one, 'u_1')).toBe(bucketFor(id, 'u_1'));
    }
  });

  it('that is none is an ordinary id', () => {
    const plain = randomId('sale', 2);
    for (const end of ['u10', 'u33', 'u94', 'uu0', 'u3', 'u']) expect(bucketsOf(`${plain}${end}`)).toBe(1);
  });

  it('is chosen evenly by the buyer, and otherwise in another sale', () => {
    const [one, two] = [splitId(randomId('sale', 1), 3), splitId(randomId('sale', 1), 3)];
    const counts = [0, 0, 0];
    let same = 0;
    for (let i = 0; i < 9_000; i += 1) {
      const buyer = `u_${i}`;
      const bucket = bucketOf(bucketFor(one, buyer));
      counts[bucket] = (counts[bucket] ?? 0) + 1;
      if (bucket === bucketOf(bucketFor(two, buyer))) same += 1;
    }
    for (const count of [...counts, same]) expect(Math.abs(count - 3_000)).toBeLessThan(250);
  });
});

function bucket(saleId: string, counts: Partial<SkuCounters>): SkuCounters {
  const empty = { loaded: 0, available: 0, held: 0, sold: 0, waiting: 0, head: 1, lastTicket: 0, version: 1 };
  return { saleId, sku: 'X', saleStatus: 'OPEN', ...empty, ...counts };
}

const told = (buckets: readonly SkuCounters[]): string[] =>
  planMoves(buckets).map(
    ({ fromSale, toSale, units, isPressed }) => `${units} ${fromSale}>${toSale}${isPressed ? '!' : ''}`,
  );

describe('the plan', () => {
  it('gives what nobody waits for to those who wait, and a part of the rest', () => {
    expect(told([bucket('a', { available: 4 }), bucket('b', { waiting: 2 })])).toEqual(['3 a>b']);
    expect(told([bucket('a', { available: 1 }), bucket('b', { waiting: 9 }), bucket('c', { waiting: 9 })])).toEqual([
      '1 a>b',
    ]);
    expect(told([bucket('a', { available: 4 }), bucket('b', { waiting: 6 }), bucket('c', { waiting: 2 })])).toEqual([
      '3 a>b',
      '1 a>c',
    ]);
  });

  it('fills an empty bucket before somebody has to wait there, but never with a last unit', () => {
    expect(told([bucket('a', { available: 6 }), bucket('b', {}), bucket('c', { available: 1 })])).toEqual(['2 a>b']);
    expect(told([bucket('a', { available: 1 }), bucket('b', {})])).toEqual([]);
  });

  it('takes nothing from those who wait, and gives nothing to who may not sell', () => {
    expect(told([bucket('a', { available: 5, waiting: 5 }), bucket('b', { waiting: 3 })])).toEqual([]);
    expect(told([bucket('a', { available: 5 }), bucket('b', { waiting: 3, saleStatus: 'PAUSED' })])).toEqual([]);
    expect(told([bucket('a', { available: 5, saleStatus: 'PAUSED' }), bucket('b', { waiting: 3 })])).toEqual([]);
  });

  it('gathers units for one of several heads that ask for more than there is', () => {
    expect(told([bucket('a', { available: 1, waiting: 3 }), bucket('b', { available: 2, waiting: 3 })])).toEqual([
      '1 a>b!',
    ]);
    expect(told([bucket('a', { available: 1, waiting: 3 }), bucket('b', { waiting: 1 })])).toEqual([]);
  });
});

describe('news', () => {
  it('is what could make a bucket refuse, or refuse wrongly', () => {
    const knows = (unsold: number) => bucket('a', { everywhere: unsold + 1 });
    expect(unsoldIn([bucket('a', { loaded: 5, sold: 2 }), bucket('b', { loaded: 1, sold: 1 })])).toBe(3);
    expect(isNews(knows(1_000_000), 5_000)).toBe(false);
    expect(isNews(knows(1_000_000), 3)).toBe(true);
    expect(isNews(knows(3), 3)).toBe(false);
    expect(isNews(knows(0), 5_000)).toBe(true);
  });
});
