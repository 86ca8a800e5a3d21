// All benches, in the order in which they run. A new one is one import and one entry here; it may hand in measures for
// the targets (targets.ts). Those that need no system come first: it is started by the first that asks for it.
import { accepted } from './accepted.bench.ts';
import { batchSizes } from './batch-sizes.bench.ts';
import type { Bench } from './bench.ts';
import { cluster } from './cluster.bench.ts';
import { eager } from './eager.bench.ts';
import { expiry } from './expiry.bench.ts';
import { fixedRate } from './fixed-rate.bench.ts';
import { growth } from './growth.bench.ts';
import { growthCounter } from './growth-counter.bench.ts';
import { lines } from './lines.bench.ts';
import { memory } from './memory.bench.ts';
import { ordersWritten } from './orders-written.bench.ts';
import { overload } from './overload.bench.ts';
import { sockets } from './sockets.bench.ts';
import { soldOut } from './sold-out.bench.ts';

export const BENCHES: readonly Bench[] = [
  batchSizes,
  memory,
  accepted,
  fixedRate,
  eager,
  sockets,
  soldOut,
  ordersWritten,
  growth,
  growthCounter,
  expiry,
  cluster,
  lines,
  overload,
];
