// A buyer asks for a payment that was not begun: enqueue payment.start for their purchase. Buyers poll, so one purchase is
// looked at only now and then; forgetting a wish is harmless, the next look repeats it.
import type { Clock } from '../../core/clock.ts';
import type { Queryable } from '../../core/postgres/postgres.ts';
import type { JobQueue } from '../../core/queue/queue.ts';
import type { JobMap } from '../job-map.ts';
import { findSecret } from './store.ts';

/** A wish is passed on at most so often; a page polls about once a second. */
const REPEAT_AFTER_MS = 1000;
/** Wishes remembered; beyond it all are forgotten at once, which costs one more look each. */
const MAX_REMEMBERED = 20_000;

export function createWanted(deps: {
  postgres: Queryable;
  queue: Pick<JobQueue<JobMap>, 'add'>;
  clock: Clock;
}): (purchaseId: string) => Promise<void> {
  const lastAsked = new Map<string, number>();
  return async (purchaseId) => {
    const now = deps.clock.now();
    if (now - (lastAsked.get(purchaseId) ?? Number.NEGATIVE_INFINITY) < REPEAT_AFTER_MS) return;
    if (lastAsked.size >= MAX_REMEMBERED) lastAsked.clear();
    lastAsked.set(purchaseId, now);
    if ((await findSecret(deps.postgres, purchaseId)) !== undefined) return;
    await deps.queue.add('payment.start', { purchaseIds: [purchaseId] }, { jobId: `start-${purchaseId}` });
  };
}
