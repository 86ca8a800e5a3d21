// The outcome of a rush: one flat object for machines, made from what the crowd saw, what the servers recorded and what
// the audit says. Decides whether the run is a success.
import type { RushOptions } from './options.ts';
import type { Race } from './race.ts';
import type { Records } from './record-store.ts';
import type { Verdict } from './verdict.ts';
import { percentile } from './witness.ts';

export interface RushResult {
  buyers: number;
  stock: number;
  /** Answers CONFIRMED that buyers got. */
  sold: number;
  oversold: number;
  lost: number;
  outOfOrder: number;
  soldOut: number;
  expired: number;
  lineFull: number;
  cancelled: number;
  refunded: number;
  refused: number;
  unfinished: number;
  /** Holds that went on to the next in line because somebody did not pay. */
  passedOn: number;
  answered: number;
  acknowledged: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
  requests: number;
  lostAnswers: number;
  retries: number;
  reconnects: number;
  tookMs: number;
  audit: 'ok' | 'failed';
  problems: string[];
  saleId: string;
  seed: number;
  isOk: boolean;
}

export interface Evidence {
  race: Race;
  records: Records;
  verdict: Verdict;
  audit: { isOk: boolean; findings: readonly string[] };
  isCut: boolean;
  tookMs: number;
}

export function toResult(options: RushOptions, evidence: Evidence): RushResult {
  const { race, records, verdict, audit, isCut, tookMs } = evidence;
  const { witness, traffic, offer } = race;
  const sorted = witness.latencies();
  const problems = [...problemsOf(options, evidence), ...audit.findings];
  const isKept = verdict.oversold + verdict.lost + verdict.outOfOrder === 0;
  return {
    buyers: options.buyers,
    stock: options.stock,
    ...verdict,
    ...witness.ends,
    passedOn: Math.max(0, records.admittedTickets.length - options.stock),
    answered: witness.answeredCount,
    acknowledged: witness.acknowledged.size,
    p50Ms: Math.round(percentile(sorted, 0.5)),
    p99Ms: Math.round(percentile(sorted, 0.99)),
    maxMs: Math.round(percentile(sorted, 1)),
    requests: traffic.counts.requests,
    lostAnswers: traffic.counts.lost,
    retries: traffic.counts.retries,
    reconnects: traffic.counts.reconnects,
    tookMs,
    audit: audit.isOk ? 'ok' : 'failed',
    problems,
    saleId: offer.saleId,
    seed: options.seed,
    isOk: isKept && audit.isOk && !isCut && problems.length === 0,
  };
}

function problemsOf(options: RushOptions, { race, verdict, isCut, records }: Evidence): string[] {
  const { witness } = race;
  const problems: string[] = [];
  if (verdict.oversold > 0) problems.push(`${verdict.oversold} units were sold that were not there`);
  if (verdict.lost > 0) problems.push(`${verdict.lost} acknowledged purchases are lost or contradicted by the records`);
  if (verdict.outOfOrder > 0) problems.push(`${verdict.outOfOrder} times somebody was overtaken in the line`);
  if (isCut) {
    const left = options.buyers - witness.endedCount + witness.ends.unfinished;
    problems.push(`the time was up after ${options.limitMs / 1_000} s with ${left} buyers not done`);
  }
  if (witness.ends.sold !== records.sold) {
    problems.push(`buyers were told of ${witness.ends.sold} sold units, the ledger says ${records.sold}`);
  }
  for (const [code, count] of witness.oddRefusals) problems.push(`${count} buyers were refused with ${code}`);
  return problems;
}
