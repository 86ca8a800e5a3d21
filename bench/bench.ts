// What a bench is: a question, and rows that answer it. Ratios between rows of one run are the result, since absolute
// figures drift with the machine; a bench also says what went wrong, because a fast sale that lost a unit is no result.
import type { Latencies } from './load/tally.ts';
import type { Stage } from './stage.ts';

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
}

export interface Finding {
  readonly rows: readonly Row[];
  /** Sentences without which the rows would be misread. */
  readonly notes?: readonly string[];
  /** Broken invariants and differences of the audit: any of them fails the run. */
  readonly problems: readonly string[];
}

export interface Surroundings {
  /** Small amounts: tells that everything works, not how fast it is. */
  readonly isQuick: boolean;
  say(line: string): void;
  /** A whole system of its own, started at the first call and shared by the benches that need one. */
  stage(): Promise<Stage>;
}

export interface Bench {
  readonly name: string;
  readonly question: string;
  run(surroundings: Surroundings): Promise<Finding>;
}
