// A system that comes to rest after its traffic: no work is left, then what was opened for it is closed. Only looks and waits.
import { sleep } from '../../core/clock.ts';
import type { Sample, Telemetry } from './telemetry.ts';
import { hasReturned, type Rest } from './verdict.ts';

/** The last hold ends, its job runs, a webhook that was dropped is asked for: then everything must be done. */
const SETTLE_LIMIT_MS = 120_000;
/** Pools close idle connections after half a minute, the provider and its clients after sixty. */
const CALM_DOWN_MS = 70_000;
const POLL_MS = 500;

/** Waits until there is no work left, then until idle connections are gone. `before`: what it is to come back to, if it is known. */
export async function comeToRest(
  telemetry: Telemetry,
  { isCold, before }: { isCold: boolean; before: Rest | undefined },
  signal: AbortSignal,
): Promise<{ rest: Rest; tookMs: number }> {
  const startedAt = performance.now();
  const elapsed = (): number => performance.now() - startedAt;
  let sample = await telemetry.sample();
  while (!isIdle(sample) && elapsed() < SETTLE_LIMIT_MS) {
    await sleep(POLL_MS, signal);
    sample = await telemetry.sample();
    signal.throwIfAborted();
  }
  const tookMs = elapsed();
  // Cold, there is nothing to calm down.
  for (let waitedMs = 0; waitedMs < CALM_DOWN_MS && !isCold && !isBack(sample, before); waitedMs += POLL_MS) {
    await sleep(POLL_MS, signal);
    sample = await telemetry.sample();
  }
  return { rest: { isCold, sample, keys: await telemetry.keysByKind() }, tookMs };
}

function isIdle({ jobs = {}, outboxRecords, processes }: Sample): boolean {
  const hasWork = Object.entries(jobs).some(([state, count]) => state !== 'failed' && count > 0);
  return outboxRecords === 0 && !hasWork && processes.every(({ sockets = 0 }) => sockets === 0);
}

function isBack({ processes, postgresConnections = 0 }: Sample, before: Rest | undefined): boolean {
  if (before === undefined) return false;
  const isRunningAsBefore = before.sample.processes.every((first) => {
    const last = processes.find(({ name }) => name === first.name);
    return last !== undefined && hasReturned(first, last, before.isCold);
  });
  return isRunningAsBefore && (before.isCold || postgresConnections <= (before.sample.postgresConnections ?? 0));
}
