// The provider's events on their way in: verified, stored once, and handed to payment.settle. Those that arrive while a
// batch is being stored form the next one, so that a rush of webhooks is a few statements and a few jobs, not thousands.
// Whoever gets an answer is in Postgres; the job may be lost, the poll finds what it was for.
import { createActor } from '../../core/actor/actor.ts';
import { MAILBOX_MAX, REQUEST_DEADLINE_MS, RETRY_DELAY_MS, SETTLE_BATCH_MAX } from '../../core/constants.ts';
import { isInfrastructureError } from '../../core/postgres/postgres.ts';
import type { PaymentDependencies } from './dependencies.ts';
import { insertEvents } from './event-store.ts';
import type { NewEvent } from './event-store.ts';
import { kindOf, subjectOf } from './wire.ts';

/** Null when the event is stored, else why it cannot be. */
type Stored = { error: unknown } | null;

export function createReceive(
  deps: Pick<PaymentDependencies, 'postgres' | 'queue' | 'gateway' | 'clock' | 'log'>,
): (rawBody: Buffer, signature: string | undefined) => Promise<void> {
  const { postgres, queue, gateway, clock, log } = deps;

  async function store(events: readonly NewEvent[]): Promise<Stored[]> {
    try {
      const fresh = await insertEvents(postgres, events);
      const wanted = events.filter(({ event, outcome }) => outcome === null && fresh.has(event.id));
      await enqueue([...new Set(wanted.map(({ event }) => event.id))]);
      return events.map(() => null);
    } catch (error) {
      if (isInfrastructureError(error)) throw error;
      const [only] = events;
      if (events.length === 1 || only === undefined) return [{ error }];
      // One that Postgres cannot take must not keep the others out.
      const answers: Stored[] = [];
      for (const event of events) answers.push(...(await store([event])));
      return answers;
    }
  }

  async function enqueue(eventIds: readonly string[]): Promise<void> {
    if (eventIds.length === 0) return;
    try {
      await queue.add('payment.settle', { eventIds: [...eventIds] }, { jobId: settleJobId(eventIds) });
    } catch (error) {
      log.warn({ eventIds, err: error }, 'payment events are stored and wait for the poll');
    }
  }

  const inbox = createActor<NewEvent, Stored>({
    handle: store,
    maxBatch: SETTLE_BATCH_MAX,
    maxMailbox: MAILBOX_MAX,
    clock,
    retryDelayMs: RETRY_DELAY_MS,
  });

  return async (rawBody, signature) => {
    const event = gateway.verifyWebhook(rawBody, signature);
    const outcome = kindOf(event.type) === 'other' ? 'ignored: of no interest' : null;
    const stored = await inbox.ask({ event, ...subjectOf(event), outcome }, clock.now() + REQUEST_DEADLINE_MS);
    if (stored !== null) throw stored.error;
  };
}

/** One id for one event, so that a lost job and the poll's are the same; a batch is named by its first. */
export function settleJobId(eventIds: readonly string[]): string {
  const first = (eventIds[0] ?? '').replaceAll(':', '_');
  return eventIds.length === 1 ? `settle-${first}` : `settle-${first}-and-${eventIds.length - 1}`;
}
