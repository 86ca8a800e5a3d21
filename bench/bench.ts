// What a bench is: a question, and rows that answer it. Ratios between rows of one run are the result, since absolute
// figures drift with the machine; a bench also says what went wrong, because a fast sale that lost a unit is no result.
import type { BareRun } from './baselines/bare.ts';
import type { Generator, Generators } from './load/generator.ts';
import type { Latencies } from './load/tally.ts';
import type { Stage } from './stage.ts';
import type { Measure } from './targets.ts';

export interface Row {
  readonly what: string;
  /** Of what was asked for (accepted purchases, rows …); null where the rate was given, not found. */
  readonly perSecond: number | null;
  readonly count: number;
  /** `'bare'`: over what bare uWebSockets.js answers in this run; a number: over something the bench measured itself. */
  readonly ratio?: 'bare' | number;
  readonly latencies?: Latencies;
  /** Answers of any other kind, by status or code. */
  readonly refused?: Readonly<Record<string, number>>;
  readonly note?: string;
  /** Drawn in the chart, in a group of its kind. */
  readonly bar?: {
    readonly group: 'Accepted purchases, to the last order row,' | 'Sold-out answers';
    readonly label: string;
  };
}

export interface Finding {
  readonly rows: readonly Row[];
  /** What this bench says about targets (targets.ts), by their measures' names: `{ 'accepted.overBare': 0.38 }`. */
  readonly measures?: Readonly<Partial<Record<Measure, number>>>;
  /** Sentences without which the rows would be misread. */
  readonly notes?: readonly string[];
  /** Broken invariants and differences of the audit: any of them fails the run. */
  readonly problems: readonly string[];
}

export interface Surroundings {
  /** Small amounts: tells that everything works, not how fast it is. */
  readonly isQuick: boolean;
  say(line: string): void;
  /** The run is stopped: for a bench that starts a system of its own. */
  readonly signal: AbortSignal;
  /**
   * Bare uWebSockets.js, driven once more, now: POSTs a second at 512 connections. Called between a bench's own runs, it is
   * what their ratio is over; every call by the main generator counts for the run's median, which `ratio: 'bare'` is over.
   */
  bare(by?: Generator): Promise<BareRun>;
  /** Who sends: the main one (wrk where it is to be had), and autocannon. */
  readonly generators: Generators;
  /** A whole system of its own, started at the first call and shared by the benches that need one. */
  stage(): Promise<Stage>;
}

/** A file of its own, and one line in benches.ts. */
export interface Bench {
  readonly name: string;
  readonly question: string;
  run(surroundings: Surroundings): Promise<Finding>;
}
