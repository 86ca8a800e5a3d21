// The matrix as a table for docs/RELIABILITY.md, written between two marker comments, and the words to the terminal.
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem, type as systemType } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Row } from './play.ts';

export const DOCUMENT = fileURLToPath(new URL('../../docs/RELIABILITY.md', import.meta.url));
const BEGIN = '<!-- faults:begin (written by `npm run faults -- --write`) -->';
const END = '<!-- faults:end -->';
const ANSWERS_SHOWN = 6;

export function drawRow(row: Row): string {
  if (row.skipped !== undefined) return `${row.name}: skipped: ${row.skipped}`;
  const head = `${row.name}: ${row.isOk ? 'ok' : 'FAILED'}`;
  const facts = [
    `kept ${keptOf(row)}`,
    `accepted again ${timeOf(row.acceptedAfterMs)}`,
    `longest silence ${timeOf(row.longestSilenceMs)}`,
    `applied ${timeOf(row.appliedAfterMs)}`,
    `audit ${row.audit}`,
    `took ${timeOf(row.tookMs)}`,
    answersOf(row),
  ];
  const details = [...row.notes.map((note) => `\n    ${note}`), ...row.problems.map((problem) => `\n  ! ${problem}`)];
  return `${head}, ${facts.join(', ')}${details.join('')}`;
}

export function drawTable(rows: readonly Row[]): string {
  const head = [
    '| fault | what buyers were answered meanwhile | kept | oversold | out of order | accepted again | longest silence | applied | audit | |',
    '|---|---|---|---|---|---|---|---|---|---|',
  ];
  const body = rows.map((row) => {
    const name = `**${row.name}**: ${row.title}`;
    if (row.skipped !== undefined) return `| ${name} | skipped: ${row.skipped} | | | | | | | | – |`;
    const remarks = row.notes.length > 0 ? ` (${row.notes.join('; ')})` : '';
    const cells = [
      `${name}${remarks}`,
      answersOf(row),
      keptOf(row),
      row.oversold,
      row.outOfOrder,
      timeOf(row.acceptedAfterMs),
      timeOf(row.longestSilenceMs),
      timeOf(row.appliedAfterMs),
      row.audit,
      row.isOk ? 'ok' : '**failed**',
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return [...head, ...body].join('\n');
}

/** When, on what, and by which command the table was made. */
export function machineLine(date: string, command: string): string {
  const gigabytes = Math.round(totalmem() / 1024 ** 3);
  const model = cpus()[0]?.model.trim() ?? 'unknown processor';
  const machine = `${availableParallelism()} cores (${model}), ${gigabytes} GB, ${systemType()}, Node ${process.versions.node}`;
  return `${date}, \`${command}\`, on ${machine}.`;
}

export function writeDocument(rows: readonly Row[], line: string): void {
  const text = readFileSync(DOCUMENT, 'utf8');
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${DOCUMENT} lacks the two markers of the table`);
  const failed = rows.filter(({ isOk }) => !isOk).length;
  const count = `${rows.length} faults, ${failed} failed.`;
  const table = `${BEGIN}\n\n${line} ${count}\n\n${drawTable(rows)}\n\n`;
  writeFileSync(DOCUMENT, text.slice(0, from) + table + text.slice(to));
}

function keptOf({ kept, acknowledged, lostUnwritten }: Row): string {
  const lost = lostUnwritten > 0 ? `, ${lostUnwritten} lost within the relay's lag` : '';
  return `${kept.toLocaleString('en')} of ${acknowledged.toLocaleString('en')}${lost}`;
}

/** Looks at a purchase are of no interest while they are answered. */
function answersOf({ meanwhile }: Row): string {
  const words = Object.entries(meanwhile).filter(([word]) => word !== 'looks');
  if (words.length === 0) return 'nothing';
  const shown = words.slice(0, ANSWERS_SHOWN).map(([word, count]) => `${word} × ${count.toLocaleString('en')}`);
  return `${shown.join(', ')}${words.length > ANSWERS_SHOWN ? ', …' : ''}`;
}

function timeOf(ms: number | null): string {
  if (ms === null) return '–';
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
