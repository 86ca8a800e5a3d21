// Turns: what is asked for by one key goes through one place in the order in which it was asked for, while what comes before
// that place may overlap. Within this process only; it knows nothing of what it orders.

export interface Turn {
  /** Resolves when every turn of the key that was taken before has ended. */
  readonly come: Promise<void>;
  /** Lets the next one come; to be called once, however the work went, also where `come` was never waited for. */
  end(): void;
}

/** A turn is taken by the call, not by waiting for it. */
export function createTurns<K>(): (key: K) => Turn {
  const last = new Map<K, Promise<void>>();
  return (key) => {
    const come = last.get(key) ?? Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    last.set(
      key,
      come.then(() => promise),
    );
    return { come, end: resolve };
  };
}
