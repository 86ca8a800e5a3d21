// The provider's events that need an operator: looked at, given back to their settlement, or taken off the list. An event is
// never refused for its purchase having ended: what was paid late is settled too, and returned.
import type { PaymentDependencies } from './dependencies.ts';
import { countDeadEvents, dropDeadEvent, findOpenEvents, listDeadEvents, reviveEvent } from './event-store.ts';
import type { DeadEvent } from './event-store.ts';

export interface DeadEvents {
  list(limit: number): Promise<DeadEvent[]>;
  find(eventId: string): Promise<DeadEvent | undefined>;
  count(): Promise<number>;
  /** Which of these are not settled yet. */
  findOpen(eventIds: readonly string[]): Promise<Set<string>>;
  /** The event is settled again; false when it is not dead (any more). */
  replay(eventId: string): Promise<boolean>;
  drop(eventId: string): Promise<boolean>;
}

export function createDeadEvents(deps: Pick<PaymentDependencies, 'postgres' | 'queue'>): DeadEvents {
  const { postgres, queue } = deps;
  return {
    list: (limit) => listDeadEvents(postgres, { limit }),
    find: async (eventId) => (await listDeadEvents(postgres, { limit: 1, eventId }))[0],
    count: () => countDeadEvents(postgres),
    findOpen: (eventIds) => findOpenEvents(postgres, eventIds),
    async replay(eventId) {
      if (!(await reviveEvent(postgres, eventId))) return false;
      // Without an id: its own job may lie dead under that, and would swallow this one.
      await queue.add('payment.settle', { eventIds: [eventId] });
      return true;
    },
    drop: (eventId) => dropDeadEvent(postgres, eventId),
  };
}
