// Stores that lose what they knew, or have no room left: Redis with an older append-only file or with none, and full
// disks. A Redis that lacks what Postgres knows must be noticed before it sells.
import { cpSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { systemClock } from '../../core/clock.ts';
import { isAlive } from '../../core/services/service.ts';
import type { Fault, Moments, Scene } from './fault.ts';
import { fillDisk, freeDisk, type Store, whyNoDisks } from './small-disk.ts';

const APPEND_ONLY = 'appendonlydir';
/** How much older the file is that Redis comes back with. */
const OLDER_MS = 1_500;
const NOTICED_LIMIT_MS = 15_000;
const REBUILT_LIMIT_MS = 40_000;
const FULL_MS = 3_500;

/** Redis dies, and before anybody starts it again its data are others. */
async function exchangeData({ stage }: Scene, exchange: (home: string) => void): Promise<number> {
  const pid = stage.pidOf('redis');
  stage.signal('redis', 'SIGKILL');
  // The supervisor, which is this process, waits a moment before it starts Redis again: it is not quicker than this.
  while (isAlive(pid)) await setImmediate();
  exchange(join(stage.dataDir, 'redis'));
  return systemClock.now();
}

/** Noticed before anything is sold, then built again from Postgres by the workers, then sold on. */
async function seeItRecover({ diary, until, blame, note }: Scene, lostAt: number): Promise<Moments> {
  await until('a buyer is told FENCED', () => diary.has('FENCED', lostAt), NOTICED_LIMIT_MS);
  const noticedAt = systemClock.now();
  const sold = diary.acceptedBetween(lostAt, noticedAt);
  if (sold > 0) blame(`${sold} purchases were accepted before it was noticed that Redis lacks what was sold`);
  await until('it sells again', () => diary.firstAcceptedAfter(noticedAt) !== undefined, REBUILT_LIMIT_MS);
  note(`FENCED ${noticedAt - lostAt} ms after the loss`);
  return { struckAt: lostAt, endedAt: lostAt };
}

const olderFile: Fault = {
  name: 'redis-older-file',
  title: `Redis comes back with an append-only file that is ${OLDER_MS / 1_000} s old`,
  stage: 'proxied',
  mayForgetUnwritten: true,
  crowd: { websockets: 0 },
  async play(scene) {
    const home = join(scene.stage.dataDir, 'redis');
    const aside = join(home, `${APPEND_ONLY}.older`);
    // As a backup takes it: the last command may be cut off, which Redis mends at its start.
    cpSync(join(home, APPEND_ONLY), aside, { recursive: true });
    await scene.wait(OLDER_MS);
    const lostAt = await exchangeData(scene, () => {
      rmSync(join(home, APPEND_ONLY), { recursive: true });
      renameSync(aside, join(home, APPEND_ONLY));
    });
    return seeItRecover(scene, lostAt);
  },
};

const emptied: Fault = {
  name: 'redis-emptied',
  title: 'Redis comes back with nothing',
  stage: 'proxied',
  isQuick: true,
  mayForgetUnwritten: true,
  crowd: { websockets: 0 },
  async play(scene) {
    const lostAt = await exchangeData(scene, (home) => rmSync(join(home, APPEND_ONLY), { recursive: true }));
    return seeItRecover(scene, lostAt);
  },
};

/** What the store said of it; a disk that nobody noticed was not full. */
const COMPLAINTS: Readonly<Record<Store, string>> = { redis: 'redis/redis.log', postgres: 'postgres.log' };

function diskFull(store: Store, called: string): Fault {
  return {
    name: `disk-full-${store}`,
    title: `the disk of ${called} is full for ${FULL_MS / 1_000} s`,
    stage: `small-${store}`,
    crowd: { arrivalMs: 7_000 },
    skip: whyNoDisks,
    async play({ stage, wait, note, blame }) {
      const pid = stage.pidOf(store);
      fillDisk(stage.dataDir, store);
      await wait(FULL_MS);
      const isReplaced = stage.pidOf(store) !== pid;
      freeDisk(stage.dataDir, store);
      const complaints = readFileSync(join(stage.dataDir, COMPLAINTS[store]), 'utf8').match(/No space left on device/g);
      // Redis writes its log to the same full disk: that it ended is word enough.
      if (complaints === null && !isReplaced) blame(`${called} did not notice that its disk was full`);
      note(isReplaced ? `${called} ended and was started again` : `${called} refused to write, and stayed up`);
    },
    mend: ({ stage }) => freeDisk(stage.dataDir, store),
  };
}

export const storeFaults: readonly Fault[] = [
  olderFile,
  emptied,
  diskFull('redis', 'Redis'),
  diskFull('postgres', 'Postgres'),
];
