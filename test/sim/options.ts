// The command line of `npm run sim`, read and checked: a seed that is no number would play another history than was asked for.
import { Command, InvalidArgumentError, Option } from 'commander';
import { mutations } from './mutations.ts';
import { DEFAULT_STEPS } from './report.ts';

const HUNT_SEEDS = 400;

export interface SimulationOptions {
  /** The first of them; drawn where none is named. */
  readonly seed: number;
  readonly seeds: number;
  readonly steps: number;
  readonly isTraced: boolean;
  readonly isJson: boolean;
  /** Names of the bugs to plant, one after the other; empty plays the code as it is. */
  readonly mutations: readonly string[];
}

const whole = (low: number, high: number) => (text: string) => {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= low && value <= high) return value;
  throw new InvalidArgumentError(`It must be a whole number from ${low} to ${high}.`);
};

/** Ends the process with a message where an option cannot be read. */
export function readOptions(argv: readonly string[]): SimulationOptions {
  const names = mutations.map(({ name }) => name);
  const program = new Command('sim')
    .description('Plays random histories against the real core, and checks every step of them.')
    .option('--seed <n>', 'the first seed; drawn and printed where none is named', whole(0, 2 ** 32 - 1))
    .option('--seeds <n>', 'so many of them, one after the other', whole(1, 10_000_000))
    .option('--steps <n>', 'acts of buyers and operators in each', whole(1, 100_000), DEFAULT_STEPS)
    .option('--trace', 'prints what happened, event by event')
    .option('--mutations', 'plants each bug of the list, and shows which check finds it')
    .addOption(new Option('--mutation <name>', 'plants this one').choices(names))
    .option('--json', 'one JSON object on stdout')
    .parse([...argv]);
  const { seed, seeds, steps, trace, json, mutation, mutations: all } = program.opts<Partial<Given> & Steps>();
  const chosen = mutation === undefined ? (all === true ? names : []) : [mutation];
  const isHunt = chosen.length > 0;
  return {
    seed: seed ?? (isHunt ? 1 : Math.floor(Math.random() * 2 ** 32)),
    seeds: seeds ?? (isHunt ? HUNT_SEEDS : 1),
    steps,
    isTraced: trace === true,
    isJson: json === true,
    mutations: chosen,
  };
}

interface Given {
  seed: number;
  seeds: number;
  trace: boolean;
  json: boolean;
  mutation: string;
  mutations: boolean;
}

interface Steps {
  steps: number;
}
