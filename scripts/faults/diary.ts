// What buyers heard while a fault was played: every answer with its times, judged by the contract. A buyer may be told
// yes, no, or later with a time to come back; anything else is a wrong answer. It knows nothing of the fault's nature.
import { LATER_CODES } from '../rush/answers.ts';
import type { Heard } from '../rush/traffic.ts';

export interface Allowance {
  mayLoseConnections: boolean;
  mayForget: boolean;
}

export interface Diary {
  write(heard: Heard): void;
  /** `201`, `503 FENCED`, `lost` → how often, of the answers that came in this time; the most frequent first. */
  counts(fromMs: number, toMs: number): Record<string, number>;
  /** The same, of answers that no buyer may ever get. */
  wrong(allowance: Allowance): Record<string, number>;
  /** Of a purchase that was asked for and accepted after the moment; undefined when there was none. */
  firstAcceptedAfter(atMs: number): number | undefined;
  /** The longest time in which nobody was accepted. */
  longestSilence(fromMs: number, toMs: number): number;
  /** Somebody pressed Buy after the moment. */
  wasAskedAfter(atMs: number): boolean;
  acceptedBetween(fromMs: number, toMs: number): number;
  has(code: string, fromMs: number): boolean;
}

/** Refusals that decide, and are final for that try. Anything else in the 400s is our crowd's fault or a wrong answer. */
const DECISIONS = new Set(['SOLD_OUT', 'LINE_FULL']);
/** A repetition is answered with what the purchase has become: 200 where it is no longer new. */
const ACCEPTED = new Set([200, 201, 202]);
const LATER = new Set([429, 503]);
const LATER_CODE = new Set(LATER_CODES);

export function createDiary(): Diary {
  const all: Heard[] = [];
  const accepted = (): Heard[] => all.filter(isAccepted);

  return {
    write: (heard) => void all.push(heard),
    counts: (fromMs, toMs) => tally(all.filter(({ heardAtMs }) => heardAtMs >= fromMs && heardAtMs < toMs)),
    wrong: (allowance) => tally(all.filter((heard) => isWrong(heard, allowance))),
    firstAcceptedAfter(atMs) {
      const after = accepted().filter(({ sentAtMs }) => sentAtMs >= atMs);
      return after.length === 0 ? undefined : Math.min(...after.map(({ heardAtMs }) => heardAtMs));
    },
    longestSilence(fromMs, toMs) {
      const times = accepted().map(({ heardAtMs }) => heardAtMs);
      let longest = 0;
      let last = fromMs;
      for (const time of times.filter((one) => one > fromMs && one <= toMs).sort((a, b) => a - b)) {
        longest = Math.max(longest, time - last);
        last = time;
      }
      return longest;
    },
    wasAskedAfter: (atMs) => all.some(({ question, sentAtMs }) => question === 'buy' && sentAtMs >= atMs),
    acceptedBetween: (fromMs, toMs) =>
      accepted().filter(({ sentAtMs, heardAtMs }) => sentAtMs >= fromMs && heardAtMs < toMs).length,
    has: (code, fromMs) => all.some((heard) => heard.code === code && heard.heardAtMs >= fromMs),
  };
}

function isAccepted({ question, status }: Heard): boolean {
  return question === 'buy' && ACCEPTED.has(status);
}

function isWrong(heard: Heard, { mayLoseConnections, mayForget }: Allowance): boolean {
  const { question, door, status, code, hasRetryAfter } = heard;
  if (status === 0 && code === '') return !mayLoseConnections;
  if (LATER.has(status)) return !hasRetryAfter || !LATER_CODE.has(code);
  // An error message on a socket has a code, and no status line.
  if (door === 'socket' && status === 0) return !DECISIONS.has(code) && !(LATER_CODE.has(code) && hasRetryAfter);
  if (question === 'look') return status !== 200 && !(status === 404 && mayForget);
  return !ACCEPTED.has(status) && !(status === 409 && DECISIONS.has(code));
}

function tally(answers: readonly Heard[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const heard of answers) counts.set(wordOf(heard), (counts.get(wordOf(heard)) ?? 0) + 1);
  return Object.fromEntries([...counts].sort(([, a], [, b]) => b - a));
}

function wordOf({ question, status, code }: Heard): string {
  if (status === 0 && code === '') return 'lost';
  if (question === 'look' && status === 200) return 'looks';
  if (status === 201 || status === 202) return String(status);
  return `${status === 0 ? 'socket' : status} ${code}`;
}
