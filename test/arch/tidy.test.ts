// The tidy test: reads the source of the whole repository. That each check can fail is tested in planted.test.ts.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadScript } from '../../core/redis/scripts.ts';
import { checkHomes, checkImportRule, checkSlices } from './imports.ts';
import { checkBindings, checkLua } from './lua.ts';
import { checkLuaKeyNames, checkMetricNames, checkPlaces, checkTunedNumbers } from './places.ts';
import { checkFileSizes, checkFunctionSizes, checkHeaders, checkNames, checkTitles, checkWords } from './shape.ts';
import { readSources } from './source.ts';

const FOLDERS = ['core', 'actors', 'shop', 'api', 'workers', 'scripts', 'sandbox', 'bench', 'test'];
const LUA_FOLDERS = ['scripts/lua', 'api/lua'];

const files = readSources(FOLDERS, '.ts');
const luaFiles = readSources(LUA_FOLDERS, '.lua');
const scripts = LUA_FOLDERS.flatMap((path) => {
  const folder = new URL(`../../${path}/`, import.meta.url);
  const names = readdirSync(folder).filter((name) => name.endsWith('.lua'));
  return names.map((name) => loadScript(folder, name.slice(0, -'.lua'.length)));
});
const planted = (path: string) => path.startsWith('test/arch/');
const code = files.filter(({ path }) => !planted(path));

describe('what the tidy test reads', () => {
  it('is the whole source', () => {
    expect(files.length).toBeGreaterThan(100);
    expect(scripts.length).toBeGreaterThan(10);
    expect(luaFiles.length).toBeGreaterThan(scripts.length);
    for (const folder of FOLDERS.filter((name) => name !== 'bench')) {
      expect(files.filter(({ path }) => path.startsWith(`${folder}/`)).length, folder).toBeGreaterThan(0);
    }
  });
});

describe('imports', () => {
  it('go downward only', () => expect(checkImportRule(files)).toEqual([]));
  it('see a slice of the shop through the file named after it', () => expect(checkSlices(files)).toEqual([]));
  it('keep each dependency in its one home', () => expect(checkHomes(files)).toEqual([]));
});

describe('places', () => {
  it('hold each kind of code where it belongs', () => expect(checkPlaces(code)).toEqual([]));
  it('name Redis keys in one include', () => expect(checkLuaKeyNames(luaFiles)).toEqual([]));
  it('name metrics by noun and unit', () => expect(checkMetricNames(code)).toEqual([]));
  it('keep the tuned numbers of the scripts with the scripts', () => expect(checkTunedNumbers(code)).toEqual([]));
});

describe('shape', () => {
  it('keeps files small', () => expect(checkFileSizes([...files, ...luaFiles])).toEqual([]));
  it('keeps functions small', () => expect(checkFunctionSizes(files)).toEqual([]));
  it('begins each file with what it owns', () => expect(checkHeaders([...files, ...luaFiles])).toEqual([]));
  it('names files and exports by what they are', () => expect(checkNames(code)).toEqual([]));
  it('leaves nothing unfinished behind', () => expect(checkWords([...code, ...luaFiles])).toEqual([]));
  it('gives every test a title of its own', () => expect(checkTitles(code)).toEqual([]));
});

describe('Lua', () => {
  it('uses what a script may use', () => expect(checkLua(scripts)).toEqual([]));
  it('is bound once, with the keys that its header names', () => {
    const bindings = files.filter(({ path }) => /^(?:actors|api)\//.test(path));
    const homes = ['actors/keys.ts', 'api/rate-share.ts'];
    const keysSource = homes.map((path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')).join('\n');
    expect(checkBindings(scripts, bindings, keysSource)).toEqual([]);
  });
});
