// One rush from the first token to the last answer: a sale is made, the crowd is gathered, the doors open, everybody
// lives their life, and the run ends when all of them have, or when its time is up.
import { systemClock } from '../../core/clock.ts';
import { randomId } from '../../core/ids.ts';
import type { Say } from '../../core/services/service.ts';
import { live, type Scene } from './buyer.ts';
import { type Buyer, gatherCrowd } from './crowd.ts';
import { createHttpDoor, type Offer } from './http-door.ts';
import { createMerchant, type Merchant } from './merchant.ts';
import type { RushOptions } from './options.ts';
import { createSocketDoor, type SocketDoor } from './socket-door.ts';
import { createSpectator, type Spectator } from './spectator.ts';
import type { Target } from './target.ts';
import { createTill } from './till.ts';
import { createTraffic, type Heard, type Traffic } from './traffic.ts';
import { createWheel, type Wheel } from './wheel.ts';
import { createWitness, type Witness } from './witness.ts';

export interface Race {
  readonly offer: Offer;
  readonly crowd: readonly Buyer[];
  readonly merchant: Merchant;
  readonly witness: Witness;
  readonly traffic: Traffic;
  readonly spectator: Spectator;
  readonly startedAt: number;
  /** Resolves when every buyer has come to an end; `isCut` when the time was up before. */
  run(): Promise<{ isCut: boolean; tookMs: number }>;
  close(): Promise<void>;
}

const SOCKETS_OPENED_AT_ONCE = 64;
/** Between the last preparation and the opening: the early ones, where there are any, press within it. */
const BEFORE_OPENING_MS = 2_000;
const WITHOUT_EARLY_MS = 200;
/** Once all is sold, those who meant to come back later ask a last time, spread over this. */
const LAST_ROUND_MS = 3_000;

export async function prepareRace(
  options: RushOptions,
  target: Target,
  { say, signal, observe }: { say: Say; signal: AbortSignal; observe?: (answer: Heard) => void },
): Promise<Race> {
  const runId = randomId('run').slice(-8);
  const { url } = target;
  const merchant = await createMerchant(url, target.config.jwtSecret, runId);
  say(`signing ${options.buyers.toLocaleString('en')} access tokens`);
  const crowd = await gatherCrowd(options, runId, target.config.jwtSecret);
  signal.throwIfAborted();
  const offer = await merchant.createSale(options);
  const clock = systemClock;
  const wheel = createWheel(clock);
  const traffic = createTraffic(observe);
  const witness = createWitness(options.buyers, clock);
  const spectator = createSpectator(url, merchant.token, offer, options.stock);
  const http = createHttpDoor(url, options.connections, offer, traffic);
  const till = target.sandboxUrl === null ? null : createTill(target.sandboxUrl, traffic);
  const sockets = await openSockets(crowd, { url, offer, wheel, traffic }, say);

  const startedAt = clock.now() + (options.early > 0 ? BEFORE_OPENING_MS : WITHOUT_EARLY_MS);
  let isOver = false;
  const scene: Scene = {
    ...{ clock, wheel, http, till, witness, traffic },
    holdMs: options.holdSeconds * 1_000,
    opensAt: startedAt,
    isOver: () => isOver,
  };
  const end = (): void => {
    isOver = true;
    wheel.stop();
  };

  return {
    ...{ offer, crowd, merchant, witness, traffic, spectator, startedAt },
    async run() {
      spectator.onSoldOut(() => wheel.hasten(LAST_ROUND_MS));
      const limit = setTimeout(end, startedAt + options.limitMs - clock.now());
      signal.addEventListener('abort', end);
      const lives = crowd.map((buyer) => live(buyer, sockets.get(buyer.index) ?? null, scene));
      await wheel.wait(startedAt - clock.now());
      await merchant.open(offer.saleId);
      await Promise.all(lives);
      clearTimeout(limit);
      const isCut = isOver;
      end();
      return { isCut, tookMs: clock.now() - startedAt };
    },
    async close() {
      end();
      spectator.close();
      for (const socket of sockets.values()) socket.close();
      await Promise.all([http.close(), till?.close()]);
    },
  };
}

async function openSockets(
  crowd: readonly Buyer[],
  deps: { url: string; offer: Offer; wheel: Wheel; traffic: Traffic },
  say: Say,
): Promise<Map<number, SocketDoor>> {
  const sockets = new Map<number, SocketDoor>();
  const queue = crowd.filter(({ isOnSocket }) => isOnSocket);
  if (queue.length > 0) say(`opening ${queue.length.toLocaleString('en')} WebSockets`);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let buyer = queue[next++]; buyer !== undefined; buyer = queue[next++]) {
      const socket = createSocketDoor(buyer, deps);
      sockets.set(buyer.index, socket);
      await socket.open();
    }
  };
  await Promise.all(Array.from({ length: SOCKETS_OPENED_AT_ONCE }, worker));
  return sockets;
}
