// The process that floods: takes orders from its parent, one at a time, and reports. Apart from the bench and from the
// system, so that neither waits for the other; it gives way to the servers, as a crowd on other machines would.
import { setPriority } from 'node:os';
import type { FloodOrder } from './flood-order.ts';
import { runFlood } from './flood-run.ts';

/** Where it shares the processors with the servers, they come first: they would not share with a real crowd. */
const NICE = 10;

setPriority(NICE);
process.on('message', (message) => {
  // Our own parent's words, see flood.ts.
  const order = message as FloodOrder;
  void runFlood(order).then((result) => process.send?.(result));
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
