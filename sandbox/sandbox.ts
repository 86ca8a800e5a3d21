// The bundled payment sandbox: composes account, verbs, deliveries and server. It speaks Stripe's API for what the shop
// calls, so that the official SDK works against it unchanged. Nothing in the shop may import it: they meet over HTTP.
import type { AddressInfo } from 'node:net';
import { systemClock } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import { createAccount } from './account.ts';
import { createBehavior } from './behavior.ts';
import type { Behavior } from './behavior.ts';
import { createEndpoints } from './endpoints.ts';
import { createIntents } from './intents.ts';
import { noJournal, openJournal, readJournal } from './journal.ts';
import { createRefunds } from './refunds.ts';
import { createServer } from './server.ts';
import { createWebhooks } from './webhooks.ts';
import type { BehaviorBody, Intent, Refund, SandboxEvent } from './wire.ts';

export interface SandboxOptions {
  /** 0 takes any free port. */
  port: number;
  /** 127.0.0.1 unless said otherwise. */
  host?: string;
  secretKey: string;
  webhookSecret: string;
  /** Where events go; '' sends none. */
  webhookUrl: string;
  /** Keeps its memory here over a restart; without it, in memory alone. */
  dataDir?: string;
  clock?: Clock;
}

export interface Sandbox {
  readonly url: string;
  behave(body: BehaviorBody): Behavior;
  intents(): Intent[];
  refunds(): Refund[];
  events(): SandboxEvent[];
  close(): Promise<void>;
}

/** Resolves when it listens. */
export async function createSandbox(options: SandboxOptions): Promise<Sandbox> {
  const clock = options.clock ?? systemClock;
  let droppedIntents = 0;
  const account = createAccount(clock, () => {
    droppedIntents += 1;
  });
  const behavior = createBehavior();
  if (options.dataDir !== undefined) for await (const line of readJournal(options.dataDir)) account.restore(line);
  const journal =
    options.dataDir === undefined ? noJournal : await openJournal(options.dataDir, account.journalLines());
  const { secretKey, webhookSecret: secret, webhookUrl: url } = options;
  const webhooks = createWebhooks({ url, secret, clock, account, behavior });
  const unsent = [...account.undelivered()];
  account.attach(journal, webhooks.deliver);
  const intents = createIntents(account, behavior);
  const refunds = createRefunds(account, behavior);
  const state = () => ({
    behavior: behavior.current,
    counts: {
      intents: account.intents.size,
      refunds: account.refunds.size,
      events: account.events.size,
      rememberedAnswers: account.answers.size,
      droppedIntents,
      byStatus: countByStatus(account.intents.values()),
    },
    webhooks: { url, ...webhooks.counts() },
  });
  const handle = createEndpoints(account, intents, refunds);
  const behave = (body: BehaviorBody): Behavior => {
    // What the provider does with a key after 24 h.
    if (body.forgetKeys === true) account.answers.clear();
    return behavior.apply(body);
  };
  const server = createServer({ secretKey, account, behavior, behave, journal, handle, state });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host ?? '127.0.0.1', resolve);
  });
  for (const event of unsent) webhooks.deliver(event);
  intents.finishProcessing();
  refunds.finishPending();
  const { port } = server.address() as AddressInfo; // listening on TCP, so never a pipe's name

  return {
    url: `http://127.0.0.1:${port}`,
    behave,
    intents: () => [...account.intents.values()],
    refunds: () => [...account.refunds.values()],
    events: () => [...account.events.values()],
    async close() {
      intents.stop();
      refunds.stop();
      webhooks.stop();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
      await journal.close();
    },
  };
}

function countByStatus(intents: Iterable<Intent>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of intents) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
