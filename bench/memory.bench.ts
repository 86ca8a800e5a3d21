// How many bytes of Redis does a purchase take, while it is held and while it waits? All that stands in Redis for it: its
// record, its place by ticket, in the line or among the holds, what its buyer has; not the outbox, which empties itself.
import type { Bench, Finding } from './bench.ts';
import { openOwnRedis, type OwnRedis } from './own-redis.ts';

const FULL_PURCHASES = 200_704; // 392 calls of 512
const QUICK_PURCHASES = 10_240;
/** As if it were sold out of them all: a sale that nobody is refused in. */
const SPARE_UNITS = 10;

export const memory: Bench = {
  name: 'memory',
  question: 'bytes of Redis for a held and for a waiting purchase, each with a buyer of its own',
  async run({ isQuick, say }) {
    const count = isQuick ? QUICK_PURCHASES : FULL_PURCHASES;
    const own = await openOwnRedis(say);
    try {
      // The scripts, and whatever a first call leaves behind, are there before the first look.
      await own.buy(await own.createSale(count, true), 512, 'RESERVED');
      say(`${count} holds`);
      const held = await bytesEach(own, count, 'RESERVED');
      say(`${count} in line`);
      const waiting = await bytesEach(own, count, 'WAITING');
      return {
        rows: [held, waiting].flatMap(({ rows }) => rows),
        notes: ["Redis' used_memory_dataset before and after, over the purchases; ids of 30 characters, buyers of 28."],
        measures: { 'memory.holdBytes': held.bytes, 'memory.waitingBytes': waiting.bytes },
        problems: [...held.problems, ...waiting.problems],
      };
    } finally {
      await own.close();
    }
  },
};

async function bytesEach(
  own: OwnRedis,
  count: number,
  status: 'RESERVED' | 'WAITING',
): Promise<Finding & { bytes: number }> {
  const saleId = await own.createSale(count + SPARE_UNITS, status === 'RESERVED');
  await own.forgetOutbox();
  const before = await own.dataBytes();
  const answered = await own.buy(saleId, count, status);
  const bytes = ((await own.dataBytes()) - before) / count;
  const [counts] = (await own.stock.snapshot([saleId]))[0]?.items ?? [];
  const shown = status === 'RESERVED' ? counts?.held : counts?.waiting;
  const problem = `${answered} of ${count} were ${status}, and the counts are ${JSON.stringify(counts)}`;
  return {
    bytes,
    rows: [
      { what: `${status === 'RESERVED' ? 'held' : 'waiting'}: ${bytes.toFixed(0)} bytes each`, perSecond: null, count },
    ],
    problems: answered === count && shown === count ? [] : [problem],
  };
}
