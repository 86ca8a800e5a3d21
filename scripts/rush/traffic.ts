// Counts what goes over the wire, all buyers together. Reads nothing, decides nothing.

export interface Traffic {
  sent(): void;
  lost(): void;
  retried(): void;
  reconnected(): void;
  readonly counts: Readonly<Counts>;
}

interface Counts {
  requests: number;
  /** No answer: the connection broke, or nobody listened. */
  lost: number;
  retries: number;
  reconnects: number;
}

export function createTraffic(): Traffic {
  const counts: Counts = { requests: 0, lost: 0, retries: 0, reconnects: 0 };
  return {
    sent() {
      counts.requests += 1;
    },
    lost() {
      counts.lost += 1;
    },
    retried() {
      counts.retries += 1;
    },
    reconnected() {
      counts.reconnects += 1;
    },
    counts,
  };
}
