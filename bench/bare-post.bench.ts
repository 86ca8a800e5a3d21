// How many POSTs does uWebSockets.js itself answer here, in one process, with the same requests (token and body) and the
// same generators? The ceiling of the door. Run first and last in every run, and between the runs of other benches.
import { BARE_CONNECTIONS } from './baselines/bare.ts';
import type { Bench, Row } from './bench.ts';
import { describeSpent } from './load/processor-time.ts';

export const barePost: Bench = {
  name: 'bare-post',
  question: 'bare uWebSockets.js, POST + JSON.parse: the ceiling of the door',
  async run({ bare, generators }) {
    const rows: Row[] = [];
    const problems: string[] = [];
    for (const by of new Set([generators.main, generators.autocannon])) {
      const run = await bare(by);
      const { perSecond, count, latencies, spent } = run;
      const what = `POST, ${BARE_CONNECTIONS} connections, ${by.name}`;
      rows.push({ what, perSecond, count, latencies, note: describeSpent(spent, count) });
      problems.push(...run.problems);
    }
    return { rows, problems };
  },
};
