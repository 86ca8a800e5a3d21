// `ops dead list|replay|drop`: what the workers gave up. Records are outbox entries that Postgres refused as data, events the
// provider's that cannot be right, jobs those whose handler said that no further try helps. An operator looks and decides.
import type { Command } from 'commander';
import { DEAD_LETTERS_MAX } from '../../core/constants.ts';
import { createDeadLetters, type DeadLetters, type DeadMove } from '../../shop/admin/admin.ts';
import { openJobQueues } from '../../shop/job-queues.ts';
import { createOrders } from '../../shop/orders/orders.ts';
import { createDeadEvents } from '../../shop/payments/payments.ts';
import { withSystem } from './running-system.ts';
import { wholeNumber } from './sale-terms.ts';
import { drawTable } from './table.ts';
import { type CommonOptions, EXIT_USAGE, OpsFailure, perform, verb } from './verb.ts';

interface ListOptions extends CommonOptions {
  readonly limit: number;
}

interface PickOptions extends CommonOptions {
  readonly all?: boolean;
}

const NOTHING = 'there is nothing dead of this id';

async function withDead<T>(work: (letters: DeadLetters) => Promise<T>): Promise<T> {
  return withSystem(async ({ address, postgres, stock }) => {
    const queue = openJobQueues(address.redisUrl);
    const { dead: records } = createOrders({ postgres, stock });
    try {
      return await work(
        createDeadLetters({ postgres, records, events: createDeadEvents({ postgres, queue }), queue, stock }),
      );
    } finally {
      await queue.close();
    }
  });
}

function say(id: string, move: DeadMove): { id: string; done: boolean; outcome: string } {
  if (move.kind === 'not_found') return { id, done: false, outcome: NOTHING };
  return { id, done: move.kind === 'done', outcome: move.outcome };
}

export function registerDead(dead: Command): void {
  verb(dead, 'list', 'Lists dead records, events and jobs, oldest first, with what a replay would do.')
    .option('--limit <n>', 'of each kind at most', wholeNumber, 100)
    .action((options: ListOptions) =>
      perform(options, async () => {
        const all = await withDead((house) => house.list(options.limit));
        const rows = all.map((one) => [
          one.id,
          one.kind,
          one.what,
          one.concerns.join(' ').slice(0, 60),
          one.since.toISOString(),
          one.why.slice(0, 100),
          one.replay,
        ]);
        const head = ['id', 'kind', 'what', 'concerns', 'since', 'why', 'replay'];
        const text = all.length === 0 ? 'nothing is dead' : drawTable(head, rows);
        return { json: { items: all }, text };
      }),
    );
  for (const move of ['replay', 'drop'] as const) {
    const description =
      move === 'replay'
        ? 'Tries dead records, events and jobs again. A purchase that has ended meanwhile is not brought back.'
        : 'Takes dead records, events and jobs off the list for good; records and events stay in the database, marked.';
    verb(dead, `${move} [ids...]`, description)
      .option('--all', 'all that are dead now')
      .action((ids: string[], options: PickOptions) =>
        perform(options, async () => {
          if ((ids.length === 0) === (options.all !== true)) throw new OpsFailure('give ids, or --all', {}, EXIT_USAGE);
          const results = await withDead(async (house) => {
            const chosen = options.all ? (await house.list(DEAD_LETTERS_MAX)).map((one) => one.id) : ids;
            const done: ReturnType<typeof say>[] = [];
            for (const id of chosen) done.push(say(id, await house[move](id)));
            return done;
          });
          const text =
            results.length === 0 ? 'nothing is dead' : results.map(({ id, outcome }) => `${id}: ${outcome}`).join('\n');
          return { json: { items: results }, text, ok: results.every((result) => result.done) };
        }),
      );
  }
}
