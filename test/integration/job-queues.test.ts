// One queue to its users, several inside: a job's name decides, and slow payments do not hold up the outbox.
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { TerminalError } from '../../core/queue/queue.ts';
import { openJobQueues, runJobQueues } from '../../shop/job-queues.ts';
import { quietLog } from '../support/outbox.ts';
import { openTestRedis, type TestRedis } from '../support/stack.ts';

let t: TestRedis;
beforeAll(async () => {
  t = await openTestRedis();
});
afterAll(() => t.close());

describe('the job queues', () => {
  it('run an outbox job while every payment slot is taken, and show what died of any of them', async () => {
    const queue = openJobQueues(t.url);
    const { promise: providerAnswers, resolve: answer } = Promise.withResolvers<void>();
    const ran: string[] = [];
    const runner = runJobQueues(
      t.url,
      {
        'payment.start': () => providerAnswers,
        'payment.settle': async () => {
          throw new TerminalError('no such event');
        },
        'outbox.apply': async ({ partition }) => void ran.push(`apply ${partition}`),
        'hold.expire': async ({ partition }) => void ran.push(`expire ${partition}`),
      },
      { concurrency: 2, log: quietLog },
    );
    await queue.addBulk(
      'payment.start',
      [1, 2, 3, 4].map((n) => ({ payload: { purchaseIds: [`pur_${n}`] } })),
    );
    await queue.add('outbox.apply', { partition: 3, entryIds: ['1-1'] }, { jobId: 'apply-3-1-1' });
    await queue.add('hold.expire', { partition: 5 }, { delayMs: 1 });
    await vi.waitFor(() => expect(ran.sort()).toEqual(['apply 3', 'expire 5']), { timeout: 10_000 });
    expect(await queue.counts()).toMatchObject({ active: 2, waiting: 2 });
    await queue.add('payment.settle', { eventIds: ['evt_1'] }, { jobId: 'settle-evt_1' });
    answer();
    await vi.waitFor(async () => expect(await queue.listDead()).toHaveLength(1), { timeout: 10_000 });
    expect(await queue.listDead()).toMatchObject([
      { id: 'settle-evt_1', name: 'payment.settle', reason: 'no such event' },
    ]);
    expect(await queue.removeDead('settle-evt_1')).toBe(true);
    expect(await queue.removeDead('settle-evt_1')).toBe(false);
    await runner.close();
    await queue.close();
  });
});
