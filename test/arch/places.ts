// One place for each kind of code: the environment, time and randomness, SQL, names of Redis keys, metrics' names, tuned numbers.
import { at, split } from './source.ts';
import type { Finding, Layers, SourceFile } from './source.ts';

interface Place {
  pattern: RegExp;
  layer: keyof Layers;
  /** Where it may be. */
  home: RegExp;
  reason: string;
}

const PLACES: readonly Place[] = [
  {
    pattern: /\bprocess\.env\b/g,
    layer: 'code',
    // The supervisor hands its environment on to its children.
    home: /^core\/config\.ts$|^scripts\/start(\.ts|\/)|^(test|bench)\//,
    reason: 'the environment is read in core/config.ts',
  },
  {
    pattern: /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\brandom(?:UUID|Bytes|Int|FillSync)\b|\bgetRandomValues\b/g,
    layer: 'code',
    home: /^core\/(clock|ids)\.ts$|^(test|bench|web)\//,
    reason: 'time and randomness come from core/clock.ts and core/ids.ts',
  },
  {
    pattern:
      /\b(?:SELECT\s[^]{1,400}?\sFROM|SELECT (?:pg_|\$1)|INSERT INTO|UPDATE \w+ (?:\w+ )?SET|DELETE FROM|(?:CREATE|ALTER|DROP) TABLE|TRUNCATE)\b/g,
    layer: 'strings',
    home: /store\.ts$|^core\/(postgres|services)\/|^(test|bench)\//,
    reason: 'SQL lives in store files and migrations',
  },
  {
    pattern: /db:\{/g,
    layer: 'strings',
    // The shared rate limits are no stock: they live beside it under a tag of their own, and may be lost.
    home: /^actors\/keys\.ts$|^api\/rate-share\.ts$|^test\//,
    reason: "Redis' keys are named in actors/keys.ts",
  },
];

export function checkPlaces(files: readonly SourceFile[]): Finding[] {
  return files.flatMap((file) => {
    const layers = split(file.text);
    return PLACES.filter((place) => !place.home.test(file.path)).flatMap((place) =>
      [...layers[place.layer].matchAll(place.pattern)].map(
        (match) => `${at(file, match.index)} ${match[0].slice(0, 40)}: ${place.reason}`,
      ),
    );
  });
}

const METRIC = /\b(?:counter|gauge|histogram)(?:<[^>]*>)?\(\s*'([^']+)'/g;
const METRIC_NAME =
  /^doorbuster(?:_[a-z0-9]+)+_(?:total|seconds|milliseconds|bytes|count|ratio|units|purchases|records|jobs|entries|sockets|skus|connections|requests|callers|messages)$/;

/** `doorbuster_<noun>_<unit>`: the unit is the last word, or `total` for what only grows. */
export function checkMetricNames(files: readonly SourceFile[]): Finding[] {
  return files.flatMap((file) =>
    [...split(file.text).withStrings.matchAll(METRIC)]
      .filter((match) => !METRIC_NAME.test(match[1] ?? ''))
      .map((match) => `${at(file, match.index)} the metric ${match[1]} is not doorbuster_<noun>_<unit>`),
  );
}

/** Key names inside scripts: built from the fence key in one include, nowhere else. */
export function checkLuaKeyNames(scripts: readonly SourceFile[]): Finding[] {
  return scripts
    .filter((file) => !file.path.endsWith('/include/keys.lua'))
    .flatMap((file) =>
      [...file.text.replace(/--[^\n]*/g, (comment) => ' '.repeat(comment.length)).matchAll(/db:\{|\bTAG\b/g)].map(
        (match) => `${at(file, match.index)} ${match[0]}: keys are named in include/keys.lua`,
      ),
    );
}

const SHARED_NUMBERS = 'core/constants.ts';

/** A tuned number that the scripts alone use is theirs (scripts/constants.ts): the kernel's page is long enough. */
export function checkTunedNumbers(files: readonly SourceFile[]): Finding[] {
  const shared = files.find(({ path }) => path === SHARED_NUMBERS);
  if (shared === undefined) return [`${SHARED_NUMBERS}: not found`];
  const others = files
    .filter(({ path }) => path !== SHARED_NUMBERS)
    .map(({ path, text }) => ({ path, words: new Set(text.match(/\b[A-Z][A-Z0-9_]+\b/g)) }));
  return [...shared.text.matchAll(/^export const (\w+)/gm)].flatMap((match) => {
    const name = match[1] ?? '';
    const users = others.filter(({ words }) => words.has(name));
    const isOnlyOfScripts = users.some(({ path }) => path.startsWith('scripts/')) && users.every(isAbove);
    return isOnlyOfScripts ? [`${at(shared, match.index)} ${name}: only scripts use it: scripts/constants.ts`] : [];
  });
}

/** Who may import from the scripts. */
function isAbove({ path }: { path: string }): boolean {
  return /^(?:scripts|bench|test)\//.test(path);
}
