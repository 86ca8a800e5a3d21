// One wave of the traffic: a rush as `npm run rush` plays it (line, holds, payments, sockets), judged as it is judged there,
// and beside it a small sale whose operator pauses, opens and restocks it while all kinds of people come and go.
import { sleep } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import { randomId } from '../../core/ids.ts';
import { isInfrastructureError } from '../../core/postgres/postgres.ts';
import { inspect, type Inspection } from '../../scripts/rush/inspect.ts';
import { createMerchant, type Merchant } from '../../scripts/rush/merchant.ts';
import { DEFAULTS, type RushOptions } from '../../scripts/rush/options.ts';
import { prepareRace } from '../../scripts/rush/race.ts';
import type { Dice } from '../../scripts/rush/seeded.ts';
import type { Target } from '../../scripts/rush/target.ts';
import { mintTokens } from '../../scripts/tokens/mint.ts';
import { behave, type Shop } from './person.ts';

export interface MarketSize {
  buyers: number;
  people: number;
  arrivalMs: number;
  holdSeconds: number;
}

export interface Tally {
  /** Answers by status, 0 for none. */
  readonly statuses: Record<string, number>;
  sales: number;
  buyers: number;
  readonly problems: string[];
}

const INSPECT_TRIES = 30;
const INSPECT_PAUSE_MS = 1_000;

/** Nothing of the kind may ever be answered, whatever is down. */
const isDefect = (status: number): boolean => status >= 500 && status !== 503;

export async function holdRush(
  target: Target,
  size: MarketSize,
  dice: Dice,
  tally: Tally,
  signal: AbortSignal,
): Promise<void> {
  const options: RushOptions = {
    ...DEFAULTS,
    buyers: size.buyers,
    stock: Math.ceil(size.buyers * dice.between(0.2, 0.5)),
    pay: dice.between(0.4, 0.95),
    websockets: dice.between(0.2, 0.5),
    early: 0.1,
    holdSeconds: size.holdSeconds,
    rate: dice.isLucky(0.3) ? 40 : null,
    connections: 16,
    arrivalMs: size.arrivalMs,
    seed: Math.floor(dice.next() * 1e9),
    limitMs: 120_000,
  };
  const heard = ({ status }: { status: number }): void => count(tally, status, 'a buyer of a rush');
  const race = await prepareRace(options, target, { say: () => undefined, signal, observe: heard });
  try {
    await race.run();
    const { saleId } = race.offer;
    const { headSteppedBack } = race.spectator;
    const suspect = { saleId, stock: options.stock, witness: race.witness, headSteppedBack };
    const { verdict, audit } = await untilInspected(() => inspect(target.config, suspect, signal));
    const { oversold, lost, outOfOrder } = verdict;
    if (oversold + lost + outOfOrder > 0)
      tally.problems.push(`${saleId}: oversold ${oversold}, lost ${lost}, out of order ${outOfOrder}`);
    tally.problems.push(...audit.findings.map((finding) => `${saleId}: ${finding}`));
    await race.merchant.close(saleId);
  } finally {
    await race.close();
  }
  tally.sales += 1;
  tally.buyers += size.buyers;
}

/** Postgres may be away just when a rush has ended: that is asked again, until it has long been back. */
async function untilInspected(look: () => Promise<Inspection>): Promise<Inspection> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await look();
    } catch (error) {
      if (tries === INSPECT_TRIES || !isInfrastructureError(error)) throw error;
      await sleep(INSPECT_PAUSE_MS);
    }
  }
}

export async function holdSmallSale(target: Target, size: MarketSize, dice: Dice, tally: Tally): Promise<void> {
  const { url, config, sandboxUrl } = target;
  const id = randomId('run').slice(-8);
  const merchant = await createMerchant(url, config.jwtSecret, `s${id}`);
  const stock = Math.ceil(size.people / 2);
  const { saleId, sku } = await merchant.createSale({ ...DEFAULTS, stock, holdSeconds: size.holdSeconds, rate: null });
  await merchant.open(saleId);
  const heard = (status: number, what: string): void => count(tally, status, what);
  const shop: Shop = { url, sandboxUrl: sandboxUrl ?? '', saleId, sku, heard };
  const names = Array.from({ length: size.people }, (_, i) => `u_soak-${id}-${i}`);
  const tokens = await mintTokens(names, 'USER', config.jwtSecret);
  const people = tokens.map(async (token) => {
    await sleep(dice.between(0, size.arrivalMs));
    await behave(shop, token, dice);
  });
  await Promise.all([...people, operate(shop, merchant, dice, size.arrivalMs)]);
  await merchant.close(saleId);
  tally.sales += 1;
  tally.buyers += size.people;
}

/** Pauses, opens again, brings more, takes some away. What is refused by the rules of stock is refused. */
async function operate(shop: Shop, merchant: Merchant, dice: Dice, forMs: number): Promise<void> {
  const steps = [
    [`/api/v1/sales/${shop.saleId}/pause`, {}],
    [`/api/v1/sales/${shop.saleId}/open`, {}],
    ['/api/v1/inventory/adjust', { sku: shop.sku, quantity: 10, reason: 'restock' }],
    ['/api/v1/inventory/adjust', { sku: shop.sku, quantity: -3, reason: 'damaged' }],
  ] as const;
  for (const [path, body] of steps) {
    await sleep(dice.between(0, forMs / steps.length));
    const headers = { authorization: `Bearer ${merchant.token}`, 'content-type': 'application/json' };
    const init = { method: 'POST', headers, body: JSON.stringify(body), signal: AbortSignal.timeout(10_000) };
    await fetch(`${shop.url}${path}`, init).then(
      (answer) => shop.heard(answer.status, `POST ${path.split('/').at(-1)}`),
      () => shop.heard(0, 'POST by the operator'),
    );
  }
  // A pause whose opening got lost in a fault would leave the sale paused for the rest of its short life.
  await merchant.open(shop.saleId).catch((error: unknown) => shop.heard(0, messageOf(error)));
}

function count(tally: Tally, status: number, what: string): void {
  tally.statuses[status] = (tally.statuses[status] ?? 0) + 1;
  if (isDefect(status) && tally.problems.length < 100) tally.problems.push(`${what} was answered with ${status}`);
}
