// Free ports on the loopback, remembered from start to start so that a URL written down yesterday still works.
import { createSocket, type Socket } from 'node:dgram';
import { createServer } from 'node:net';
import { randomInteger } from '../ids.ts';

/**
 * Below the range from which systems take the ports of outgoing connections: a client that keeps reconnecting to a
 * server that is down may otherwise be given the server's own port, connect to itself, and keep the server from coming back.
 */
const LOWEST_PORT = 20_000;
const HIGHEST_PORT = 30_000;
const TRIES = 200;

/**
 * The claims of this process, by port. Between the choice of a port and the moment when its server listens, and while
 * that server is down for a restart, nothing of the system's own keeps others away, and a second system on the machine
 * may choose the same one: a bound UDP socket of the same number does. It disturbs no TCP server, needs no file, and
 * the kernel drops it with the process, however that ends.
 */
const claims = new Map<number, Socket>();

/** False when another process has claimed it. */
function claim(port: number): Promise<boolean> {
  if (claims.has(port)) return Promise.resolve(true);
  return new Promise((resolve) => {
    const socket = createSocket('udp4').unref();
    socket.once('error', () => socket.close(() => resolve(false)));
    socket.bind({ port, address: '127.0.0.1', exclusive: true }, () => {
      claims.set(port, socket);
      resolve(true);
    });
  });
}

/** Without a host: on every address, as the API listens. */
export function isPortFree(port: number, host?: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    const where = host === undefined ? { port } : { port, host };
    probe.listen({ ...where, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}

/** Stays the caller's own until its process ends: no other call gives it out, here or in another process. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const port = randomInteger(LOWEST_PORT, HIGHEST_PORT);
    if (!claims.has(port) && (await claim(port)) && (await isPortFree(port))) return port;
  }
  throw new Error(`no free port between ${LOWEST_PORT} and ${HIGHEST_PORT}`);
}

export async function portOrFree(remembered: number | undefined): Promise<number> {
  const isOurs = remembered !== undefined && (await claim(remembered)) && (await isPortFree(remembered, '127.0.0.1'));
  return isOurs ? remembered : freePort();
}
