// In which partitions the sweep would find anything: one round trip of cheap reads instead of three scripts a partition. What is due
// is the scripts' to say; this only says where it is certain that nothing is. The one clock is Redis'.
import { sleep } from '../core/clock.ts';
import { SCRIPT_TIMEOUT_MS } from '../core/constants.ts';
import { isClusterUrl, type Redis } from '../core/redis/redis.ts';
import { keys } from './keys.ts';

/** Those among `partitions` where something is due, or where it cannot be told: the sweep finds out, and tells what is wrong. */
export type FindDue = (partitions: readonly number[]) => Promise<ReadonlySet<number>>;

/** What a pipeline answers: an error or a value each; null where it was not carried out. */
type Answer = readonly [Error | null, unknown];

/** None for a cluster: there it is the sweeps of each partition that notice a master that was restarted. */
export function createAgenda({ redis, redisUrl }: { redis: Redis; redisUrl: string }): FindDue | undefined {
  if (isClusterUrl(redisUrl)) return undefined;
  return async (partitions) => {
    if (redis.status !== 'ready') return new Set(partitions);
    const asked = redis.pipeline().time();
    const agendas = partitions.map((partition) => keys.agendas(partition));
    for (const agenda of agendas.flat()) asked.zrange(agenda, 0, 0, 'WITHSCORES');
    const answered = new AbortController();
    try {
      const overdue = sleep(SCRIPT_TIMEOUT_MS, answered.signal).then(() => undefined);
      const [time, ...firsts] = (await Promise.race([asked.exec(), overdue])) ?? [];
      const now = toMs(time);
      let at = 0;
      return new Set(
        partitions.filter((_, place) => {
          const own = firsts.slice(at, (at += agendas[place]?.length ?? 0));
          return own.length === 0 || own.some((first) => isDueAt(now, first));
        }),
      );
    } catch {
      return new Set(partitions);
    } finally {
      answered.abort();
    }
  };
}

function toMs(time: Answer | undefined): number {
  if (!Array.isArray(time?.[1])) return Number.NaN;
  const [seconds, microseconds] = time[1].map(Number);
  return (seconds ?? Number.NaN) * 1_000 + Math.floor((microseconds ?? 0) / 1_000);
}

/** Written so that what is no number is due. */
function isDueAt(now: number, [error, first]: Answer): boolean {
  if (error !== null || !Array.isArray(first)) return true;
  return first.length === 0 ? Number.isNaN(now) : !(Number(first[1]) > now);
}
