// Postgres as one simulated process sees it. All processes share one real connection, one transaction at a time, so that a
// lock can never stop the simulation; faults and deaths fall between any two statements. now() is virtual: the connection's
// search_path puts `sim` before pg_catalog.
import type { Postgres, Queryable } from '../../core/postgres/postgres.ts';
import { cross, digestOf, type Fate, type Node, type World } from './world.ts';

const cut = (): Error => new Error('Connection terminated unexpectedly');

interface Turn {
  readonly node: Node;
  isInTransaction: boolean;
}

export interface SharedPostgres {
  readonly real: Postgres;
  readonly wireFor: (node: Node) => Postgres;
  /** Runs `work` as one event while no process has a transaction open. Not to be awaited within an event. */
  alone<T>(work: () => Promise<T>): Promise<T>;
  /** Ends what a dead process had begun. */
  abandon(node: Node): Promise<void>;
}

/** Rewrites a statement: how a planted fault gets into the SQL. */
export type SqlPatch = (text: string) => string;

export function sharePostgres(world: World, real: Postgres, patch: SqlPatch): SharedPostgres {
  let holder: Turn | undefined;
  const waiting: { turn: Turn; grant: () => void }[] = [];
  const nobody: Node = { name: 'nobody', isAlive: true, slowUntil: 0, now: () => world.timeline.now };
  let clockMs = -1;

  function acquire(node: Node): Promise<Turn> {
    const turn: Turn = { node, isInTransaction: false };
    if (!node.isAlive) return new Promise(() => undefined);
    if (holder === undefined) {
      holder = turn;
      return Promise.resolve(turn);
    }
    return new Promise((resolve) => {
      waiting.push({ turn, grant: () => resolve(turn) });
    });
  }

  function release(turn: Turn): void {
    if (holder !== turn) return;
    let next = waiting.shift();
    while (next !== undefined && !next.turn.node.isAlive) next = waiting.shift();
    holder = next?.turn;
    next?.grant();
  }

  async function execute(text: string, values?: readonly unknown[]) {
    // An INSERT may have a column whose default is the time.
    if (clockMs !== world.timeline.now && /now\(\)|INSERT/.test(text)) {
      clockMs = world.timeline.now;
      await real.query("SELECT set_config('sim.now', $1, false)", [String(clockMs)]);
    }
    return real.query(patch(text), values);
  }

  /** Undoes the setting of the clock too. */
  async function rollBack(): Promise<void> {
    clockMs = -1;
    await real.query('ROLLBACK');
  }

  function fate(): Fate {
    const { random, weather, timeline } = world;
    if (timeline.now < world.postgresDownUntil) return { kind: 'unsent', error: cut() };
    const draw = random.next();
    if (draw < weather.postgresUnsent) return { kind: 'unsent', error: cut() };
    if (draw < weather.postgresUnsent + weather.postgresUnanswered) return { kind: 'unanswered', error: cut() };
    return { kind: 'done' };
  }

  const label = (text: string, values?: readonly unknown[]): string =>
    `sql ${text.trim().replace(/\s+/g, ' ').slice(0, 40)} ${digestOf(values)}`;

  function wireFor(node: Node): Postgres {
    const send = (text: string, values?: readonly unknown[]) =>
      cross(world, node, { what: label(text, values), fate, run: () => execute(text, values) });

    return {
      async query<R extends object>(text: string, values?: readonly unknown[]) {
        const turn = await acquire(node);
        try {
          // The caller states the row's type beside its SQL, as with the real one.
          return (await send(text, values)) as { rows: R[]; rowCount: number };
        } finally {
          release(turn);
        }
      },
      async transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
        const turn = await acquire(node);
        try {
          await cross(world, node, {
            ...{ what: 'sql BEGIN', fate },
            async run() {
              await execute('BEGIN');
              turn.isInTransaction = true;
            },
          });
          const tx: Queryable = {
            query: async <R extends object>(text: string, values?: readonly unknown[]) =>
              (await send(text, values)) as { rows: R[]; rowCount: number },
          };
          const value = await work(tx);
          await cross(world, node, {
            ...{ what: 'sql COMMIT', fate },
            async run() {
              await execute('COMMIT');
              turn.isInTransaction = false;
            },
          });
          return value;
        } catch (error) {
          // The server does so by itself when the connection is gone.
          if (turn.isInTransaction) {
            turn.isInTransaction = false;
            await cross(world, node, { what: 'sql ROLLBACK', fate: () => ({ kind: 'done' }), run: rollBack });
          }
          throw error;
        } finally {
          release(turn);
        }
      },
      close: async () => undefined,
    };
  }

  return {
    real,
    wireFor,
    async alone(work) {
      const turn = await acquire(nobody);
      // An event of its own, which the timeline waits for: nothing else happens meanwhile.
      return new Promise((resolve, reject) => {
        world.timeline.schedule(0, async () => {
          try {
            resolve(await work());
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
          } finally {
            release(turn);
          }
        });
      });
    },
    async abandon(node) {
      if (holder?.node !== node) return;
      if (holder.isInTransaction) await rollBack();
      release(holder);
    },
  };
}
