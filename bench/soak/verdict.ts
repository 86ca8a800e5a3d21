// What a soak proves, as a list of checks: everything that was used is given back, and what stays is what retention explains.
// Memory of a process is compared between two windows of the same traffic; counts are compared with the start, at rest.
import type { ProcessView, Sample } from './telemetry.ts';

export interface Check {
  readonly name: string;
  readonly isOk: boolean;
  readonly detail: string;
}

export interface Rest {
  /** Nothing had been used yet. */
  readonly isCold: boolean;
  readonly sample: Sample;
  readonly keys: Readonly<Record<string, number>>;
}

export interface Evidence {
  readonly start: Rest;
  readonly end: Rest;
  /** Of the calm part of the traffic, in which no process was killed; empty in a short run. */
  readonly calm: readonly Sample[];
  /** What Postgres knows: how many keys there may be of each kind that is kept until a day after its sale closed, or for ever. */
  readonly kept: Readonly<Record<string, number>>;
  readonly audit: readonly string[];
  readonly problems: readonly string[];
}

/**
 * Twenty measurements of one idle process differ by a twelfth; V8 lets a heap that is not pressed for space grow by as much
 * before it collects. A leak of a kilobyte a request is 1 MB a second here, and passes this within the window.
 */
const MEMORY_GROWTH_MAX = 1.15;
const MEMORY_SPARE_BYTES = 12 * 1_048_576;
/** Pools open connections as they are needed and keep some: what they may hold at rest beyond what they held at the start. */
const OPEN_FILES_SPARE = 6;
const CLIENTS_SPARE = 4;
/** Where the start was cold, the pools of two API processes and the workers were empty: two times ten, and 32. */
const COLD_SPARE = 52;
/** Kinds of keys that only live purchases and unfinished work have. */
const EMPTY_AT_REST = ['big', 'holds', 'ends', 'deadlines', 'admissions', 'job'];
const MEGABYTE = 1_048_576;

export function judge(evidence: Evidence): Check[] {
  const { start, end, calm, audit, problems } = evidence;
  const { jobs = {}, outboxRecords } = end.sample;
  const unfinished = Object.entries(jobs).filter(([, count]) => count > 0);
  return [
    check('answers', problems.length === 0, problems.slice(0, 5).join('; ') || 'none that must not be'),
    check('audit', audit.length === 0, audit.slice(0, 5).join('; ') || 'everything agrees'),
    check('jobs', end.sample.jobs !== undefined && unfinished.length === 0, describe(jobs)),
    check('outbox', outboxRecords === 0, `${outboxRecords} records wait for Postgres`),
    ...processChecks(start, end.sample.processes),
    ...clientChecks(start, end.sample),
    ...keyChecks(evidence),
    ...memoryChecks(calm),
  ];
}

function check(name: string, isOk: boolean, detail: string): Check {
  return { name, isOk, detail };
}

function describe(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}

function processChecks(before: Rest, after: readonly ProcessView[]): Check[] {
  return before.sample.processes.flatMap((first) => {
    const last = after.find(({ name }) => name === first.name);
    if (last === undefined) return [check(first.name, false, 'it does not run any more')];
    const checks = [
      check(
        `${first.name}: open files`,
        hasReturned(first, last, before.isCold),
        `${first.openFiles} → ${last.openFiles}`,
      ),
    ];
    if (last.sockets !== undefined) {
      checks.push(check(`${first.name}: WebSockets`, last.sockets === 0, `${last.sockets} open`));
    }
    return checks;
  });
}

export function hasReturned(first: ProcessView, last: ProcessView, isCold: boolean): boolean {
  return last.openFiles <= first.openFiles + (isCold ? COLD_SPARE : OPEN_FILES_SPARE);
}

function clientChecks({ sample: before, isCold }: Rest, after: Sample): Check[] {
  const pairs = [
    ['connections to Redis', before.redisClients, after.redisClients],
    ['connections to Postgres', before.postgresConnections, after.postgresConnections],
  ] as const;
  return pairs.map(([name, first = 0, last = Number.POSITIVE_INFINITY]) =>
    check(name, last <= first + (isCold ? COLD_SPARE : CLIENTS_SPARE), `${first} → ${last}`),
  );
}

function keyChecks({ start, end, kept }: Evidence): Check[] {
  const kinds = [...new Set([...Object.keys(end.keys), ...EMPTY_AT_REST, ...Object.keys(kept)])].sort();
  return kinds.flatMap((kind) => {
    const [first, last] = [start.keys[kind] ?? 0, end.keys[kind] ?? 0];
    if (EMPTY_AT_REST.includes(kind)) {
      return last === 0 && first === 0
        ? []
        : [check(`keys: ${kind}`, last === 0, `${first} → ${last}, none may be left`)];
    }
    const most = kept[kind];
    // As many as Postgres knows of, and not one more.
    if (most !== undefined) return [check(`keys: ${kind}`, last <= most, `${last}, ${most} are explained`)];
    return [check(`keys: ${kind}`, last <= first + 1, `${first} → ${last}`)];
  });
}

function memoryChecks(calm: readonly Sample[]): Check[] {
  if (calm.length === 0) return [];
  const middle = Math.ceil(calm.length / 2);
  const [early, late] = [calm.slice(0, middle), calm.slice(middle)];
  const names = new Set(calm.flatMap(({ processes }) => processes.map(({ name }) => name)));
  return [...names].flatMap((name) => {
    const checks: Check[] = [];
    for (const [what, measure, isJudged] of [
      // What a collection leaves: the smallest heap of a window is nearest to it.
      ['heap', (view: ProcessView) => view.heapBytes, true],
      // The sandbox and the stores keep what they are told: that is their work, and not a leak.
      ['memory', (view: ProcessView) => view.rssBytes, name.startsWith('api-') || name === 'workers'],
    ] as const) {
      const [first, last] = [early, late].map((window) => smallest(window, name, measure));
      if (first === undefined || last === undefined) continue;
      const isBounded = last <= first * MEMORY_GROWTH_MAX + MEMORY_SPARE_BYTES;
      const detail = `${Math.round(first / MEGABYTE)} → ${Math.round(last / MEGABYTE)} MB`;
      checks.push(
        check(`${name}: ${what}`, isBounded || !isJudged, isJudged ? detail : `${detail}, keeps all by design`),
      );
    }
    return checks;
  });
}

function smallest(
  window: readonly Sample[],
  name: string,
  measure: (view: ProcessView) => number | undefined,
): number | undefined {
  const values = window.flatMap(({ processes }) => {
    const view = processes.find((one) => one.name === name);
    const value = view === undefined ? undefined : measure(view);
    return value === undefined ? [] : [value];
  });
  return values.length === 0 ? undefined : Math.min(...values);
}
