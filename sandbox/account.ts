// The merchant's account in the sandbox: intents, charges, refunds, events and remembered answers, bounded in number, and
// written to the journal. It keeps objects; what may happen to them is decided in intents.ts and refunds.ts.
// Objects are never changed in place, so that an event or a remembered answer shows them as they were.
import type { Clock } from '../core/clock.ts';
import { randomId } from '../core/ids.ts';
import type { Journal, JournalLine } from './journal.ts';
import { createShelf } from './shelf.ts';
import type { Shelf } from './shelf.ts';
import type { Answer, Charge, Intent, Refund, SandboxEvent } from './wire.ts';

/** The version of Stripe's API whose shapes wire.ts has: that of the SDK in package.json. */
const API_VERSION = '2026-10-28.endive';
// About 1.5 kB an intent with its event and its remembered answer: 1.5 GB would be needed to fill these; a rush of
// 100,000 purchases takes a fifth of it.
const MAX_OBJECTS = 500_000;
const MAX_EVENTS = 200_000;

/** The request behind a change, as events name it. */
export interface Cause {
  requestId: string | null;
  idempotencyKey: string | null;
}

/** The answer that a key is bound to, with the print of the request that it was given for. */
export interface Remembered {
  id: string;
  print: string;
  answer: Answer;
}

export interface Account {
  readonly intents: Shelf<Intent>;
  readonly charges: Shelf<Charge>;
  readonly refunds: Shelf<Refund>;
  readonly events: Shelf<SandboxEvent>;
  readonly answers: Shelf<Remembered>;
  nowSeconds(): number;
  saveIntent(intent: Intent): void;
  saveCharge(charge: Charge): void;
  saveRefund(refund: Refund): void;
  remember(entry: Remembered): void;
  emit(type: string, object: SandboxEvent['data']['object'], cause: Cause): void;
  markDelivered(eventId: string): void;
  undelivered(): Iterable<SandboxEvent>;
  intentsWith(key: string, value: string): Intent[];
  restore(line: JournalLine): void;
  journalLines(): Iterable<JournalLine>;
  attach(journal: Journal, onEvent: (event: SandboxEvent) => void): void;
}

export function createAccount(clock: Clock, noteDropped: () => void): Account {
  const byMetadata = new Map<string, Set<string>>();
  const entries = (intent: Intent) => Object.entries(intent.metadata).map(([key, value]) => `${key}\n${value}`);
  const forget = (intent: Intent) => {
    noteDropped();
    for (const entry of entries(intent)) {
      const ids = byMetadata.get(entry);
      ids?.delete(intent.id);
      if (ids?.size === 0) byMetadata.delete(entry);
    }
  };
  const intents = createShelf<Intent>(MAX_OBJECTS, forget);
  const charges = createShelf<Charge>(MAX_OBJECTS);
  const refunds = createShelf<Refund>(MAX_OBJECTS);
  const events = createShelf<SandboxEvent>(MAX_EVENTS);
  const answers = createShelf<Remembered>(MAX_OBJECTS);
  const waiting = new Map<string, SandboxEvent>();
  let journal: Journal | undefined;
  let onEvent: (event: SandboxEvent) => void = () => {};

  const putIntent = (intent: Intent) => {
    if (intents.get(intent.id) === undefined) {
      for (const entry of entries(intent)) {
        const ids = byMetadata.get(entry) ?? new Set<string>();
        byMetadata.set(entry, ids.add(intent.id));
      }
    }
    intents.put(intent);
  };
  // Values come from lines that this file wrote (journalLines and append below), so their kinds tell their types.
  const restorers: Record<string, (value: never) => void> = {
    intent: putIntent,
    charge: charges.put,
    refund: refunds.put,
    answer: answers.put,
    event(event: SandboxEvent) {
      events.put(event);
      waiting.set(event.id, event);
    },
    delivered: (id: string) => void waiting.delete(id),
  };

  return {
    intents,
    charges,
    refunds,
    events,
    answers,
    nowSeconds: () => Math.floor(clock.now() / 1000),
    saveIntent(intent) {
      putIntent(intent);
      journal?.append('intent', intent);
    },
    saveCharge(charge) {
      charges.put(charge);
      journal?.append('charge', charge);
    },
    saveRefund(refund) {
      refunds.put(refund);
      journal?.append('refund', refund);
    },
    remember(entry) {
      answers.put(entry);
      journal?.append('answer', entry);
    },
    emit(type, object, cause) {
      const event: SandboxEvent = {
        id: randomId('evt_'),
        object: 'event',
        api_version: API_VERSION,
        created: Math.floor(clock.now() / 1000),
        data: { object },
        livemode: false,
        pending_webhooks: 1,
        request: { id: cause.requestId, idempotency_key: cause.idempotencyKey },
        type,
      };
      events.put(event);
      waiting.set(event.id, event);
      journal?.append('event', event);
      onEvent(event);
    },
    markDelivered(eventId) {
      if (waiting.delete(eventId)) journal?.append('delivered', eventId);
    },
    undelivered: () => [...waiting.values()],
    intentsWith(key, value) {
      const found: Intent[] = [];
      for (const id of byMetadata.get(`${key}\n${value}`) ?? []) {
        const intent = intents.get(id);
        if (intent !== undefined) found.push(intent);
      }
      return found;
    },
    restore({ kind, value }) {
      restorers[kind]?.(value as never);
    },
    *journalLines() {
      for (const value of intents.values()) yield { kind: 'intent', value };
      for (const value of charges.values()) yield { kind: 'charge', value };
      for (const value of refunds.values()) yield { kind: 'refund', value };
      for (const value of answers.values()) yield { kind: 'answer', value };
      for (const value of events.values()) {
        yield { kind: 'event', value };
        if (!waiting.has(value.id)) yield { kind: 'delivered', value: value.id };
      }
    },
    attach(openedJournal, listener) {
      journal = openedJournal;
      onEvent = listener;
    },
  };
}
