// A socket of uWebSockets.js as the sessions know it. A class, because there is one for each of many thousand sockets.
import type { Connection } from './socket-outlet.ts';

/** What of uWebSockets.js' own socket is used here. */
interface NativeSocket {
  /** 1 sent, 0 buffered, 2 dropped. */
  send(frame: string | Uint8Array, isBinary: boolean): number;
  cork(work: () => void): unknown;
  end(code: number, reason: string): void;
  subscribe(topic: string): boolean;
  unsubscribe(topic: string): boolean;
  getUserData(): { session: unknown };
}

const DROPPED = 2;

export class LentSocket implements Connection {
  private readonly ws: NativeSocket;

  constructor(ws: NativeSocket) {
    this.ws = ws;
  }

  send(frame: string | Uint8Array, isBinary: boolean): boolean {
    return this.ws.send(frame, isBinary) !== DROPPED;
  }

  cork(work: () => void): void {
    this.ws.cork(work);
  }

  end(code: number, reason: string): void {
    // Later, because uWebSockets.js calls `close` from within: whoever ends a socket may still be setting it up.
    setImmediate(() => this.ws.getUserData().session !== undefined && this.ws.end(code, reason));
  }

  subscribe(topic: string): void {
    this.ws.subscribe(topic);
  }

  unsubscribe(topic: string): void {
    this.ws.unsubscribe(topic);
  }
}
