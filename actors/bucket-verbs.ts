// The verbs between the buckets of a split sale: units move from one to another in two halves, and each is told what is left
// in all. Part of the stock store; when they are called is the balancer's business (shop/sales/bucket-balance.ts).
import { BUCKET_MOVE_KEPT_MS } from '../core/constants.ts';
import { fault } from '../core/errors.ts';
import { partitionOf } from '../core/ids.ts';
import { bodyOf, type ScriptCaller } from './script-call.ts';
import { scripts } from './scripts.ts';

export interface BucketMove {
  /** The bucket's own id. */
  readonly saleId: string;
  readonly sku: string;
  readonly units: number;
  /** Once per id: a repetition gets the first answer. */
  readonly operationId: string;
}

export interface BucketVerbs {
  /**
   * Takes units out that nobody in this bucket waits for, at most `units`; answers how many. `isPressed`: also those behind
   * a head that asks for more than there are. They are nowhere until they are given.
   */
  takeFromBucket(move: BucketMove & { isPressed: boolean }): Promise<number>;
  giveToBucket(move: BucketMove): Promise<void>;
  /** `was` and `now` are `SkuCounters.everywhere`; nothing changes where `was` is not what is there. */
  tellBucket(saleId: string, items: readonly { sku: string; was: number; now: number }[]): Promise<number>;
}

export function createBucketVerbs(caller: ScriptCaller): BucketVerbs {
  async function move(verb: 'take' | 'give', { saleId, sku, units, operationId }: BucketMove, isPressed: boolean) {
    const input = [saleId, sku, verb, units, operationId, isPressed ? 1 : 0, BUCKET_MOVE_KEPT_MS];
    const body = bodyOf(await caller.call(homeOf(saleId), scripts.bucketMove, input));
    const [outcome, moved] = body as ['OK' | 'SALE_NOT_FOUND' | 'SKU_NOT_FOUND' | 'KEY_REUSED', number];
    if (outcome !== 'OK') throw fault(outcome, `${operationId}: ${sku} of ${saleId}`);
    return moved;
  }

  return {
    takeFromBucket: ({ isPressed, ...half }) => move('take', half, isPressed),
    async giveToBucket(half) {
      await move('give', half, false);
    },
    async tellBucket(saleId, items) {
      const rows = items.map(({ sku, was, now }) => [sku, was, now]);
      const [told] = bodyOf(await caller.call(homeOf(saleId), scripts.bucketTell, [saleId, rows])) as [number];
      return told;
    },
  };
}

function homeOf(saleId: string): number {
  const partition = partitionOf(saleId);
  if (partition === undefined) throw new RangeError(`sale id ${saleId} names no partition`);
  return partition;
}
