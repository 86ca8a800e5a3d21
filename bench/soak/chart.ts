// A soak for people: one sparkline for each thing that was watched, and the table of checks.
import type { Check } from './verdict.ts';
import type { Sample } from './telemetry.ts';

const BARS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const WIDTH = 60;
const MEGABYTE = 1_048_576;

interface Series {
  readonly name: string;
  /** Undefined where it could not be seen. */
  readonly values: readonly (number | undefined)[];
  readonly unit: string;
}

export function toLines(samples: readonly Sample[], checks: readonly Check[]): string[] {
  const widest = Math.max(...checks.map(({ name }) => name.length));
  return [
    ...seriesOf(samples).map(drawSeries),
    '',
    ...checks.map(({ name, isOk, detail }) => `  ${isOk ? '✓' : '✗'} ${name.padEnd(widest)}  ${detail}`),
  ];
}

function seriesOf(samples: readonly Sample[]): Series[] {
  const names = [...new Set(samples.flatMap(({ processes }) => processes.map(({ name }) => name)))];
  const ofProcess = (name: string, sample: Sample) => sample.processes.find((one) => one.name === name);
  const megabytes = (bytes: number | undefined) => (bytes === undefined ? undefined : bytes / MEGABYTE);
  const sumOf = ({ jobs }: Sample) => jobs && (jobs['waiting'] ?? 0) + (jobs['active'] ?? 0) + (jobs['delayed'] ?? 0);
  return [
    ...names.map((name) => ({
      name: `${name} memory`,
      unit: 'MB',
      values: samples.map((sample) => megabytes(ofProcess(name, sample)?.rssBytes)),
    })),
    ...names
      .filter((name) => samples.some((sample) => ofProcess(name, sample)?.heapBytes !== undefined))
      .map((name) => ({
        name: `${name} heap`,
        unit: 'MB',
        values: samples.map((sample) => megabytes(ofProcess(name, sample)?.heapBytes)),
      })),
    ...names.map((name) => ({
      name: `${name} open files`,
      unit: '',
      values: samples.map((sample) => ofProcess(name, sample)?.openFiles),
    })),
    { name: 'Redis data', unit: 'MB', values: samples.map(({ redisBytes }) => megabytes(redisBytes)) },
    { name: 'Redis keys', unit: '', values: samples.map(({ redisKeys }) => redisKeys) },
    { name: 'outbox records', unit: '', values: samples.map(({ outboxRecords }) => outboxRecords) },
    { name: 'jobs', unit: '', values: samples.map(sumOf) },
    { name: 'Postgres connections', unit: '', values: samples.map((sample) => sample.postgresConnections) },
  ];
}

function drawSeries({ name, values, unit }: Series): string {
  const known = values.filter((value) => value !== undefined);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const signs = squeeze(values).map((value) =>
    value === undefined ? ' ' : BARS[Math.round(((value - low) / (high - low || 1)) * (BARS.length - 1))],
  );
  const range = known.length === 0 ? 'not seen' : `${Math.round(low)} to ${Math.round(high)} ${unit}`;
  return `  ${name.padEnd(22)} ${signs.join('').padEnd(WIDTH)}  ${range}`.trimEnd();
}

/** As many as fit: the largest of each group of neighbours. */
function squeeze(values: readonly (number | undefined)[]): (number | undefined)[] {
  const perSign = Math.max(1, Math.ceil(values.length / WIDTH));
  const groups = Array.from({ length: Math.ceil(values.length / perSign) }, (_, i) =>
    values.slice(i * perSign, (i + 1) * perSign).filter((value) => value !== undefined),
  );
  return groups.map((group) => (group.length === 0 ? undefined : Math.max(...group)));
}
