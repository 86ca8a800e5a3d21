// An open loop: requests fall due at a fixed rate whether or not earlier ones are answered, and a latency counts from
// the moment a request was due. So waiting for a free connection counts, as it does for a buyer (no coordinated omission).
// Not autocannon's `overallRate`: it sends each second's requests back to back, and corrects as if one were due every ms.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { toRequest, type Wish } from './crowd.ts';
import { createTally, type LoadResult, type Tally } from './tally.ts';

export interface OpenLoop {
  url: string;
  connections: number;
  perSecond: number;
  /** One request each. */
  wishes: readonly Wish[];
}

/** Requests that fall due within it leave together; what this adds to a latency stays in it. */
const BEAT_MS = 1;

/** One connection with at most one request on it. */
interface Line {
  send(bytes: Buffer, dueAt: number): void;
  end(): void;
}

export async function runOpenLoop({ url, connections, perSecond, wishes }: OpenLoop): Promise<LoadResult> {
  const { hostname, port, host } = new URL(url);
  const requests = wishes.map((wish) => Buffer.from(toRequest(wish, host)));
  const tally = createTally(requests.length);
  const sockets = await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = connect({ host: hostname, port: Number(port), noDelay: true });
      await once(socket, 'connect');
      return socket;
    }),
  );
  return new Promise((resolve) => {
    const idle: Line[] = [];
    let [next, open] = [0, requests.length];
    tally.start();
    const startedAt = performance.now();
    const dueAt = (i: number): number => startedAt + (i * 1_000) / perSecond;

    /** Whoever is due and finds a free connection, in the order in which they fell due. */
    const sendDue = (): void => {
      const now = performance.now();
      while (next < requests.length && idle.length > 0 && dueAt(next) <= now) {
        const bytes = requests[next];
        if (bytes !== undefined) idle.pop()?.send(bytes, dueAt(next));
        next += 1;
      }
    };
    const beat = setInterval(sendDue, BEAT_MS);
    const settled = (): void => {
      open -= 1;
      if (open > 0) return sendDue();
      clearInterval(beat);
      for (const line of lines) line.end();
      resolve(tally.result());
    };
    const lines = sockets.map((socket) => createLine(socket, tally, (line) => idle.push(line), settled));
    idle.push(...lines);
  });
}

function createLine(socket: Socket, tally: Tally, free: (line: Line) => void, settled: () => void): Line {
  let due: number | undefined;
  let received: Buffer = Buffer.alloc(0);
  const line: Line = {
    send(bytes, dueAt) {
      due = dueAt;
      socket.write(bytes);
    },
    end: () => socket.destroy(),
  };
  socket.on('data', (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    const status = completeStatus(received);
    if (status === undefined || due === undefined) return;
    received = Buffer.alloc(0);
    tally.answered(status, performance.now() - due);
    due = undefined;
    free(line);
    settled();
  });
  socket.on('error', () => undefined);
  // A connection that is gone takes its request with it and is not opened again: the count shows it.
  socket.on('close', () => {
    if (due === undefined) return;
    due = undefined;
    tally.lost();
    settled();
  });
  return line;
}

/** The status of an answer that is all there; undefined while some of it is missing. Our servers state the length. */
function completeStatus(bytes: Buffer): number | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const head = bytes.toString('latin1', 0, headEnd);
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
  return bytes.length >= headEnd + 4 + length ? Number(head.slice(9, 12)) : undefined;
}
