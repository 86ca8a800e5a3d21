// The whole matrix: which faults there are, in which order, and on which running system each is played. A system is shared
// by rows for as long as they leave it healthy; one that failed a row is thrown away.
import { systemClock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Say } from '../../core/services/service.ts';
import { CHILD_ENTRIES } from '../start/system.ts';
import { clearDeadRuns } from '../start/throwaway.ts';
import type { Fault } from './fault.ts';
import { playFault, type Row } from './play.ts';
import { networkFaults } from './rows-network.ts';
import { processFaults } from './rows-processes.ts';
import { providerFaults } from './rows-provider.ts';
import { storeFaults } from './rows-stores.ts';
import { putOnSmallDisk } from './small-disk.ts';
import { openStage, type Stage, type StageKind, THROWAWAY_PREFIX } from './stage.ts';
import { openFamilyStage } from './stage-family.ts';

export const FAULTS: readonly Fault[] = [...processFaults, ...networkFaults, ...providerFaults, ...storeFaults];

export interface MatrixOptions {
  /** Names; all of them when empty. */
  only: readonly string[];
  isQuick: boolean;
}

export interface MatrixSurroundings {
  say: Say;
  signal: AbortSignal;
  onRow(row: Row): void;
}

export function choose({ only, isQuick }: MatrixOptions): Fault[] {
  const unknown = only.filter((name) => !FAULTS.some((fault) => fault.name === name));
  if (unknown.length > 0) throw new Error(`There is no fault ${unknown.join(', ')}: see --list`);
  const chosen = FAULTS.filter((fault) => only.length === 0 || only.includes(fault.name));
  return isQuick && only.length === 0 ? chosen.filter((fault) => fault.isQuick === true) : chosen;
}

export async function playMatrix(options: MatrixOptions, surroundings: MatrixSurroundings): Promise<Row[]> {
  const { say, signal, onRow } = surroundings;
  const chosen = choose(options);
  await clearDeadRuns(THROWAWAY_PREFIX, CHILD_ENTRIES, say);
  const rows: Row[] = [];
  let stage: Stage | undefined;
  const leave = async (): Promise<void> => {
    const old = stage;
    stage = undefined;
    await old?.stop();
  };
  try {
    // Together those that share a system; within it in the order of the list.
    for (const fault of [...Map.groupBy(chosen, (one) => one.stage).values()].flat()) {
      signal.throwIfAborted();
      const reason = fault.skip?.();
      if (reason === undefined && stage?.kind !== fault.stage) await leave();
      say(`${fault.name}: ${reason === undefined ? fault.title : `skipped: ${reason}`}`);
      const startedAt = systemClock.now();
      const row =
        reason === undefined
          ? await playOne(
              fault,
              options.isQuick,
              async () => (stage ??= await opened(fault.stage, surroundings)),
              surroundings,
            )
          : emptyRow(fault, { isOk: true, skipped: reason });
      rows.push({ ...row, tookMs: systemClock.now() - startedAt });
      onRow(row);
      if (!row.isOk) await leave();
    }
  } finally {
    await leave();
  }
  const places = new Map(chosen.map(({ name }, index) => [name, index]));
  return rows.sort((a, b) => (places.get(a.name) ?? 0) - (places.get(b.name) ?? 0));
}

async function playOne(
  fault: Fault,
  isQuick: boolean,
  stageOf: () => Promise<Stage>,
  { signal, say }: MatrixSurroundings,
): Promise<Row> {
  try {
    return await playFault(fault, await stageOf(), { isQuick, signal, say });
  } catch (error) {
    if (signal.aborted) throw error;
    return emptyRow(fault, { isOk: false, problems: [`it could not be played to its end: ${messageOf(error)}`] });
  }
}

async function opened(kind: StageKind, surroundings: MatrixSurroundings): Promise<Stage> {
  const stage = await open(kind, surroundings);
  surroundings.say(`a system (${kind}) runs in ${stage.dataDir}`);
  return stage;
}

function open(kind: StageKind, surroundings: MatrixSurroundings): Promise<Stage> {
  const { signal } = surroundings;
  // What its supervisor says is the fault's own noise.
  const say = (): void => undefined;
  if (kind === 'family') return openFamilyStage({ say, signal });
  if (kind === 'direct' || kind === 'proxied') return openStage(kind, { say, signal });
  const store = kind === 'small-redis' ? 'redis' : 'postgres';
  return openStage(kind, { say, signal, prepare: (dataDir) => putOnSmallDisk(dataDir, store) });
}

function emptyRow({ name, title }: Fault, more: Partial<Row>): Row {
  const nothing = { meanwhile: {}, wrongAnswers: {}, acknowledged: 0, kept: 0, lostUnwritten: 0, sold: 0, stock: 0 };
  const times = { acceptedAfterMs: null, appliedAfterMs: null, longestSilenceMs: 0, tookMs: 0 };
  return {
    name,
    title,
    isOk: false,
    ...nothing,
    oversold: 0,
    outOfOrder: 0,
    ...times,
    audit: 1,
    notes: [],
    problems: [],
    ...more,
  };
}
