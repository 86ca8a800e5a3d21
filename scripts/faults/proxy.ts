// A TCP proxy that stands between two processes and breaks what passes through it the way networks do. It knows nothing
// of what is said. When a fault ends, connections that lost bytes are reset: their ends could not understand each other.
import { connect, createServer, type Server, type Socket } from 'node:net';
import { sleep } from '../../core/clock.ts';

/**
 * pass: as if it were not there.  cut: connections are reset, new ones refused.  hole: bytes are held back in both
 * directions, nothing is closed, and they arrive when it ends, as TCP delivers them after an outage.  slow: each way takes
 * SLOW_MS longer.  deaf: what is asked arrives, what is answered is swallowed.
 */
export type Weather = 'pass' | 'cut' | 'hole' | 'slow' | 'deaf';

export const SLOW_MS = 200;

export interface Proxy {
  readonly port: number;
  set(weather: Weather): void;
  close(): Promise<void>;
}

interface Link {
  client: Socket;
  upstream: Socket;
  hasLostBytes: boolean;
}

export async function openProxy(target: () => { host: string; port: number }): Promise<Proxy> {
  const links = new Set<Link>();
  let weather: Weather = 'pass';
  let released = Promise.withResolvers<void>();
  let server: Server;

  const drop = (link: Link): void => {
    links.delete(link);
    link.client.resetAndDestroy();
    link.upstream.resetAndDestroy();
  };

  /** One direction: strictly in order, one piece at a time, so that delays and holes keep the order of the bytes. */
  async function pump(from: Socket, to: Socket, link: Link, isAnswer: boolean): Promise<void> {
    for await (const bytes of from as AsyncIterable<Buffer>) {
      if (weather === 'slow') await sleep(SLOW_MS);
      if (weather === 'hole') await released.promise;
      if (weather === 'deaf' && isAnswer) {
        link.hasLostBytes = true;
        continue;
      }
      if (!to.write(bytes) && !to.destroyed) {
        await Promise.race(['drain', 'close'].map((event) => new Promise<void>((resolve) => to.once(event, resolve))));
      }
    }
    to.end();
  }

  function join(client: Socket): void {
    const { host, port } = target();
    const upstream = connect({ host, port, noDelay: true });
    const link = { client, upstream, hasLostBytes: false };
    links.add(link);
    for (const [end, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      end.on('error', () => end.destroy());
      end.on('close', () => {
        links.delete(link);
        other.destroy();
      });
      pump(end, other, link, end === upstream).catch(() => undefined); // its socket is closed
    }
  }

  const listen = (port: number): Promise<number> =>
    new Promise((resolve, reject) => {
      server = createServer({ noDelay: true }, join);
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => {
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  const port = await listen(0);

  return {
    port,
    set(next) {
      const before = weather;
      weather = next;
      if (before === 'hole') {
        released.resolve();
        released = Promise.withResolvers<void>();
      }
      if (next === 'cut') {
        server.close();
        for (const link of links) drop(link);
      } else if (before === 'cut') void listen(port);
      for (const link of links) if (link.hasLostBytes && next !== 'deaf') drop(link);
    },
    close: () =>
      new Promise((resolve) => {
        released.resolve();
        for (const link of links) drop(link);
        server.close(() => resolve());
      }),
  };
}
