// The life of one buyer, from pressing the button to the end: bought, let go, or told that all is sold. What a buyer
// knows is what the public contract says; where an answer is missing, the same key asks again.
import type { Clock } from '../../core/clock.ts';
import { isHolding, newer, type Pressed, type Purchase } from './answers.ts';
import type { Buyer } from './crowd.ts';
import type { HttpDoor } from './http-door.ts';
import type { SocketDoor } from './socket-door.ts';
import type { Till } from './till.ts';
import type { Traffic } from './traffic.ts';
import type { Wheel } from './wheel.ts';
import type { End, Witness } from './witness.ts';

export interface Scene {
  clock: Clock;
  wheel: Wheel;
  http: HttpDoor;
  /** Null where the provider is a real one: then nobody pays. */
  till: Till | null;
  witness: Witness;
  traffic: Traffic;
  holdMs: number;
  /** When the sale opens; buyers press relative to it. */
  opensAt: number;
  isOver(): boolean;
}

/** How often somebody comes back to a full line before giving up. */
const LINE_FULL_RETURNS_MAX = 100;
/** Told again to come back, people let more time pass: up to so many times what was asked of them. */
const PATIENCE_MAX = 3;
const UNDECIDED_WAIT_MAX_MS = 5_000;
/** Between two looks: never more often, and never so seldom that a hold would be half over. */
const LOOK_MIN_MS = 400;
const LOOK_MAX_MS = 5_000;
/** A hold ends within a second of its deadline. */
const EXPIRY_GRACE_MS = 1_000;
/** A socket is told; it asks only in case the word got lost. */
const SOCKET_EXTRA_PATIENCE_MS = 3_000;

/** `socket` is null for those who come over HTTP. */
export async function live(buyer: Buyer, socket: SocketDoor | null, scene: Scene): Promise<void> {
  const { clock, wheel, witness } = scene;
  const pressesAt = scene.opensAt + buyer.pressesAtMs;
  await wheel.wait(pressesAt - clock.now());
  let answer = await press(buyer, socket, pressesAt, scene);
  for (;;) {
    const end =
      answer.kind === 'purchase' ? await follow(buyer, socket, answer.purchase, scene) : refusal(answer, scene);
    if (end !== 'gone') {
      witness.ended(end, answer.kind === 'refused' ? answer.code : undefined);
      break;
    }
    // Whoever is told that there is no such purchase presses again; that it was lost is on record.
    answer = await press(buyer, socket, null, scene);
  }
  socket?.close();
}

function refusal(answer: Exclude<Pressed, { kind: 'purchase' }>, scene: Scene): End {
  if (answer.kind === 'undecided') return 'unfinished';
  if (answer.code === 'SOLD_OUT') return 'soldOut';
  if (answer.code === 'LINE_FULL') return scene.isOver() ? 'unfinished' : 'lineFull';
  return 'refused';
}

/** Until there is a purchase, or a refusal that stays one. `pressesAt`: null for who has had an answer before. */
async function press(
  buyer: Buyer,
  socket: SocketDoor | null,
  pressesAt: number | null,
  scene: Scene,
): Promise<Pressed> {
  const { clock, wheel, witness, traffic } = scene;
  // Everybody is told the same time to come back; people do not, and should not, keep it to the second.
  const spread = 1 + ((buyer.index * 7919) % 997) / 997;
  let tries = 0;
  let isAnswered = false;
  for (let returns = 0; ; ) {
    const admittedBefore = witness.admittedUpTo();
    const answer = await (socket ?? { buy: () => scene.http.buy(buyer) }).buy();
    if (scene.isOver() && answer.kind !== 'purchase') return answer;
    if (answer.kind === 'undecided') {
      traffic.retried();
      tries = Math.min(tries + 1, 8);
      const waitMs = Math.min(UNDECIDED_WAIT_MAX_MS, answer.retryAfterSeconds * 250 * tries) * spread;
      await wheel.wait(Math.max(waitMs, answer.retryAfterSeconds * 1_000));
      continue;
    }
    if (!isAnswered && pressesAt !== null) witness.answered(clock.now() - pressesAt);
    isAnswered = true;
    if (answer.kind === 'purchase') witness.saw(buyer.index, answer.purchase, admittedBefore);
    if (answer.kind === 'purchase' || answer.code !== 'LINE_FULL' || returns === LINE_FULL_RETURNS_MAX) return answer;
    returns += 1;
    await wheel.waitPatiently(answer.retryAfterSeconds * 1_000 * spread * Math.min(returns, PATIENCE_MAX));
  }
}

async function follow(buyer: Buyer, socket: SocketDoor | null, first: Purchase, scene: Scene): Promise<End | 'gone'> {
  const { till, wheel } = scene;
  let purchase = first;
  let hasPaid = false;
  let isRefused = till === null || !buyer.isPaying;
  let hasThought = false;
  let looks = 0;
  while (!scene.isOver()) {
    socket?.watchLine(purchase.status === 'WAITING');
    const end = endOf(purchase, hasPaid);
    if (end !== undefined) return end;
    const secret = isHolding(purchase) ? purchase.payment?.clientSecret : undefined;
    if (secret && till !== null && !hasPaid && !isRefused) {
      if (!hasThought) await wheel.wait(buyer.thinkMs);
      hasThought = true;
      const outcome = await till.pay(secret);
      hasPaid = outcome === 'paid';
      isRefused = outcome === 'refused';
      if (outcome === 'undecided') {
        await wheel.wait(LOOK_MIN_MS * 2);
        continue;
      }
      looks = 0;
    }
    const isActing = hasPaid || !isRefused;
    const waitMs = patience(purchase, isActing, looks, scene);
    looks = Math.min(looks + 1, 10);
    const before = purchase.status;
    const next = await nextOf(buyer, socket, purchase, waitMs, scene);
    if (next === 'gone') return 'gone';
    purchase = next;
    if (purchase.status !== before) looks = 0;
  }
  return endOf(purchase, hasPaid) ?? 'unfinished';
}

/** What is final. A hold that ended under a payment is not: either there is stock for it after all, or a refund. */
function endOf(purchase: Purchase, hasPaid: boolean): End | undefined {
  switch (purchase.status) {
    case 'CONFIRMED':
      return 'sold';
    case 'REFUNDED':
      return 'refunded';
    case 'SOLD_OUT':
      return 'soldOut';
    case 'EXPIRED':
      return hasPaid ? undefined : 'expired';
    case 'CANCELLED':
      return hasPaid ? undefined : 'cancelled';
    default:
      return undefined;
  }
}

/** How long there is nothing to ask: the further away the next step, the longer. */
function patience(purchase: Purchase, isActing: boolean, looks: number, { clock, holdMs }: Scene): number {
  const longest = Math.min(LOOK_MAX_MS, Math.max(LOOK_MIN_MS, holdMs / 5));
  if (purchase.status === 'WAITING') {
    const expected = ((purchase.estimatedWaitSeconds ?? longest) * 1_000) / 4;
    return Math.min(longest, Math.max(LOOK_MIN_MS * 2, expected));
  }
  if (isHolding(purchase) && !isActing) {
    const endsAt = purchase.expiresAt === undefined ? 0 : Date.parse(purchase.expiresAt);
    return Math.max(LOOK_MIN_MS * 2, endsAt + EXPIRY_GRACE_MS - clock.now());
  }
  return Math.min(longest, LOOK_MIN_MS * 1.5 ** looks);
}

async function nextOf(
  buyer: Buyer,
  socket: SocketDoor | null,
  known: Purchase,
  waitMs: number,
  scene: Scene,
): Promise<Purchase | 'gone'> {
  const { witness, wheel, http } = scene;
  if (socket !== null) {
    const news = await socket.news(known, waitMs + SOCKET_EXTRA_PATIENCE_MS);
    if (news !== undefined) {
      witness.saw(buyer.index, news, undefined);
      return newer(known, news);
    }
  } else {
    await wheel.wait(waitMs);
  }
  if (scene.isOver()) return known;
  const admittedBefore = witness.admittedUpTo();
  const seen = await http.look(buyer, known.purchaseId);
  if (seen === 'gone') {
    witness.forgotten(known.purchaseId);
    return 'gone';
  }
  if (seen !== undefined) witness.saw(buyer.index, seen, admittedBefore);
  // Who asks one thing after the other hears nothing late: an older state means that a store lost the newer one.
  if (seen === undefined) return known;
  return newer(socket === null ? { ...known, version: 0 } : known, seen);
}
