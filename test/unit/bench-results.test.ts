// What a run of the benches ends with: the table of targets, and the chart that is drawn from the committed results.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BENCHES } from '../../bench/benches.ts';
import { drawChart } from '../../bench/chart.ts';
import type { Report } from '../../bench/report.ts';
import { CHART_FILE, readResults } from '../../bench/results.ts';
import { median, spread } from '../../bench/spread.ts';
import { judgeTargets, toTableLines } from '../../bench/target-table.ts';
import { TARGETS } from '../../bench/targets.ts';

const at = (part: string) => TARGETS.findIndex(({ question }) => question.includes(part));

describe('the table of targets', () => {
  it('has a row for each target, and says of none that it is met or missed before it was measured', () => {
    const results = judgeTargets({});
    expect(results.map(({ question }) => question)).toEqual(TARGETS.map(({ question }) => question));
    expect(new Set(results.map(({ isMet }) => isMet))).toEqual(new Set([null]));
    expect(toTableLines(results).join('\n')).toContain(`${TARGETS.length} of ${TARGETS.length} targets were not`);
  });

  it('holds a figure against its target and its aim, and names what is missed', () => {
    const reached = (value: number) => judgeTargets({ 'accepted.overBare': value })[at('over HTTP, every buyer')];
    expect(reached(0.39)).toMatchObject({ measured: '0.39 ×', isMet: false, isAimMet: false });
    expect(reached(0.4)).toMatchObject({ isMet: true, isAimMet: false });
    expect(reached(0.55)).toMatchObject({ isMet: true, isAimMet: true });
    const lines = toTableLines(judgeTargets({ 'accepted.overBare': 0.39, 'soldOut.overBare': 0.7 }));
    expect(lines.at(-1)).toMatch(/^not met: accepted purchases\/s over HTTP[^;]*$/);
  });

  it('takes less for better where less is wanted, and a target of several figures as met only by all of them', () => {
    const memory = (hold: number, waiting?: number) =>
      judgeTargets({
        'memory.holdBytes': hold,
        'memory.socketBytes': 8_192,
        ...(waiting === undefined ? {} : { 'memory.waitingBytes': waiting }),
      })[at('memory')];
    expect(memory(400, 150)).toMatchObject({ isMet: true, isAimMet: false });
    expect(memory(401, 150)).toMatchObject({ isMet: false });
    expect(memory(200)).toMatchObject({
      isMet: null,
      measured: 'hold 200 bytes, socket 8192 bytes, the rest not measured',
    });
    expect(memory(401)).toMatchObject({ isMet: false });
    expect(judgeTargets({ 'accepted.p99OverScriptPerRequestP50': 1 })[at('p99')]).toMatchObject({ isMet: false });
  });
});

describe('the list of benches', () => {
  it('has every file of a bench but the one that is run around them all', () => {
    const files = readdirSync(new URL('../../bench/', import.meta.url)).filter((name) => name.endsWith('.bench.ts'));
    const names = files.map((name) => name.slice(0, -'.bench.ts'.length)).filter((name) => name !== 'bare-post');
    expect(BENCHES.map(({ name }) => name).toSorted()).toEqual(names.toSorted());
  });
});

describe('several runs as one figure', () => {
  it('are their median, whatever their order, and their ends', () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([])]).toEqual([2, 2.5, 0]);
    expect(spread([30, 10, 20])).toEqual({ runs: 3, median: 20, least: 10, most: 30 });
  });
});

describe('the chart', () => {
  const row = {
    perSecond: 25_000,
    count: 1,
    ratio: 0.5,
    bar: { group: 'Sold-out answers', label: 'doorbuster <b>' },
  } as const;
  const report: Report = {
    machine: {
      ...{ cores: 2, model: 'a model', memoryGb: 8, kernel: 'Linux 6', node: 'v22.0.0' },
      ...{ redis: '7.0.0', postgres: '18.0', loadBefore: 0.1, date: '2026-01-02T03:04:05.678Z' },
    },
    ...{ isQuick: false, generator: 'wrk', bare: spread([50_000]), isOk: true, targets: [] },
    benches: [{ name: 'one', question: 'one?', notes: [], problems: [], rows: [{ what: 'row', ...row }] }],
    measures: { 'soldOut.overBare': 0.5, 'memory.holdBytes': 200 },
  };
  const barOf = (svg: string, label: string) =>
    Number(new RegExp(`>${label}</text>\\n<rect[^>]* width="(\\d+)"`).exec(svg)?.[1]);

  it('draws each rate by its share of the fastest, and each target by how far it is reached', () => {
    const svg = drawChart(report);
    expect(barOf(svg, 'doorbuster &lt;b&gt;')).toBe(barOf(svg, 'bare uWebSockets.js') / 2);
    const [missed, met] = [barOf(svg, 'sold out, over bare uWebSockets.js'), barOf(svg, 'Redis, per hold')];
    expect(missed / met).toBeCloseTo(0.5 / 0.65 / 2, 1);
    expect(svg).toContain('not measured (≥ 0.40 ×)');
  });

  it('tells its figures to who cannot see it, and suits a light and a dark page', () => {
    const svg = drawChart(report);
    expect(svg).toMatch(/role="img" aria-labelledby="title desc"/);
    expect(/<desc id="desc">(.*)<\/desc>/.exec(svg)?.[1]).toContain('doorbuster &lt;b&gt;: 25,000');
    expect(svg).toContain('prefers-color-scheme: dark');
  });

  it('in the repository is drawn from the results in the repository', () => {
    expect(readFileSync(CHART_FILE, 'utf8')).toBe(drawChart(readResults()));
  });
});
