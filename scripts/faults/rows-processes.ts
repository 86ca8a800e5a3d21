// Processes that die, freeze, or are restarted in order, each under load; the relay's process in each of its windows; and
// everything at once.
import { join } from 'node:path';
import { systemClock } from '../../core/clock.ts';
import { replaceFile } from '../../core/services/data-dir.ts';
import { isAlive } from '../../core/services/service.ts';
import type { ChildProgram } from '../start/child.ts';
import type { Fault, Scene } from './fault.ts';
import type { FamilyStage } from './stage-family.ts';
import { WINDOW_FILE, WINDOWS } from './window.ts';

interface Victim {
  process: string;
  /** In a sentence. */
  called: string;
  isDoor?: boolean;
  isStock?: boolean;
  orderly: NodeJS.Signals;
}

/** Postgres waits on SIGTERM until its clients have left, and ends them on SIGINT. */
const VICTIMS: readonly Victim[] = [
  { process: 'api-1', called: 'one of two API processes', isDoor: true, orderly: 'SIGTERM' },
  { process: 'workers', called: 'the workers', orderly: 'SIGTERM' },
  { process: 'redis', called: 'Redis', isStock: true, orderly: 'SIGTERM' },
  { process: 'postgres', called: 'Postgres', orderly: 'SIGINT' },
  { process: 'sandbox', called: 'the payment provider', orderly: 'SIGTERM' },
];
const FROZEN_MS = 3_000;

const shortName = (victim: Victim): string => victim.process.replace('-1', '').replace('sandbox', 'provider');

/** The supervisor has started it again, and nobody else is in its place. */
async function untilReplaced({ stage, until }: Scene, name: string, oldPid: number): Promise<void> {
  await until(`${name} is started again`, () => stage.pidOf(name) !== 0 && stage.pidOf(name) !== oldPid);
}

function killed(victim: Victim): Fault {
  return {
    name: `kill-${shortName(victim)}`,
    title: `kill -9 of ${victim.called}`,
    stage: 'direct',
    mayLoseConnections: victim.isDoor === true,
    play: ({ stage }) => Promise.resolve(stage.signal(victim.process, 'SIGKILL')),
  };
}

function frozen(victim: Victim): Fault {
  return {
    name: `freeze-${shortName(victim)}`,
    title: `SIGSTOP of ${victim.called} for ${FROZEN_MS / 1_000} s, then SIGCONT`,
    stage: 'direct',
    mustRefuse: victim.isStock === true,
    async play({ stage, wait }) {
      stage.signal(victim.process, 'SIGSTOP');
      await wait(FROZEN_MS);
      stage.signal(victim.process, 'SIGCONT');
    },
    mend: ({ stage }) => stage.signal(victim.process, 'SIGCONT'),
  };
}

function restarted(victim: Victim): Fault {
  return {
    name: `restart-${shortName(victim)}`,
    title: `orderly restart (${victim.orderly}) of ${victim.called}`,
    stage: 'direct',
    mayLoseConnections: victim.isDoor === true,
    async play(scene) {
      const pid = scene.stage.pidOf(victim.process);
      const askedAt = systemClock.now();
      scene.stage.signal(victim.process, victim.orderly);
      // Until it is gone it answers; what counts is how long it is away.
      await scene.until(`${victim.process} ends`, () => !isAlive(pid));
      const goneAt = systemClock.now();
      await untilReplaced(scene, victim.process, pid);
      return { struckAt: askedAt, endedAt: goneAt };
    },
  };
}

/** Early enough that the load is still on, late enough that others are at work beside it. */
const DEADLY_PASS = 10;

function dyingInWindow([step, when]: (typeof WINDOWS)[number]): Fault {
  let dying = 0;
  return {
    name: step.replace('.', '-'),
    title: `the worker process is killed ${when}`,
    stage: 'proxied',
    isQuick: step === 'apply.committed',
    // Nobody comes before the opening, and so nothing passes through the window before the rush.
    crowd: { early: 0 },
    strikeAfterMs: 0,
    async prepare(scene) {
      const { stage } = scene;
      replaceFile(join(stage.dataDir, WINDOW_FILE), { step, pass: DEADLY_PASS }, 0o644);
      let starts = 0;
      stage.recast((program): ChildProgram => {
        if (program.name !== 'workers' || starts > 0) return program;
        starts += 1;
        return { ...program, entry: 'scripts/faults/dying.worker.ts' };
      });
      const usual = stage.pidOf('workers');
      stage.signal('workers', 'SIGTERM');
      await untilReplaced(scene, 'workers', usual);
      dying = stage.pidOf('workers');
    },
    async play({ until }) {
      await until('the workers reach the window and die in it', () => !isAlive(dying));
      const diedAt = systemClock.now();
      return { struckAt: diedAt, endedAt: diedAt };
    },
    mend({ stage }) {
      stage.recast();
    },
  };
}

const everythingAtOnce: Fault = {
  name: 'kill-everything',
  title: 'kill -9 of the supervisor and everything below it, then a start on the same data',
  stage: 'family',
  mayLoseConnections: true,
  async play({ stage }) {
    // The stage of this kind is one.
    const family = stage as FamilyStage;
    const killedAt = systemClock.now();
    await family.killAll();
    await family.startAgain();
    return { struckAt: killedAt, endedAt: killedAt };
  },
};

export const processFaults: readonly Fault[] = [
  ...VICTIMS.map(killed),
  ...VICTIMS.map(frozen),
  ...VICTIMS.map(restarted),
  ...WINDOWS.map(dyingInWindow),
  everythingAtOnce,
];
