// What is going on, while it goes on: the counts of the sale as bars, and the pace. Reads what others have counted.
import { type Clock } from '../../core/clock.ts';
import type { Race } from './race.ts';
import type { RushOptions } from './options.ts';
import { bar, milliseconds, number, type Terminal } from './terminal.ts';
import { percentile } from './witness.ts';

const REDRAW_MS = 250;
const PLAIN_LINE_MS = 2_000;
/** Paces are averages over this. */
const PACE_OVER_MS = 1_000;

interface Sample {
  at: number;
  requests: number;
  admitted: number;
}

/** Returns what stops it. */
export function showProgress(race: Race, options: RushOptions, terminal: Terminal, clock: Clock): () => void {
  const samples: Sample[] = [];
  const take = (): { requests: number; admitted: number } => {
    const now = { at: clock.now(), requests: race.traffic.counts.requests, admitted: race.witness.admittedCount };
    samples.push(now);
    while (samples.length > 2 && (samples[1]?.at ?? 0) <= now.at - PACE_OVER_MS) samples.shift();
    const first = samples[0] ?? now;
    const seconds = Math.max(0.001, (now.at - first.at) / 1_000);
    return { requests: (now.requests - first.requests) / seconds, admitted: (now.admitted - first.admitted) / seconds };
  };

  const show = (): void => {
    const pace = take();
    if (terminal.isInteractive) terminal.draw(block(race, options, pace, terminal.columns, clock.now()));
    else terminal.say(line(race, options, pace, clock.now()));
  };
  const interval = setInterval(show, terminal.isInteractive ? REDRAW_MS : PLAIN_LINE_MS);
  return () => {
    clearInterval(interval);
    show();
    terminal.settle();
  };
}

interface Pace {
  requests: number;
  admitted: number;
}

function line(race: Race, { buyers, stock }: RushOptions, pace: Pace, now: number): string {
  const { witness, spectator, startedAt, traffic } = race;
  const { sold, held, waiting } = spectator.counts;
  const sorted = witness.latencies();
  return [
    clockOf(now - startedAt).trim(),
    `${number(witness.answeredCount)}/${number(buyers)} answered`,
    `${number(witness.endedCount)} done`,
    `sold ${number(sold)}/${number(stock)}`,
    `held ${number(held)}`,
    `waiting ${number(waiting)}`,
    `${number(pace.admitted)} admitted/s`,
    `${number(pace.requests)} requests/s`,
    `p50 ${milliseconds(percentile(sorted, 0.5))}`,
    `p99 ${milliseconds(percentile(sorted, 0.99))}`,
    ...(traffic.counts.lost > 0 ? [`${number(traffic.counts.lost)} lost and asked again`] : []),
  ].join(', ');
}

function block(race: Race, { buyers, stock }: RushOptions, pace: Pace, columns: number, now: number): string[] {
  const { witness, spectator, startedAt, traffic } = race;
  const { sold, held, waiting, available, head } = spectator.counts;
  const width = Math.max(10, columns - 46);
  const row = (label: string, drawing: string, text: string): string => `  ${label.padEnd(9)}${drawing}  ${text}`;
  const sorted = witness.latencies();
  const lineSize = Math.max(waiting, stock * 2);
  const units: [string, number][] = [
    ['█', sold / stock],
    ['▒', held / stock],
  ];
  const people: [string, number][] = [
    ['█', witness.endedCount / buyers],
    ['▒', (witness.answeredCount - witness.endedCount) / buyers],
  ];
  const lost = traffic.counts.lost === 0 ? '' : `   ${number(traffic.counts.lost)} answers lost, asked again`;
  return [
    '',
    `  ${clockOf(now - startedAt)}`,
    row('buyers', bar(people, width), `${number(witness.answeredCount)} answered, ${number(witness.endedCount)} done`),
    row('stock', bar(units, width), `${number(sold)} sold, ${number(held)} held, ${number(available)} free`),
    row('line', bar([['░', waiting / lineSize]], width), `${number(waiting)} wait, head at ticket ${number(head)}`),
    `  pace     ${number(pace.admitted)} admitted/s   ${number(pace.requests)} requests/s${lost}`,
    `  answers  p50 ${milliseconds(percentile(sorted, 0.5))}   p99 ${milliseconds(percentile(sorted, 0.99))}   from the moment the button was pressed`,
    '',
  ];
}

function clockOf(ms: number): string {
  if (ms < 0) return `opens in ${(-ms / 1_000).toFixed(1)} s`;
  return `${(ms / 1_000).toFixed(1).padStart(5)} s after the opening`;
}
