// What this core is measured against, as data: the question, what must be reached, what is aimed for, and the measures
// that decide. A bench hands in its measures by these names (Finding.measures); the last table of a run is made of this.
export interface Check {
  /** The name under which a bench hands it in. */
  readonly measure: string;
  /** What the figure is of, in a word, where a target has several. */
  readonly of?: string;
  /** What it is called where it stands alone. */
  readonly label: string;
  readonly unit: '×' | 'ms' | 's' | 'bytes' | 'cores';
  readonly bound: 'at least' | 'at most' | 'below';
  readonly target: number;
  readonly aim?: number;
}

export interface Target {
  readonly question: string;
  readonly target: string;
  readonly aim: string;
  /** All of them must hold. */
  readonly checks: readonly Check[];
}

// Their names stay literal, so that a bench that hands in another one does not compile.
/** A target of one figure: so many times what something else does in the same run. */
const times = <M extends string>(
  measure: M,
  [question, label]: readonly [question: string, label: string],
  { target, aim, of }: { target: number; aim: number; of: string },
) =>
  ({
    ...{ question, target: `${target} × ${of}`, aim: `${aim} ×` },
    checks: [{ measure, label, unit: '×', bound: 'at least', target, aim }],
  }) as const;
const growth = <M extends string>(measure: M, of: string, label: string) =>
  ({ measure, of, label, unit: '×', bound: 'at most', target: 1.3, aim: 1.1 }) as const;
const size = <M extends string>(measure: M, of: string, label: string, target: number) =>
  ({ measure, of, label, unit: 'bytes', bound: 'at most', target, aim: target / 2 }) as const;

export const TARGETS = [
  times(
    'accepted.overBare',
    [
      'accepted purchases/s over HTTP, every buyer distinct, durable, orders reaching Postgres',
      'accepted, over bare uWebSockets.js',
    ],
    { target: 0.4, aim: 0.55, of: 'bare uWS POST + JSON' },
  ),
  times('soldOut.overBare', ['sold-out answers/s over HTTP, authenticated', 'sold out, over bare uWebSockets.js'], {
    target: 0.65,
    aim: 0.8,
    of: 'bare uWS POST + JSON',
  }),
  times(
    'sockets.overBare',
    ['accepted purchases/s over WebSocket (binary frames, many sockets)', 'accepted by WebSocket, over bare uWS POST'],
    { target: 0.8, aim: 1.2, of: 'bare uWS POST' },
  ),
  times(
    'accepted.overSeedDesign',
    ["against the seed's own design (Express 5 + pg transaction per order)", "accepted, over the seed's design"],
    { target: 50, aim: 80, of: 'accepted/s' },
  ),
  times(
    'accepted.overScriptPerRequest',
    [
      'against one EVALSHA per request (Fastify 5 + ioredis + BullMQ job per order + jose)',
      'accepted, over a script per request',
    ],
    { target: 12, aim: 18, of: 'accepted/s' },
  ),
  {
    question: "p99 of accepted at 512 connections, closed loop, over that baseline's p50",
    target: 'below 1 ×',
    aim: '',
    checks: [
      {
        measure: 'accepted.p99OverScriptPerRequestP50',
        label: 'p99, over p50 of a script per request',
        unit: '×',
        bound: 'below',
        target: 1,
      },
    ],
  },
  {
    question: 'orders in Postgres: rate, and lag from acknowledged to row at full rate',
    target: 'rate ≥ admissions; lag p99 < 1 s',
    aim: '< 200 ms',
    checks: [
      {
        measure: 'orders.rateOverAdmissions',
        of: 'rate',
        label: 'orders in Postgres, over admissions',
        unit: '×',
        bound: 'at least',
        target: 1,
      },
      {
        measure: 'orders.lagP99Ms',
        of: 'lag p99',
        label: 'from acknowledged to order row, p99',
        unit: 'ms',
        bound: 'below',
        target: 1_000,
        aim: 200,
      },
    ],
  },
  {
    question: 'CPU per purchase as work grows: 1 to 1,000 SKUs, 10³ to 10⁶ live holds, an empty line to 10⁶ waiting',
    target: '≤ 1.3 ×',
    aim: '1.1 ×',
    checks: [
      growth('growth.bySkus', 'SKUs', 'CPU per purchase, 1,000 SKUs over 1'),
      growth('growth.byHolds', 'holds', 'CPU per purchase, 10⁶ holds over 10³'),
      growth('growth.byWaiting', 'waiting', 'CPU per purchase, 10⁶ waiting over none'),
    ],
  },
  {
    question: 'memory: Redis per hold / per waiting purchase; process per idle WebSocket',
    target: '≤ 400 / ≤ 150 bytes / ≤ 8 KiB',
    aim: 'half',
    checks: [
      size('memory.holdBytes', 'hold', 'Redis, per hold', 400),
      size('memory.waitingBytes', 'waiting', 'Redis, per waiting purchase', 150),
      size('memory.socketBytes', 'socket', 'API process, per idle WebSocket', 8_192),
    ],
  },
  {
    question: 'line updates to 20,000 open sockets on one SKU, 10 head changes/s',
    target: 'each told within 250 ms, API CPU < 50 % of a core',
    aim: '',
    checks: [
      {
        measure: 'lines.toldWithinMs',
        of: 'told',
        label: '20,000 sockets told of a head change',
        unit: 'ms',
        bound: 'at most',
        target: 250,
      },
      {
        measure: 'lines.apiCores',
        of: 'API',
        label: 'API processor meanwhile',
        unit: 'cores',
        bound: 'below',
        target: 0.5,
      },
    ],
  },
  {
    question: 'expiry: 100,000 holds due in the same second',
    target: 'all ended within 5 s, admissions meanwhile ≥ half rate',
    aim: '1 s',
    checks: [
      {
        measure: 'expiry.seconds',
        of: 'ended in',
        label: '100,000 holds of one second ended',
        unit: 's',
        bound: 'at most',
        target: 5,
        aim: 1,
      },
      {
        measure: 'expiry.admissionShare',
        of: 'admissions',
        label: 'admissions meanwhile, over before',
        unit: '×',
        bound: 'at least',
        target: 0.5,
      },
    ],
  },
  {
    question: 'overload: goodput with ten times more offered than is accepted at the peak',
    target: '0.8 × the peak',
    aim: '',
    checks: [
      {
        measure: 'overload.goodput',
        label: 'goodput at ten times the peak, over the peak',
        unit: '×',
        bound: 'at least',
        target: 0.8,
      },
    ],
  },
] as const satisfies readonly Target[];

/** What benches hand in: a name that no target asks for does not compile. */
export type Measure = (typeof TARGETS)[number]['checks'][number]['measure'];
