// The crowd: who comes, when, over what, and whether they will pay. Everything about a buyer that is chance is thrown
// here, from one seed, before anybody presses anything.
import type { RushOptions } from './options.ts';
import { createDice } from './seeded.ts';
import { mintTokens } from '../tokens/mint.ts';

export interface Buyer {
  readonly index: number;
  readonly userId: string;
  readonly token: string;
  /** One key for all tries of this buyer: however often the button is pressed, it is one purchase. */
  readonly key: string;
  /** When the button is pressed, counted from the opening; negative for those who wait in the room before it. */
  readonly pressesAtMs: number;
  readonly isPaying: boolean;
  readonly isOnSocket: boolean;
  /** How long a person looks at the payment form. */
  readonly thinkMs: number;
}

const EARLY_MS = 1_500;
const THINK_MIN_MS = 100;
const THINK_MAX_MS = 1_500;
/** Nobody needs longer than this part of the hold to find a card. */
const THINK_SHARE_OF_HOLD = 0.2;

/** In the order in which they press. `runId` keeps the buyers of two rushes on one system apart. */
export async function gatherCrowd(options: RushOptions, runId: string, jwtSecret: string): Promise<Buyer[]> {
  const userIds = Array.from({ length: options.buyers }, (_, index) => `u_rush-${runId}-${index}`);
  const tokens = await mintTokens(userIds, 'USER', jwtSecret);
  const dice = createDice(options.seed);
  const thinkMaxMs = Math.max(THINK_MIN_MS, Math.min(THINK_MAX_MS, options.holdSeconds * 1_000 * THINK_SHARE_OF_HOLD));
  const crowd = userIds.map((userId, index): Buyer => {
    const isEarly = dice.isLucky(options.early);
    return {
      index,
      userId,
      token: tokens[index] ?? '',
      key: `rush-${runId}-${index}`,
      pressesAtMs: isEarly ? -dice.between(0, EARLY_MS) : dice.between(0, options.arrivalMs),
      isPaying: dice.isLucky(options.pay),
      isOnSocket: dice.isLucky(options.websockets),
      thinkMs: dice.between(THINK_MIN_MS, thinkMaxMs),
    };
  });
  return crowd.sort((a, b) => a.pressesAtMs - b.pressesAtMs);
}
