// What a rush is asked to be: the command line, read and checked. Every problem is told at once, in the caller's words.
import { Command, InvalidArgumentError, Option } from 'commander';

export interface RushOptions {
  buyers: number;
  stock: number;
  /** Share of the buyers with a hold who pay for it. */
  pay: number;
  /** Share of the buyers who come over WebSockets. */
  websockets: number;
  /** Share of the buyers who press before the opening and wait in the room. */
  early: number;
  holdSeconds: number;
  /** Admissions a second; null leaves the pace to the system. */
  rate: number | null;
  connections: number;
  arrivalMs: number;
  seed: number;
  apiProcesses: number | null;
  /** After this the run is ended, whatever is still going on. */
  limitMs: number;
  /** A system that runs elsewhere; null looks in the data directory, else starts one. */
  url: string | null;
  isJson: boolean;
  /** Leaves the data of a system of its own on the disk, and the sale open on another's. */
  isKept: boolean;
}

export const DEFAULTS: RushOptions = {
  buyers: 20_000,
  stock: 500,
  pay: 0.8,
  websockets: 0.1,
  early: 0.05,
  holdSeconds: 8,
  rate: null,
  connections: 256,
  arrivalMs: 5_000,
  seed: 1,
  apiProcesses: null,
  limitMs: 600_000,
  url: null,
  isJson: false,
  isKept: false,
};

const whole = (low: number, high: number) => (text: string) => {
  const value = Number(text);
  if (Number.isInteger(value) && value >= low && value <= high) return value;
  throw new InvalidArgumentError(`It must be a whole number from ${low} to ${high}.`);
};

const share = (text: string): number => {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 1) return value;
  throw new InvalidArgumentError('It must be between 0 and 1.');
};

const positive = (text: string): number => {
  const value = Number(text);
  if (value > 0 && value <= 1_000_000) return value;
  throw new InvalidArgumentError('It must be above 0.');
};

const UNITS_MS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000 };

/** `5s`, `500ms`, `2m`; a number alone is seconds. */
const duration = (text: string): number => {
  const [, digits, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text.trim()) ?? [];
  const ms = Number(digits) * (UNITS_MS[unit] ?? Number.NaN);
  if (ms >= 0 && ms <= 3_600_000) return ms;
  throw new InvalidArgumentError('It must be a time such as 5s, 500ms or 2m.');
};

export function rushCommand(act: (options: RushOptions, envFile: string | undefined) => Promise<void>): Command {
  const option = (
    flags: string,
    text: string,
    parse: (text: string) => number,
    preset: number | null,
    said?: string,
  ) =>
    preset === null
      ? new Option(flags, text).argParser(parse)
      : new Option(flags, text).argParser(parse).default(preset, said);
  return new Command('rush')
    .description('A real flash sale with a crowd of buyers, against a running system or one of its own, and its audit.')
    .addOption(option('--buyers <n>', 'people who press Buy', whole(1, 1_000_000), DEFAULTS.buyers))
    .addOption(option('--stock <n>', 'units for sale', whole(1, 1_000_000), DEFAULTS.stock))
    .addOption(option('--pay <share>', 'of those with a hold, how many pay', share, DEFAULTS.pay))
    .addOption(option('--websockets <share>', 'how many come over WebSockets', share, DEFAULTS.websockets))
    .addOption(option('--early <share>', 'how many press before the opening', share, DEFAULTS.early))
    .addOption(option('--hold <seconds>', 'how long a unit is held', whole(1, 3_600), DEFAULTS.holdSeconds))
    .addOption(option('--rate <n>', 'admissions a second at most', positive, null))
    .addOption(option('--arrival <time>', 'the crowd presses within this', duration, DEFAULTS.arrivalMs, '5s'))
    .addOption(option('--connections <n>', 'HTTP connections', whole(1, 10_000), DEFAULTS.connections))
    .addOption(option('--seed <n>', 'the same seed, the same crowd', whole(0, 4_294_967_295), DEFAULTS.seed))
    .addOption(option('--api-processes <n>', 'of a system of its own', whole(1, 64), null))
    .addOption(option('--limit <time>', 'the run ends after this in any case', duration, DEFAULTS.limitMs, '10m'))
    .option('--url <url>', 'a system that runs elsewhere; JWT_SECRET and DATABASE_URL must be its own')
    .option('--env <file>', 'reads environment variables from a file first')
    .option('--json', 'one JSON object on stdout, nothing else')
    .option('--keep', "keeps the data of a system of its own; leaves the sale open on somebody else's")
    .action((given: Given) => act(toOptions(given), given.env));
}

/** As commander hands it over: its parsers and defaults above have done their work. */
interface Given extends Record<'buyers' | 'stock' | 'pay' | 'websockets' | 'early' | 'hold', number> {
  arrival: number;
  connections: number;
  seed: number;
  limit: number;
  rate?: number;
  apiProcesses?: number;
  url?: string;
  env?: string;
  json?: boolean;
  keep?: boolean;
}

function toOptions(given: Given): RushOptions {
  const { buyers, stock, pay, websockets, early, connections, seed } = given;
  return {
    ...{ buyers, stock, pay, websockets, early, connections, seed },
    holdSeconds: given.hold,
    rate: given.rate ?? null,
    arrivalMs: given.arrival,
    limitMs: given.limit,
    apiProcesses: given.apiProcesses ?? null,
    url: given.url ?? null,
    isJson: given.json === true,
    isKept: given.keep === true,
  };
}
