// The fingerprint of a wish: what tells a retry from another wish under the same key. A crowd wishes for a handful of things,
// so those of late are remembered: to hash each anew is a twentieth of the door.
import { WISH_PRINTS_MAX } from '../../core/constants.ts';
import { fingerprint } from '../../core/ids.ts';
import { keepLast } from '../../core/last-made.ts';

export function createWishPrints(): (sku: string, quantity: number) => string {
  const known = new Map<string, string>();
  return keepLast((sku: string, quantity: number) => {
    const wish = `${quantity} ${sku}`;
    const earlier = known.get(wish);
    if (earlier !== undefined) return earlier;
    if (known.size >= WISH_PRINTS_MAX) known.clear();
    const print = fingerprint([sku, quantity]);
    known.set(wish, print);
    return print;
  });
}
