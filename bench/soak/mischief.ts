// The faults of a soak: a seeded choice of what breaks next. Each is one that a machine or a provider really does; what is
// killed is started again by the supervisor. Nothing here waits for the system to be well again.
import type { Dice } from '../../scripts/rush/seeded.ts';
import type { Stage } from '../stage.ts';

export interface Mischief {
  /** Breaks something; says what. */
  strike(): Promise<string>;
  /** Only what leaves every process alive, so that their memory can be compared over time. */
  strikeGently(): Promise<string>;
  /** The provider behaves again. */
  relent(): Promise<void>;
}

/** A webhook that is dropped is found by asking; that takes the hold's end. So they are dropped for a while, not for ever. */
const BEHAVIORS = [
  { dropWebhooks: true },
  { repeat: 3, reorder: true },
  { delayMs: 1_500 },
  { processingMs: 800 },
  { failNext: { times: 5, status: 500, afterWork: true } },
  { failNext: { times: 5, status: 0 } },
] as const;

export function createMischief(stage: Stage, dice: Dice): Mischief {
  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(dice.next() * from.length)];

  function kill(name: string | undefined, signal: NodeJS.Signals): string {
    const pid = stage.processes().find((one) => one.name === name)?.pid;
    if (pid === undefined) return `${name} is down already`;
    process.kill(pid, signal);
    return `${signal} to ${name}`;
  }

  async function misbehave(): Promise<string> {
    const behavior = pick(BEHAVIORS) ?? { reset: true };
    await tell({ reset: true, ...behavior });
    return `the provider: ${JSON.stringify(behavior)}`;
  }

  async function tell(behavior: object): Promise<void> {
    const url = `${stage.config.stripe.apiBase}/sandbox/behavior`;
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(behavior) };
    // It may be down just now: then it has been told nothing, and behaves.
    await fetch(url, init).catch(() => undefined);
  }

  return {
    async strike() {
      const apis = stage.processes().filter(({ name }) => name.startsWith('api-'));
      const choice = Math.floor(dice.next() * 6);
      if (choice === 0) return kill(pick(apis)?.name, 'SIGKILL');
      if (choice === 1) return kill('workers', 'SIGKILL');
      if (choice === 2) return kill('redis', 'SIGKILL');
      if (choice === 3) return kill('postgres', 'SIGQUIT');
      if (choice === 4) return kill('sandbox', 'SIGKILL');
      return misbehave();
    },
    strikeGently: () => (dice.isLucky(0.3) ? Promise.resolve(kill('redis', 'SIGKILL')) : misbehave()),
    relent: () => tell({ reset: true }),
  };
}
