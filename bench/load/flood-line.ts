// One connection of the flood: at most one request on it, sent as bytes that were built before, read with as little work
// as an answer allows (status, length, Retry-After). Into a buffer of its own, so that reading allocates nothing.
import { connect, type Socket } from 'node:net';

export interface LineAnswer {
  readonly status: number;
  readonly hasRetryAfter: boolean;
}

export interface Line {
  send(bytes: Buffer): void;
  end(): void;
}

export interface LineEvents {
  opened(): void;
  answered(answer: LineAnswer): void;
  /** With a request on it or without, before it was open or after. */
  closed(): void;
}

const BUFFER_BYTES = 16 * 1024;
const HEAD_END = '\r\n\r\n';

export function openLine(host: string, port: number, events: LineEvents): Line {
  let received = '';
  const socket: Socket = connect({
    host,
    port,
    noDelay: true,
    onread: {
      buffer: Buffer.allocUnsafe(BUFFER_BYTES),
      callback(length, buffer) {
        const text = Buffer.from(buffer.buffer, buffer.byteOffset, length).toString('latin1');
        received = received === '' ? text : received + text;
        const answer = completeAnswer(received);
        if (answer === undefined) return true;
        received = '';
        events.answered(answer);
        return true;
      },
    },
  });
  socket.once('connect', () => events.opened());
  socket.on('error', () => undefined); // 'close' follows
  socket.once('close', () => events.closed());
  return {
    send: (bytes) => void socket.write(bytes),
    end: () => void socket.destroy(),
  };
}

/** Undefined while some of it is missing. Our server states the length of every body. */
export function completeAnswer(text: string): LineAnswer | undefined {
  const headEnd = text.indexOf(HEAD_END);
  if (headEnd < 0) return undefined;
  const head = text.slice(0, headEnd).toLowerCase();
  const lengthAt = head.indexOf('\r\ncontent-length: ');
  const length = lengthAt < 0 ? 0 : Number.parseInt(head.slice(lengthAt + 18, lengthAt + 28), 10);
  if (text.length < headEnd + 4 + length) return undefined;
  return { status: Number(text.slice(9, 12)), hasRetryAfter: head.includes('\r\nretry-after: ') };
}
