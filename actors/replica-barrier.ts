// Waits until the replicas have what a script has just written. A connection of its own: WAIT stops the one it is sent on.
// It covers everything written before it, whoever wrote it, so all who wait for a partition share the next one.
import { REPLICA_WAIT_MS, SCRIPT_TIMEOUT_MS } from '../core/constants.ts';
import { fault } from '../core/errors.ts';
import { nodeOf, type Redis, whenReady } from '../core/redis/redis.ts';
import { runScript } from '../core/redis/scripts.ts';
import { keys } from './keys.ts';
import { scripts } from './scripts.ts';

export interface ReplicaBarrier {
  /** `run`: the Redis process that has the write. Throws OUTCOME_UNKNOWN when the replicas do not have it for certain. */
  passed(partition: number, run?: string): Promise<void>;
}

export function createReplicaBarrier({ redis, replicas }: { redis: Redis; replicas: number }): ReplicaBarrier {
  const own = redis.duplicate();
  own.on('error', () => undefined); // its outage is the scripts' connection's too, and told there
  redis.once('end', () => own.disconnect());
  const inFlight = new Map<number, Promise<string>>();
  const next = new Map<number, Promise<string>>();

  /** Answers the run of the Redis whose replicas have everything. */
  async function wait(partition: number): Promise<string> {
    await whenReady(own, REPLICA_WAIT_MS);
    // Sent together: if the connection is lost between the two, both fail, and no other Redis is asked for the second.
    const node = nodeOf(own, keys.fence(partition));
    // A cluster connects to a node with the first command for it.
    if (node.status === 'wait') await node.connect();
    const pulse = runScript(node, scripts.pulse, [keys.fence(partition)], [], SCRIPT_TIMEOUT_MS);
    const [run, reached] = await Promise.all([pulse, node.wait(replicas, REPLICA_WAIT_MS)]);
    if (reached < replicas) throw fault('OUTCOME_UNKNOWN', `${reached} of ${replicas} replicas have it`);
    return String(run);
  }

  /** One at a time; who comes while one is under way cannot know whether it covers them, and shares the next. */
  function enter(partition: number): Promise<string> {
    const running = inFlight.get(partition);
    if (running === undefined) {
      const barrier = wait(partition).finally(() => inFlight.delete(partition));
      inFlight.set(partition, barrier);
      return barrier;
    }
    const waiting = next.get(partition);
    if (waiting !== undefined) return waiting;
    const follow = (): Promise<string> => {
      next.delete(partition);
      return enter(partition);
    };
    const barrier = running.then(follow, follow);
    next.set(partition, barrier);
    return barrier;
  }

  return {
    async passed(partition, run) {
      const reached = await enter(partition).catch((error: unknown) => {
        throw fault('OUTCOME_UNKNOWN', 'The replicas may lack it', { cause: error });
      });
      if (run !== undefined && reached !== run) throw fault('OUTCOME_UNKNOWN', 'Redis has failed over meanwhile');
    },
  };
}
