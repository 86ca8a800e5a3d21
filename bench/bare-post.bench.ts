// How many POSTs does uWebSockets.js itself answer here, in one process, with the same requests (token and body) and the
// same generator? The ceiling of the door. Run first and last: machines drift, so ratios use the mean of the two.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { freePort } from '../core/services/ports.ts';
import type { Bench } from './bench.ts';
import { describeSpent, watchProcessorTime } from './load/processor-time.ts';
import { gatherCrowd, purchaseWishes } from './load/crowd.ts';
import { runClosedLoop } from './load/closed-loop.ts';

const CONNECTIONS = 512;

export const barePost: Bench = {
  name: 'bare-post',
  question: 'bare uWebSockets.js, POST + JSON.parse: the ceiling of the door',
  async run({ isQuick }) {
    const amount = isQuick ? 5_000 : 100_000;
    const tokens = await gatherCrowd(isQuick ? 1_000 : 5_000, 'a-secret-that-nobody-checks-in-a-bare-server');
    const wishes = purchaseWishes(tokens, { saleId: 'sale_00bare', sku: 'BENCH-0' });
    const port = await freePort();
    const server = fork(new URL('./servers/bare.ts', import.meta.url), [String(port)]);
    try {
      await once(server, 'message');
      const url = `http://127.0.0.1:${port}`;
      // Compiles both sides.
      await runClosedLoop({ url, connections: 64, amount: amount / 10, wishes });
      const processorTime = watchProcessorTime([{ name: 'bare', pid: server.pid ?? 0 }]);
      const { statuses, answered, lost, seconds, latencies, generatorMs } = await runClosedLoop({
        ...{ url, connections: CONNECTIONS, amount, wishes },
      });
      const problems = lost === 0 && statuses['201'] === amount ? [] : [`bare: ${lost} lost, ${answered} answered`];
      const note = describeSpent({ ...processorTime.spent(), generator: generatorMs }, answered);
      const row = { what: `POST, ${CONNECTIONS} connections`, perSecond: answered / seconds, count: answered };
      return { rows: [{ ...row, latencies, note }], problems };
    } finally {
      server.kill('SIGKILL');
    }
  },
};
