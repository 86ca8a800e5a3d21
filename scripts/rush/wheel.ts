// One timer for everybody: who has to wait is put into the slot of the tick at which the wait ends. Twenty thousand
// buyers cost one interval and no timers. Waits are at most a tick late; none is early.
import type { Clock } from '../../core/clock.ts';

const TICK_MS = 2;

interface Sleeper {
  /** May be woken before its time by `hasten`. */
  isPatient: boolean;
  wake(): void;
}

export interface Wheel {
  wait(ms: number): Promise<void>;
  /** A wait that ends sooner when there is news for those who only came back later. */
  waitPatiently(ms: number): Promise<void>;
  /** Wakes all patient sleepers, spread evenly over the next `withinMs`. */
  hasten(withinMs: number): void;
  /** Wakes everybody; later waits end at once. */
  stop(): void;
}

export function createWheel(clock: Clock): Wheel {
  const slots = new Map<number, Sleeper[]>();
  let isStopped = false;
  let turnedTo = Math.floor(clock.now() / TICK_MS);

  function place(dueAtMs: number, sleeper: Sleeper): void {
    const tick = Math.max(turnedTo + 1, Math.ceil(dueAtMs / TICK_MS));
    const slot = slots.get(tick);
    if (slot) slot.push(sleeper);
    else slots.set(tick, [sleeper]);
  }

  function turn(): void {
    const tick = Math.floor(clock.now() / TICK_MS);
    while (turnedTo < tick) {
      turnedTo += 1;
      const slot = slots.get(turnedTo);
      if (slot === undefined) continue;
      slots.delete(turnedTo);
      for (const sleeper of slot) sleeper.wake();
    }
  }

  const interval = setInterval(turn, TICK_MS);

  const sleep = (ms: number, isPatient: boolean): Promise<void> => {
    if (isStopped) return Promise.resolve();
    return new Promise((wake) => place(clock.now() + ms, { isPatient, wake }));
  };

  return {
    wait: (ms) => sleep(ms, false),
    waitPatiently: (ms) => sleep(ms, true),
    hasten(withinMs) {
      const horizon = Math.floor((clock.now() + withinMs) / TICK_MS);
      const patient: Sleeper[] = [];
      for (const [tick, slot] of slots) {
        if (tick <= horizon) continue;
        patient.push(...slot.filter((sleeper) => sleeper.isPatient));
        slots.set(
          tick,
          slot.filter((sleeper) => !sleeper.isPatient),
        );
      }
      for (const [index, sleeper] of patient.entries()) {
        place(clock.now() + (withinMs * index) / patient.length, sleeper);
      }
    },
    stop() {
      isStopped = true;
      clearInterval(interval);
      for (const slot of slots.values()) for (const sleeper of slot) sleeper.wake();
      slots.clear();
    },
  };
}
