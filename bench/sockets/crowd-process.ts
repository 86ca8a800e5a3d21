// The process that holds sockets: takes commands from its parent, one at a time, and reports. Apart from the bench and from
// the system, so that neither waits for the other.
import { type Crowd, createCrowd } from './crowd-play.ts';
import type { Command } from './order.ts';

let crowd: Crowd | undefined;

async function carryOut(command: Command): Promise<unknown> {
  if (command.play === 'open') {
    crowd ??= createCrowd(command);
    await crowd.join(command.tokens);
    return { sockets: command.tokens.length };
  }
  if (crowd === undefined) throw new Error('the crowd is not there yet');
  if (command.play === 'buy') return crowd.buy(command);
  if (command.play === 'watch') return crowd.watch(command);
  return crowd.reckon(command.changes);
}

process.on('message', (message) => {
  // Our own parent's words, see crowd.ts.
  const command = message as Command;
  carryOut(command).then(
    (report) => process.send?.({ report }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
