// One WebSocket as a client of the benches holds it: frames that were masked beforehand go out as bytes, frames that come
// in are cut off and handed over unread. The `ws` package would cost more than the server that is measured.
import { connect, type Socket } from 'node:net';

export interface RawSocket {
  write(bytes: Buffer): void;
  end(): void;
}

export interface RawSocketEvents {
  /** The bytes are the socket's own and gone after the call. */
  message(payload: Buffer): void;
  closed(reason: string): void;
}

const BUFFER_BYTES = 16 * 1024;
const HEAD_END = '\r\n\r\n';
const OPCODE = { text: 1, binary: 2, close: 8, ping: 9 } as const;
const MASK = Buffer.from([0x1b, 0x2d, 0x4f, 0x69]);
/** All sockets of a process read into one buffer, one after the other; what is incomplete is set aside. */
const SHARED = Buffer.allocUnsafe(BUFFER_BYTES);

/** One binary frame as a client sends it: masked, and of less than 64 KiB. */
export function clientFrame(payload: Uint8Array, opcode: number = OPCODE.binary): Buffer {
  const isShort = payload.length < 126;
  const head = isShort
    ? Buffer.from([0x80 | opcode, 0x80 | payload.length])
    : Buffer.from([0x80 | opcode, 0x80 | 126, payload.length >> 8, payload.length & 0xff]);
  const masked = Buffer.from(payload);
  for (let i = 0; i < masked.length; i += 1) masked[i] = (masked[i] ?? 0) ^ (MASK[i & 3] ?? 0);
  return Buffer.concat([head, MASK, masked]);
}

/** Resolves when the server has agreed; rejects with its first line when it has not. */
export function openSocket(host: string, port: number, token: string, events: RawSocketEvents): Promise<RawSocket> {
  let rest: Buffer | undefined;
  let isOpen = false;
  const opened = Promise.withResolvers<RawSocket>();

  function read(bytes: Buffer): void {
    const whole = rest === undefined ? bytes : Buffer.concat([rest, bytes]);
    const used = isOpen ? takeFrames(whole) : takeHead(whole);
    rest = used < whole.length ? Buffer.from(whole.subarray(used)) : undefined;
  }

  function takeHead(bytes: Buffer): number {
    const end = bytes.indexOf(HEAD_END);
    if (end < 0) return 0;
    const line = bytes.toString('latin1', 0, bytes.indexOf('\r\n'));
    if (!line.includes(' 101 ')) {
      opened.reject(new Error(line));
      return bytes.length;
    }
    isOpen = true;
    opened.resolve(raw);
    return end + HEAD_END.length + takeFrames(bytes.subarray(end + HEAD_END.length));
  }

  /** How many bytes were whole frames. A server's are not masked, and none of ours has 64 KiB. */
  function takeFrames(bytes: Buffer): number {
    let at = 0;
    while (bytes.length - at >= 2) {
      const isLong = (bytes[at + 1] ?? 0) === 126;
      if (isLong && bytes.length - at < 4) break;
      const length = isLong ? bytes.readUInt16BE(at + 2) : (bytes[at + 1] ?? 0);
      const from = at + (isLong ? 4 : 2);
      if (bytes.length < from + length) break;
      take((bytes[at] ?? 0) & 0x0f, bytes.subarray(from, from + length));
      at = from + length;
    }
    return at;
  }

  function take(opcode: number, payload: Buffer): void {
    if (opcode === OPCODE.binary || opcode === OPCODE.text) events.message(payload);
    else if (opcode === OPCODE.ping) socket.write(clientFrame(payload, 10));
    else if (opcode === OPCODE.close) events.closed(payload.toString('utf8', 2));
  }

  const socket: Socket = connect({
    host,
    port,
    noDelay: true,
    onread: {
      buffer: SHARED,
      callback(length) {
        read(SHARED.subarray(0, length));
        return true;
      },
    },
  });
  const raw: RawSocket = {
    write: (bytes) => void socket.write(bytes),
    end: () => void socket.destroy(),
  };
  socket.once('connect', () => {
    const lines = ['GET /ws HTTP/1.1', `host: ${host}:${port}`, `authorization: Bearer ${token}`];
    const upgrade = ['connection: Upgrade', 'upgrade: websocket', 'sec-websocket-version: 13'];
    // Any sixteen bytes: the answer is not checked here.
    const key = 'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==';
    socket.write(`${[...lines, ...upgrade, key].join('\r\n')}${HEAD_END}`);
  });
  socket.on('error', (error) => opened.reject(error));
  socket.once('close', () => {
    opened.reject(new Error('closed before it was open'));
    events.closed('the connection ended');
  });
  return opened.promise;
}
