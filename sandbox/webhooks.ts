// Sends events to the merchant's endpoint as Stripe does: signed over `t.rawbody` with HMAC-SHA256, repeated with growing
// pauses until a 2xx, for three days at most. Bounded concurrency; an endpoint that is down pauses everything, so that a
// backlog does not turn into a storm. Order is not kept, as with Stripe.
import { createHmac } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import type { Clock } from '../core/clock.ts';
import type { Account } from './account.ts';
import type { BehaviorControl } from './behavior.ts';
import type { SandboxEvent } from './wire.ts';

const MAX_IN_FLIGHT = 32;
const ANSWER_TIMEOUT_MS = 10_000;
const FIRST_PAUSE_MS = 200;
const MAX_PAUSE_MS = 10_000;
const GIVE_UP_AFTER_MS = 3 * 24 * 3600 * 1000;
const REORDER_WINDOW_MS = 150;

export interface Webhooks {
  deliver(event: SandboxEvent): void;
  counts(): { sent: number; delivered: number; refused: number; pending: number };
  stop(): void;
}

interface Delivery {
  event: SandboxEvent;
  attempt: number;
}

/** The header that the SDK's webhooks.constructEvent verifies. */
export function signatureHeader(payload: string, secret: string, atSeconds: number): string {
  const signature = createHmac('sha256', secret).update(`${atSeconds}.${payload}`).digest('hex');
  return `t=${atSeconds},v1=${signature}`;
}

export function createWebhooks(deps: {
  url: string;
  secret: string;
  clock: Clock;
  account: Account;
  behavior: BehaviorControl;
}): Webhooks {
  const { account, behavior, clock } = deps;
  const post = createPoster(deps.url);
  const queue: Delivery[] = [];
  const timers = new Set<NodeJS.Timeout>();
  const counts = { sent: 0, delivered: 0, refused: 0 };
  let heldBack: Delivery[] = [];
  let inFlight = 0;
  let downCount = 0;
  let isPaused = false;
  let isStopped = false;

  const later = (ms: number, work: () => void) => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      if (!isStopped) work();
    }, ms);
    timers.add(timer);
  };
  const pauseMs = (attempt: number) => Math.min(FIRST_PAUSE_MS * 2 ** Math.min(attempt, 10), MAX_PAUSE_MS);
  const enqueue = (delivery: Delivery) => {
    queue.push(delivery);
    pump();
  };
  const send = async (delivery: Delivery) => {
    const payload = JSON.stringify(delivery.event);
    const signature = signatureHeader(payload, deps.secret, account.nowSeconds());
    counts.sent += 1;
    const status = await post(payload, signature);
    if (isStopped) return;
    if (status >= 200 && status < 300) {
      downCount = 0;
      counts.delivered += 1;
      account.markDelivered(delivery.event.id);
      return;
    }
    counts.refused += 1;
    if (clock.now() - delivery.event.created * 1000 > GIVE_UP_AFTER_MS) {
      account.markDelivered(delivery.event.id);
      return;
    }
    const again = { event: delivery.event, attempt: delivery.attempt + 1 };
    if (status !== 0) return later(pauseMs(delivery.attempt), () => enqueue(again));
    queue.push(again);
    if (isPaused) return;
    isPaused = true;
    later(pauseMs(downCount), () => {
      isPaused = false;
      pump();
    });
    downCount += 1;
  };
  const pump = () => {
    while (inFlight < MAX_IN_FLIGHT && !isPaused && !isStopped) {
      const next = queue.shift();
      if (next === undefined) return;
      inFlight += 1;
      void send(next).finally(() => {
        inFlight -= 1;
        pump();
      });
    }
  };
  const releaseHeldBack = () => {
    const deliveries = heldBack.reverse();
    heldBack = [];
    // One after the other with a little room, so that concurrency does not put them back in order.
    deliveries.forEach((delivery, index) => later(index * 20, () => enqueue(delivery)));
  };

  return {
    deliver(event) {
      const { delayMs, enabledEvents, isDropping, isReordering, repeat } = behavior.current;
      const isWanted = enabledEvents.includes('*') || enabledEvents.includes(event.type);
      if (isDropping || !isWanted || deps.url === '') return account.markDelivered(event.id);
      for (let copy = 0; copy < repeat; copy += 1) {
        const delivery = { event, attempt: 0 };
        if (isReordering) {
          if (heldBack.length === 0) later(delayMs + REORDER_WINDOW_MS, releaseHeldBack);
          heldBack.push(delivery);
        } else if (delayMs > 0) later(delayMs, () => enqueue(delivery));
        else enqueue(delivery);
      }
    },
    counts: () => ({ ...counts, pending: queue.length + inFlight + timers.size }),
    stop() {
      isStopped = true;
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
      post.close();
    },
  };
}

/** Posts over kept-alive connections; resolves with the status, or 0 when there was no answer. */
function createPoster(url: string) {
  const client = url.startsWith('https:') ? https : http;
  const agent = new client.Agent({ keepAlive: true, maxSockets: MAX_IN_FLIGHT });
  const post = (payload: string, signature: string): Promise<number> =>
    new Promise((resolve) => {
      const headers = {
        'content-type': 'application/json; charset=utf-8',
        'content-length': Buffer.byteLength(payload),
        'stripe-signature': signature,
        'user-agent': 'Stripe/1.0 (+https://stripe.com/docs/webhooks)',
      };
      const request = client.request(
        url,
        { method: 'POST', agent, headers, timeout: ANSWER_TIMEOUT_MS },
        (response) => {
          response.resume();
          response.on('end', () => resolve(response.statusCode ?? 0));
          response.on('error', () => resolve(0));
        },
      );
      request.on('timeout', () => request.destroy());
      request.on('error', () => resolve(0));
      request.end(payload);
    });
  return Object.assign(post, { close: () => agent.destroy() });
}
