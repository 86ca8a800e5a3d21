// Counts what goes over the wire, all buyers together, and tells an observer of each answer. Decides nothing.

/** One answer to one question of a buyer, or that none came. */
export interface Heard {
  readonly question: 'buy' | 'look';
  readonly door: 'http' | 'socket';
  /** 0 where there is none: no answer, or an error message on a socket. */
  readonly status: number;
  /** Of a refusal; of a purchase its status; '' when no answer came. */
  readonly code: string;
  readonly hasRetryAfter: boolean;
  readonly sentAtMs: number;
  readonly heardAtMs: number;
}

export interface Traffic {
  heard(answer: Heard): void;
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

export function createTraffic(observe: (answer: Heard) => void = () => undefined): Traffic {
  const counts: Counts = { requests: 0, lost: 0, retries: 0, reconnects: 0 };
  return {
    heard: observe,
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
