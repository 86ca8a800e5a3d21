// What the balancer decides about one SKU of a split sale, from the counts of its buckets: which units move where, and whether
// the buckets are to be told what is left. Pure: nothing is read or changed here.
import type { SkuCounters } from '../../actors/records.ts';
import { PER_BUYER_LIMIT_MAX } from '../../core/constants.ts';

export interface PlannedMove {
  readonly fromSale: string;
  readonly toSale: string;
  readonly units: number;
  /** Also units behind a head that asks for more than its bucket has. */
  readonly isPressed: boolean;
}

interface Side {
  readonly saleId: string;
  units: number;
}

/**
 * Units that nobody waits for go where somebody waits, or would have to: an empty bucket gets its part of what is left. Where all
 * wait, each for more than there is, they go to one of them.
 */
export function planMoves(buckets: readonly SkuCounters[]): PlannedMove[] {
  const open = buckets.filter((bucket) => bucket.saleStatus === 'OPEN');
  const spare = open
    .filter((b) => b.waiting === 0 && b.available > 0)
    .map((b) => ({ saleId: b.saleId, units: b.available }));
  const needy = open.filter((b) => b.available < b.waiting || (b.available === 0 && b.waiting === 0));
  if (spare.length > 0) return match(spare, shareOut(spare, needy, buckets.length), false);
  return gather(needy.filter((bucket) => bucket.available > 0));
}

/** In proportion to what each lacks; where there is more than that, a bucket's part of the rest too, for who comes next. */
function shareOut(spare: readonly Side[], needy: readonly SkuCounters[], buckets: number): Side[] {
  const supply = spare.reduce((sum, { units }) => sum + units, 0);
  const lacks = needy.map(({ waiting, available }) => waiting - available);
  const lacking = lacks.reduce((sum, units) => sum + units, 0);
  if (supply >= lacking) {
    // Rounded down, so that a last unit stays where it is until somebody waits for it.
    const extra = Math.floor((supply - lacking) / buckets);
    return needy.map(({ saleId }, i) => ({ saleId, units: (lacks[i] ?? 0) + extra }));
  }
  let rest = supply;
  return needy.map(({ saleId }, i) => {
    const units = Math.min(rest, Math.ceil((supply * (lacks[i] ?? 0)) / lacking));
    rest -= units;
    return { saleId, units };
  });
}

/** Each head asks for more than its bucket has: together it may be enough for one, the one that has most. */
function gather(blocked: readonly SkuCounters[]): PlannedMove[] {
  const [target, ...others] = [...blocked].sort((a, b) => b.available - a.available);
  if (target === undefined) return [];
  const spare = others.map(({ saleId, available }) => ({ saleId, units: available }));
  return match(spare, [{ saleId: target.saleId, units: Number.POSITIVE_INFINITY }], true);
}

function match(from: readonly Side[], to: readonly Side[], isPressed: boolean): PlannedMove[] {
  const moves: PlannedMove[] = [];
  const sources = from.map((side) => ({ ...side }));
  for (const { saleId: toSale, units: wanted } of to) {
    let open = wanted;
    for (const source of sources) {
      const units = Math.min(open, source.units);
      if (units <= 0) continue;
      moves.push({ fromSale: source.saleId, toSale, units, isPressed });
      source.units -= units;
      open -= units;
    }
  }
  return moves;
}

/** Units that are not sold in any of them, while none is on its way between two. */
export function unsoldIn(buckets: readonly SkuCounters[]): number {
  return buckets.reduce((sum, { loaded, sold }) => sum + loaded - sold, 0);
}

/** Whether a bucket is to be told of `unsold`: only where it could refuse a purchase for it, or refuses one it must not. */
export function isNews({ everywhere = 0 }: SkuCounters, unsold: number): boolean {
  const told = everywhere - 1;
  return told !== unsold && Math.min(told, unsold) < PER_BUYER_LIMIT_MAX;
}
