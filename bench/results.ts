// The committed results: one report of a whole run as JSON, and the chart that is drawn from it.
import { readFileSync, writeFileSync } from 'node:fs';
import { drawChart } from './chart.ts';
import type { Report } from './report.ts';

export const RESULTS_FILE = new URL('./results.json', import.meta.url);
export const CHART_FILE = new URL('./results.svg', import.meta.url);
/** More digits than a figure has meaning only make the next run's changes hard to see. */
const DIGITS = 4;

export function readResults(): Report {
  // Written below.
  return JSON.parse(readFileSync(RESULTS_FILE, 'utf8')) as Report;
}

export function writeResults(report: Report): void {
  const shorten = (_: string, value: unknown): unknown =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(DIGITS)) : value;
  writeFileSync(RESULTS_FILE, `${JSON.stringify(report, shorten, 2)}\n`);
  writeChart();
}

/** From the file, not from memory: the chart shows what is committed. */
export function writeChart(): void {
  writeFileSync(CHART_FILE, drawChart(readResults()));
}
