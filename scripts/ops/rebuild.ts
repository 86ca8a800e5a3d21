// `ops rebuild`: builds what Redis has lost again from Postgres (shop/admin/rebuild.ts), and prints what was done. Works past
// the API, which sells nothing meanwhile.
import type { Command } from 'commander';
import { systemClock } from '../../core/clock.ts';
import { createLog } from '../../core/log.ts';
import { createRebuild, type RebuildProgress, type RebuiltPartition } from '../../shop/admin/admin.ts';
import { openJobQueues } from '../../shop/job-queues.ts';
import { startProgress } from './progress.ts';
import { withServers } from './running-system.ts';
import { drawTable } from './table.ts';
import { type CommonOptions, OpsFailure, type Outcome, perform, verb } from './verb.ts';

interface RebuildOptions extends CommonOptions {
  readonly all?: boolean;
  readonly dryRun?: boolean;
}

const LABEL: Readonly<Record<RebuildProgress['step'], string>> = {
  waiting: 'letting the other processes notice',
  draining: 'writing what the outbox still tells',
  building: 'building purchases',
};

export function registerRebuild(program: Command, description: string): void {
  verb(program, 'rebuild [saleId]', description)
    .option('--all', 'every partition, also where Redis lacks nothing')
    .option('--dry-run', 'only say what Redis lacks')
    .addHelpText(
      'after',
      '\nWithout a sale: the partitions whose Redis is empty, older than Postgres knows, or half rebuilt. With one: that sale alone, in a' +
        '\nRedis that is sound otherwise; sales in the same partition wait meanwhile. Nothing is sold from what is being rebuilt.',
    )
    .action((saleId: string | undefined, options: RebuildOptions) => perform(options, () => run(saleId, options)));
}

async function run(
  saleId: string | undefined,
  { all: isAll = false, dryRun = false }: RebuildOptions,
): Promise<Outcome> {
  if (saleId !== undefined && isAll) throw new OpsFailure('a sale or --all, not both', {}, 2);
  return withServers(async ({ address, postgres, redis }) => {
    const log = createLog({ logLevel: 'silent' }, 'ops');
    const queue = openJobQueues(address.redisUrl);
    const progress = startProgress();
    try {
      const rebuild = createRebuild({ postgres, redis, queue, clock: systemClock, log });
      if (dryRun) return toPlan(await rebuild.examine());
      const rebuilt = await rebuild.run({
        ...(saleId === undefined ? {} : { saleId }),
        isAll,
        onProgress: ({ partition, step, done, of }) =>
          progress.update(done, of, `${LABEL[step]} (partition ${partition})`),
      });
      return toOutcome(rebuilt);
    } finally {
      progress.stop();
      await queue.close();
    }
  });
}

function toPlan(lacking: readonly { partition: number; reason: string }[]): Outcome {
  const text = lacking.map(({ partition, reason }) => `partition ${partition}: ${reason}`).join('\n');
  return { json: { lacking }, text: text === '' ? 'Redis has everything that Postgres knows.' : text };
}

function toOutcome(rebuilt: readonly RebuiltPartition[]): Outcome {
  if (rebuilt.length === 0)
    return { json: { rebuilt }, text: 'Nothing to rebuild: Redis has everything that Postgres knows.' };
  const header = [
    'partition',
    'epoch',
    'why',
    'sales',
    'purchases',
    'drained',
    'confirmed',
    'corrected',
    'lost places',
  ];
  const rows = rebuilt.map((one) => [
    one.partition,
    one.epoch,
    one.reason,
    one.sales,
    one.purchases,
    one.drained,
    one.confirmed,
    one.corrected,
    one.lostTickets,
  ]);
  const unsound = rebuilt.flatMap((one) => one.unsound);
  const warnings = unsound.map(
    (c) => `${c.sku} in ${c.saleId}: ${-c.available} units more are held and sold than were loaded.`,
  );
  const text = [drawTable(header, rows), ...warnings, '', 'Run "ops audit" now.'].join('\n');
  return { json: { rebuilt }, text, ok: unsound.length === 0 };
}
