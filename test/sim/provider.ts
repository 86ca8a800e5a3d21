// The payment provider, in memory, with Stripe's rules: an idempotency key is answered as it was the first time, a stored
// 500 too; an intent is charged once at most; a canceled one cannot be paid, a paid one not canceled; events repeat, come
// late, in any order, or never. It is a PaymentGateway to the shop, and a till to the buyers. Its books are for the checks.
import { fault } from '../../core/errors.ts';
import type { PaymentDependencies } from '../../shop/payments/payments.ts';
import { providerEventSchema } from '../../shop/payments/wire.ts';
import { cross, digestOf, type Fate, type Node, type World } from './world.ts';

type Gateway = PaymentDependencies['gateway'];
type IntentOrder = Parameters<Gateway['start']>[0];
type StartOutcome = Awaited<ReturnType<Gateway['start']>>;
type RefundOutcome = Awaited<ReturnType<Gateway['refund']>>;

export interface Intent {
  readonly id: string;
  readonly key: string;
  readonly secret: string;
  readonly amount: number;
  readonly currency: string;
  readonly createdAt: number;
  status: 'requires_payment_method' | 'processing' | 'succeeded' | 'canceled';
  lastError: string | null;
}

type ProviderIntent = NonNullable<Awaited<ReturnType<Gateway['retrieve']>>>;
type ProviderRefund = NonNullable<Awaited<ReturnType<Gateway['retrieveRefund']>>>;

interface Refund {
  readonly id: string;
  readonly intentId: string;
  readonly purchaseId: string;
  readonly amount: number;
  readonly createdAt: number;
}

export type Deliver = (raw: Buffer) => Promise<void>;

export interface Provider {
  gatewayFor(node: Node): Gateway;
  /** What a buyer's card does with the secret they were shown. */
  pay(secret: string, card: 'good' | 'bad' | 'slow'): void;
  readonly intents: ReadonlyMap<string, Intent>;
  readonly refunds: readonly Refund[];
  /** Events on their way, those that were lost not counted. */
  readonly underWay: number;
}

const unavailable = (what: string): Error => fault('UNAVAILABLE', `The payment provider did not do it: ${what}`);

export function createProvider(world: World, deliver: Deliver): Provider {
  const { timeline, random } = world;
  const intents = new Map<string, Intent>();
  const refunds: Refund[] = [];
  /** What was answered under an idempotency key. */
  const answered = new Map<string, StartOutcome | RefundOutcome>();
  let numbered = 0;
  let underWay = 0;

  // --- events ---

  function emit(type: string, object: Record<string, unknown>): void {
    numbered += 1;
    const created = Math.floor(timeline.now / 1000);
    const raw = Buffer.from(JSON.stringify({ id: `evt_${numbered}`, type, created, data: { object } }));
    if (random.isLucky(world.weather.eventLost)) return timeline.note(`provider ${type} evt_${numbered} is lost`);
    send(raw);
    while (random.isLucky(world.weather.eventRepeated)) send(raw);
  }

  /** Until it is answered, as Stripe does for days. */
  function send(raw: Buffer): void {
    underWay += 1;
    timeline.schedule(random.integer(0, world.weather.maxEventDelayMs), () => {
      let isOver = false;
      const end = (hasArrived: boolean): void => {
        if (isOver) return;
        isOver = true;
        underWay -= 1;
        if (!hasArrived) send(raw);
      };
      deliver(raw).then(
        () => end(true),
        () => end(false),
      );
      // Whoever took it may have died without a word.
      timeline.schedule(8_000, () => end(false));
    });
  }

  const shown = (intent: Intent) => ({
    ...{ id: intent.id, object: 'payment_intent', amount: intent.amount, currency: intent.currency },
    ...{ amount_received: intent.status === 'succeeded' ? intent.amount : 0, status: intent.status },
    ...{
      metadata: { purchase_id: intent.key },
      last_payment_error: intent.lastError === null ? null : { code: intent.lastError },
    },
  });

  function succeed(intent: Intent): void {
    intent.status = 'succeeded';
    timeline.note(`provider ${intent.id} is paid`);
    emit('payment_intent.succeeded', shown(intent));
  }

  function pay(secret: string, card: 'good' | 'bad' | 'slow'): void {
    const intent = [...intents.values()].find((one) => one.secret === secret);
    if (intent === undefined || intent.status !== 'requires_payment_method') return;
    if (card === 'bad') {
      intent.lastError = 'card_declined';
      return emit('payment_intent.payment_failed', shown(intent));
    }
    if (card === 'good') return succeed(intent);
    intent.status = 'processing';
    emit('payment_intent.processing', shown(intent));
    timeline.schedule(random.integer(100, 4_000), () => {
      if (intent.status === 'processing') succeed(intent);
    });
  }

  // --- the gateway ---

  function createIntent(order: IntentOrder): StartOutcome {
    numbered += 1;
    const id = `pi_${numbered}`;
    const { key, amount, currency } = order;
    intents.set(id, {
      ...{ id, key, secret: `${id}_secret`, amount, currency: currency.toLowerCase(), createdAt: timeline.now },
      ...{ status: 'requires_payment_method', lastError: null },
    });
    return { kind: 'intent', intent: toIntent(id) };
  }

  function toIntent(id: string): ProviderIntent {
    const intent = intents.get(id);
    if (intent === undefined) throw unavailable(`no intent ${id}`);
    const { secret, status, amount, currency, lastError } = intent;
    const amountReceived = status === 'succeeded' ? amount : 0;
    return { intentId: id, clientSecret: secret, status, amount, amountReceived, currency, failure: lastError ?? '' };
  }

  const toRefund = ({ id, intentId, purchaseId, amount }: Refund): ProviderRefund => ({
    ...{ refundId: id, intentId, purchaseId, amount, status: 'succeeded', failure: '' },
  });

  function createRefund(order: Parameters<Gateway['refund']>[0]): RefundOutcome {
    const { intentId, purchaseId, amount } = order;
    const intent = intents.get(intentId);
    const given = refunds.filter((one) => one.intentId === intentId).reduce((sum, one) => sum + one.amount, 0);
    if (intent?.status !== 'succeeded' || given + amount > intent.amount) {
      return { kind: 'refused', reason: 'charge_already_refunded' };
    }
    numbered += 1;
    const id = `re_${numbered}`;
    refunds.push({ id, intentId, purchaseId, amount, createdAt: timeline.now });
    timeline.note(`provider ${id} returns ${amount} of ${intentId}`);
    const object = { id, object: 'refund', amount, status: 'succeeded', payment_intent: intentId };
    emit('refund.created', { ...object, metadata: { purchase_id: purchaseId } });
    return { kind: 'refund', refund: toRefund({ id, intentId, purchaseId, amount, createdAt: 0 }) };
  }

  /** Answers a key as the first time; may fail before or after the work, and then keeps that failure. */
  function once<T extends StartOutcome | RefundOutcome>(key: string, work: () => T): T | { kind: 'again' } {
    const earlier = answered.get(key);
    if (earlier !== undefined) return earlier as T; // a key is used for one kind of work
    const draw = random.next();
    const { providerFails, providerFailsAfterWork } = world.weather;
    if (draw < providerFails + providerFailsAfterWork) {
      if (draw >= providerFails) work();
      answered.set(key, { kind: 'again' });
      return { kind: 'again' };
    }
    const outcome = work();
    answered.set(key, outcome);
    return outcome;
  }

  function fate(): Fate {
    if (!random.isLucky(world.weather.providerDown)) return { kind: 'done' };
    return { kind: random.pick(['unsent', 'unanswered', 'late'] as const), error: unavailable('a time-out') };
  }

  function gatewayFor(node: Node): Gateway {
    const call = <T>(what: string, work: () => T): Promise<T> =>
      cross(world, node, { what: `provider ${what}`, fate, mayOutliveSender: true, run: async () => work() });
    return {
      start: (order, attempt) =>
        call(`start ${digestOf(order.key)} #${attempt}`, () => {
          const alive = [...intents.values()].findLast((one) => one.key === order.key && one.status !== 'canceled');
          if (attempt > 1 && alive !== undefined) return { kind: 'intent', intent: toIntent(alive.id) };
          return once(attempt === 1 ? order.key : `${order.key}:${attempt}`, () => createIntent(order));
        }),
      retrieve: (intentId) =>
        call(`retrieve ${intentId}`, () => (intents.has(intentId) ? toIntent(intentId) : undefined)),
      cancel: (intentId) =>
        call(`cancel ${intentId}`, () => {
          const intent = intents.get(intentId);
          if (intent === undefined) return 'gone';
          if (intent.status === 'succeeded' || intent.status === 'processing') return 'paid';
          if (intent.status === 'canceled') return 'canceled';
          intent.status = 'canceled';
          emit('payment_intent.canceled', shown(intent));
          return 'canceled';
        }),
      refund: (order) => {
        const first = `refund_${order.purchaseId}`;
        const key = order.attempt === 1 ? first : `${first}:${order.attempt}`;
        return call(`refund ${digestOf(order)}`, () => once(key, () => createRefund(order)));
      },
      find: (key) =>
        call(`find ${digestOf(key)}`, () => {
          const alive = [...intents.values()].findLast((one) => one.key === key && one.status !== 'canceled');
          return alive && toIntent(alive.id);
        }),
      refundsOf: (intentId) =>
        call(`refundsOf ${intentId}`, () => refunds.filter((one) => one.intentId === intentId).map(toRefund)),
      retrieveRefund: (refundId) =>
        call(`retrieveRefund ${refundId}`, () => refunds.filter((one) => one.id === refundId).map(toRefund)[0]),
      listRefunds: ({ since, until }) =>
        call('listRefunds', () => {
          const isIn = ({ createdAt }: Refund): boolean => createdAt >= since.getTime() && createdAt < until.getTime();
          return { refunds: refunds.filter(isIn).map(toRefund), next: undefined };
        }),
      verifyWebhook: (raw) => providerEventSchema.parse(JSON.parse(raw.toString())),
    };
  }

  return {
    gatewayFor,
    pay,
    intents,
    refunds,
    get underWay() {
      return underWay;
    },
  };
}
