// Free ports on the loopback, remembered from start to start so that a URL written down yesterday still works.
import { createServer } from 'node:net';
import { randomInteger } from '../ids.ts';

/**
 * Below the range from which systems take the ports of outgoing connections: a client that keeps reconnecting to a
 * server that is down may otherwise be given the server's own port, connect to itself, and keep the server from coming back.
 */
const LOWEST_PORT = 20_000;
const HIGHEST_PORT = 30_000;
const TRIES = 200;

/** Without a host: on every address, as the API listens. */
export function isPortFree(port: number, host?: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    const where = host === undefined ? { port } : { port, host };
    probe.listen({ ...where, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}

export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const port = randomInteger(LOWEST_PORT, HIGHEST_PORT);
    if (await isPortFree(port)) return port;
  }
  throw new Error(`no free port between ${LOWEST_PORT} and ${HIGHEST_PORT}`);
}

export async function portOrFree(remembered: number | undefined): Promise<number> {
  return remembered !== undefined && (await isPortFree(remembered, '127.0.0.1')) ? remembered : freePort();
}
