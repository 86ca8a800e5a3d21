// A TCP connection of which every byte is the test's, and what came back on it: HTTP answers cut out of the stream, frames
// of a WebSocket. It understands just enough to check what a strict client would.
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  status: number;
  head: string;
  body: string;
}

export interface RawConnection {
  readonly socket: Socket;
  /** Everything that came, a character a byte. */
  text(): string;
  write(data: string | Uint8Array): void;
  /** Resolves with all that came when `part` is in it, or when the connection has ended. */
  until(part: string): Promise<string>;
  /** All that came, when the other side has ended the connection. */
  readonly ended: Promise<string>;
  destroy(): void;
}

export async function openRaw(port: number): Promise<RawConnection> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let text = '';
  let isEnded = false;
  const waiting = new Set<() => void>();
  const look = (): void => waiting.forEach((one) => one());
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1');
    look();
  });
  // A reset is an end like any other.
  socket.on('error', () => undefined);
  const ended = new Promise<string>((resolve) => {
    const finish = (): void => {
      isEnded = true;
      resolve(text);
      look();
      socket.destroy();
    };
    socket.once('end', finish);
    socket.once('close', finish);
  });
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()).once('close', () => resolve()));
  return {
    socket,
    ended,
    text: () => text,
    write: (data) => void socket.write(data, 'latin1'),
    until: (part) =>
      new Promise((resolve) => {
        const see = (): void => {
          if (!isEnded && !text.includes(part)) return;
          waiting.delete(see);
          resolve(text);
        };
        waiting.add(see);
        see();
      }),
    destroy: () => socket.destroy(),
  };
}

/** The answers in a stream, by their lengths. Throws at what is no HTTP. */
export function readAnswers(text: string): RawAnswer[] {
  const answers: RawAnswer[] = [];
  for (let rest = text; rest !== ''; ) {
    const end = rest.indexOf('\r\n\r\n');
    const status = /^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n/.exec(rest);
    if (end < 0 || status === null) throw new Error(`no answer begins here: ${JSON.stringify(rest.slice(0, 200))}`);
    const head = rest.slice(0, end);
    const told = /\r\ncontent-length: ?(\d+)/i.exec(head)?.[1];
    // What uWebSockets.js says by itself names no length and is the last that it says.
    const length = told === undefined && /\r\nconnection: close/i.test(head) ? Infinity : Number(told ?? 0);
    answers.push({ status: Number(status[1]), head, body: rest.slice(end + 4, end + 4 + length) });
    rest = rest.slice(end + 4 + length);
  }
  return answers;
}

export interface FrameOptions {
  opcode: number;
  payload?: string | Uint8Array;
  isFinal?: boolean;
  /** The three reserved bits, as a number. */
  reserved?: number;
  isMasked?: boolean;
  /** What the frame says of its length, where that is not the truth. */
  toldLength?: number;
  /** 7, 16 or 64 bits for the length, whatever it needs. */
  lengthBits?: 7 | 16 | 64;
}

export const OPCODES = { more: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** The bytes of one frame as a client sends it, right or wrong. */
export function frame(options: FrameOptions): Buffer {
  const { opcode, payload = '', isFinal = true, reserved = 0, isMasked = true } = options;
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : Buffer.from(payload);
  const length = options.toldLength ?? bytes.length;
  const bits = options.lengthBits ?? (length < 126 ? 7 : length < 65_536 ? 16 : 64);
  const head = Buffer.alloc(bits === 7 ? 2 : bits === 16 ? 4 : 10);
  head[0] = (isFinal ? 0x80 : 0) | ((reserved & 7) << 4) | (opcode & 15);
  head[1] = (isMasked ? 0x80 : 0) | (bits === 7 ? length & 127 : bits === 16 ? 126 : 127);
  if (bits === 16) head.writeUInt16BE(length & 0xffff, 2);
  if (bits === 64) head.writeBigUInt64BE(BigInt(length), 2);
  if (!isMasked) return Buffer.concat([head, bytes]);
  const mask = Buffer.from([0x11, 0x22, 0x33, 0x44]);
  return Buffer.concat([head, mask, bytes.map((byte, i) => byte ^ (mask[i % 4] ?? 0))]);
}

export function upgradeRequest(query = '', extra = ''): string {
  return (
    `GET /ws${query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n${extra}\r\n`
  );
}

export interface Frame {
  opcode: number;
  payload: Buffer;
}

/** The frames that have come whole after the server's 101. Throws at one that no server may send. */
export function readFrames(text: string): Frame[] {
  const bytes = Buffer.from(text.slice(text.indexOf('\r\n\r\n') + 4), 'latin1');
  const frames: Frame[] = [];
  for (let at = 0; at + 2 <= bytes.length; ) {
    const [first = 0, second = 0] = [bytes[at], bytes[at + 1]];
    if ((first & 0x70) !== 0 || second >= 0x80) throw new Error('a frame with reserved bits, or a masked one');
    const isLong = second === 126 || second === 127;
    const head = second === 126 ? 4 : second === 127 ? 10 : 2;
    if (at + head > bytes.length) break;
    const length = !isLong
      ? second
      : second === 126
        ? bytes.readUInt16BE(at + 2)
        : Number(bytes.readBigUInt64BE(at + 2));
    if (at + head + length > bytes.length) break;
    frames.push({ opcode: first & 15, payload: bytes.subarray(at + head, at + head + length) });
    at += head + length;
  }
  return frames;
}
