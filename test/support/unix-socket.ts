// Stores reached through sockets of the file system instead of loopback TCP: measured, a query costs a third of the processor
// time and of the waiting, a Redis command two thirds. Worth it where a test is made of nothing but round trips (the simulation).
import { join } from 'node:path';

/** The system cuts off longer paths (108 bytes on Linux, 104 elsewhere); Postgres adds `/.s.PGSQL.12345`. */
const PATH_MAX = 88;

/** What goes on the command line of redis-server, and where to connect instead of `url`. */
export function redisSocket(directory: string): { args: string[]; addressOf(url: string): string } {
  const path = join(directory, 'redis.sock');
  if (path.length > PATH_MAX) return { args: [], addressOf: (url) => url };
  return { args: ['--unixsocket', path], addressOf: () => path };
}

/** `directory`: Postgres' own, or another where its user may write. */
export function postgresSocket(directory: string): {
  settings: Record<string, string>;
  addressOf(url: string): string;
} {
  if (directory.length > PATH_MAX) return { settings: {}, addressOf: (url) => url };
  return {
    settings: { unix_socket_directories: directory },
    addressOf(url) {
      const { username, password, pathname, port } = new URL(url);
      const query = new URLSearchParams({ host: directory, port });
      return `postgres://${username}:${password}@${pathname}?${query.toString()}`;
    },
  };
}
