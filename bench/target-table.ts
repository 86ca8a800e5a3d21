// The table that a run ends with: each target, what was measured, and whether it is met. A target of several figures is
// met if all of them are; one of which a figure is missing was not measured in this run, and is neither met nor missed.
import { type Check, type Measure, type Target, TARGETS } from './targets.ts';

export type Measures = Readonly<Partial<Record<Measure, number>>>;

export interface TargetResult {
  readonly question: string;
  readonly target: string;
  readonly aim: string;
  readonly measured: string;
  /** Null where it was not measured. */
  readonly isMet: boolean | null;
  readonly isAimMet: boolean | null;
}

const NOT_MEASURED = 'not measured';

export function judgeTargets(measures: Measures): TargetResult[] {
  // Read as what the others of its file see: a record by name.
  const found: Readonly<Record<string, number | undefined>> = measures;
  return TARGETS.map(({ question, target, aim, checks }: Target) => {
    const values = checks.map((check) => ({ check, value: found[check.measure] }));
    const known = values.flatMap(({ check, value }) => (value === undefined ? [] : [{ check, value }]));
    const isWhole = known.length === values.length;
    const words = known.map(({ check, value }) => [check.of, inUnit(value, check.unit)].filter(Boolean).join(' '));
    const missing = isWhole ? [] : [known.length === 0 ? NOT_MEASURED : `the rest ${NOT_MEASURED}`];
    return {
      ...{ question, target, aim, measured: [...words, ...missing].join(', ') },
      isMet: known.some(({ check, value }) => !holds(check, value, check.target)) ? false : isWhole ? true : null,
      isAimMet: isWhole ? known.every(({ check, value }) => holds(check, value, check.aim ?? check.target)) : null,
    };
  });
}

/** How far each figure is: 1 at the target, more beyond it. */
export function progressOf(measures: Measures): { check: Check; value: number | undefined; progress: number }[] {
  const found: Readonly<Record<string, number | undefined>> = measures;
  return TARGETS.flatMap(({ checks }: Target) => checks).map((check) => {
    const value = found[check.measure];
    const isMore = check.bound === 'at least';
    const progress = value === undefined ? 0 : isMore ? value / check.target : check.target / Math.max(value, 1e-9);
    return { check, value, progress };
  });
}

function holds({ bound }: Check, value: number, limit: number): boolean {
  if (bound === 'at least') return value >= limit;
  return bound === 'at most' ? value <= limit : value < limit;
}

export function inUnit(value: number, unit: Check['unit']): string {
  const digits = value >= 100 || unit === 'bytes' ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${unit}`;
}

export function wordFor({ isMet, isAimMet }: TargetResult): string {
  if (isMet === null) return '';
  return isMet ? (isAimMet ? 'yes, the aim' : 'yes') : 'no';
}

/** Markdown, so that it can be pasted as it is. */
export function toTableLines(results: readonly TargetResult[]): string[] {
  const rows = [
    ['question', 'target', 'aim', 'measured', 'met?'],
    ...results.map((result) => [result.question, result.target, result.aim, result.measured, wordFor(result)]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const [head = [], ...body] = rows;
  const unmet = results.filter(({ isMet }) => isMet === false).map(({ question }) => question);
  const open = results.filter(({ isMet }) => isMet === null).length;
  return [
    line(head),
    `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`,
    ...body.map(line),
    '',
    ...(open === 0 ? [] : [`${open} of ${results.length} targets were not measured in this run`]),
    unmet.length === 0 ? 'every target that was measured is met' : `not met: ${unmet.join('; ')}`,
  ];
}
