// Each check is given a bad file and must find what is wrong with it, and a good one and must not: green means read.
import { describe, expect, it } from 'vitest';
import { checkHomes, checkImportRule, checkSlices } from './imports.ts';
import { checkBindings, checkLua } from './lua.ts';
import { checkLuaKeyNames, checkMetricNames, checkPlaces, checkTunedNumbers } from './places.ts';
import { checkComposed, checkOpenApi, checkTested } from './routes.ts';
import { checkFileSizes, checkFunctionSizes, checkHeaders, checkNames, checkTitles, checkWords } from './shape.ts';
import { split } from './source.ts';
import type { SourceFile } from './source.ts';

const file = (path: string, ...lines: string[]): SourceFile => ({ path, text: `${lines.join('\n')}\n` });
const script = (source: string, keys: string[] = []) => ({ name: 'x', source, keys });

describe('splitting source into layers', () => {
  it('tells code from comments, strings, templates and patterns', () => {
    const text =
      "const a = 'one // no'; // two\nconst b = `three ${four('five')} six`; /* seven */ const c = /['\"/]eight/; nine();";
    const { code, strings, withStrings } = split(text);
    for (const word of ['const', 'four', 'nine']) expect(code).toContain(word);
    for (const word of ['one', 'two', 'three', 'five', 'six', 'seven', 'eight']) expect(code).not.toContain(word);
    for (const word of ['one // no', 'three', 'five', 'six', 'eight']) expect(strings).toContain(word);
    expect(withStrings).not.toMatch(/two|seven/);
    expect(code.split('\n')).toHaveLength(2);
  });
});

describe('planted imports', () => {
  it.each([
    ['core/a.ts', "import { x } from '../shop/sales/sales.ts';"],
    ['core/a.ts', "import type { X } from '../actors/records.ts';"],
    ['actors/a.ts', "export { x } from '../api/server.ts';"],
    ['shop/sales/a.ts', "const x = await import('../../workers/relay.ts');"],
    ['api/a.ts', "import { x } from '../workers/relay.ts';"],
    ['workers/a.ts', "import { x } from '../test/support/stack.ts';"],
    ['core/a.ts', "let x: import('../shop/route.ts').Route;"],
  ])('finds an upward import in %s: %s', (path, line) => {
    expect(checkImportRule([file(path, line)])).toHaveLength(1);
  });

  it('lets downward and inner imports pass, and those in comments', () => {
    const lines = [
      "import { x } from '../core/errors.ts';",
      "import { y } from './keys.ts';",
      "// import { z } from '../shop/shop.ts';",
    ];
    expect(
      checkImportRule([file('actors/a.ts', ...lines), file('test/unit/a.test.ts', "import '../../shop/shop.ts';")]),
    ).toEqual([]);
  });

  it.each([
    ['shop/sales/a.ts', "import { x } from '../orders/orders.ts';"],
    ['shop/orders/a.ts', "import { x } from '../sales/store.ts';"],
    ['shop/route.ts', "import { x } from './sales/sales.ts';"],
    ['api/a.ts', "import { x } from '../shop/sales/store.ts';"],
  ])('finds a slice that is reached wrongly in %s: %s', (path, line) => {
    expect(checkSlices([file(path, line)])).toHaveLength(1);
  });

  it('lets a later slice see an earlier one through its front, and shop.ts see all', () => {
    const good = [
      file('shop/orders/a.ts', "import { x } from '../sales/sales.ts';"),
      file('shop/shop.ts', "import { x } from './sales/routes.ts';"),
    ];
    expect(checkSlices(good)).toEqual([]);
  });

  it.each([
    ['actors/a.ts', "import { Redis } from 'ioredis';"],
    ['shop/sales/sales.ts', "import pg from 'pg';"],
    ['shop/orders/a.ts', "import Stripe from 'stripe';"],
    ['api/dispatch.ts', "import { App } from 'uWebSockets.js';"],
    ['shop/sales/routes.ts', "import { z } from 'zod';"],
    ['core/a.ts', "import { x } from 'a-new-package';"],
  ])('finds a dependency away from home in %s: %s', (path, line) => {
    expect(checkHomes([file(path, line)])).toHaveLength(1);
  });

  it('lets a dependency be at home', () => {
    const lines = ["import type pg from 'pg';", "import { readFileSync } from 'node:fs';", "Buffer.from('no import');"];
    expect(
      checkHomes([
        file('shop/orders/apply-store.ts', ...lines),
        file('shop/sales/wire.ts', "import { z } from 'zod';"),
      ]),
    ).toEqual([]);
  });
});

describe('planted places', () => {
  it.each([
    ['api/main.ts', 'const port = process.env.PORT;'],
    ['shop/a.ts', 'const now = Date.now();'],
    ['shop/a.ts', 'const now = new Date();'],
    ['actors/a.ts', 'const r = Math.random();'],
    ['shop/a.ts', 'const id = randomUUID();'],
    ['shop/sales/routes.ts', "const sql = 'SELECT sku FROM sale_items';"],
    ['shop/sales/sales.ts', 'const sql = `UPDATE sales SET status = $1`;'],
    ['workers/a.ts', 'const sql = `\n  INSERT INTO orders (x)`;'],
    ['workers/a.ts', 'const key = `db:{p${partition}}:outbox`;'],
  ])('finds code out of place in %s: %s', (path, line) => {
    expect(checkPlaces([file(path, line)])).toHaveLength(1);
  });

  it('lets them be where they belong, and be spoken of', () => {
    const good = [
      file('core/clock.ts', 'Date.now();'),
      file('shop/orders/apply-store.ts', "const sql = 'SELECT 1 FROM orders';"),
      file('actors/keys.ts', 'const k = `db:{p${p}}:`;'),
      file('shop/a.ts', '// Date.now() is not used here', "const text = 'Please select from the list, Math.random';"),
    ];
    expect(checkPlaces(good)).toEqual([]);
  });

  it('finds keys named in a script, and metrics named freely', () => {
    expect(checkLuaKeyNames([file('scripts/lua/x.lua', "redis.call('GET', 'db:{p1}:x') -- TAG")])).toHaveLength(1);
    expect(checkLuaKeyNames([file('scripts/lua/include/keys.lua', "local TAG = 'db:{p1}:'")])).toEqual([]);
    expect(
      checkMetricNames([
        file('api/a.ts', "counter('requests', 'help'); counter('doorbuster_requests_total', 'help');"),
      ]),
    ).toHaveLength(1);
  });

  it('finds a tuned number of the scripts alone among those of all', () => {
    const numbers = file('core/constants.ts', 'export const POLL_MS = 1;', 'export const WAIT_MS = 2;');
    const script = file('scripts/a.ts', 'sleep(POLL_MS + WAIT_MS);');
    const tested = file('test/unit/a.test.ts', 'expect(POLL_MS).toBe(1);');
    const actor = file('actors/a.ts', 'sleep(WAIT_MS);');
    expect(checkTunedNumbers([numbers, script, tested, actor])).toEqual([
      'core/constants.ts:1 POLL_MS: only scripts use it: scripts/constants.ts',
    ]);
    expect(checkTunedNumbers([script])).toHaveLength(1);
    expect(checkTunedNumbers([numbers, actor, tested])).toEqual([]);
  });
});

describe('planted shapes', () => {
  const body = (lines: number) => Array.from({ length: lines }, (_, i) => `  step(${i});`);

  it('finds long files', () => {
    expect(checkFileSizes([file('shop/a.ts', ...body(251))])).toHaveLength(1);
    expect(checkFileSizes([file('scripts/lua/a.lua', ...body(121))])).toHaveLength(1);
    expect(checkFileSizes([file('shop/a.ts', ...body(250)), file('test/a.test.ts', ...body(400))])).toEqual([]);
  });

  it('finds long functions, however they are written, and counts a closure without its methods', () => {
    for (const head of [
      'function a() {',
      'const a = async (b: number) => {',
      'export async function a(b: { c: number }): Promise<void> {',
      ') {',
    ]) {
      expect(checkFunctionSizes([file('shop/a.ts', head, ...body(69), '}')])).toHaveLength(1);
      expect(checkFunctionSizes([file('shop/a.ts', head, ...body(68), '}')])).toEqual([]);
    }
    const method = ['  function inner() {', ...body(40).map((line) => `  ${line}`), '  }'];
    expect(
      checkFunctionSizes([file('shop/a.ts', 'export function createA() {', ...method, ...method, ...method, '}')]),
    ).toEqual([]);
  });

  it('finds files without a header, vague names and unfinished work', () => {
    expect(checkHeaders([file('shop/a.ts', 'export const a = 1;')])).toHaveLength(1);
    expect(
      checkHeaders([
        file('shop/a.ts', '// Owns a.', 'export const a = 1;'),
        file('scripts/a.ts', '#!/usr/bin/env node', '// Starts.'),
      ]),
    ).toEqual([]);
    expect(checkNames([file('shop/sales/sale-utils.ts', '')])).toHaveLength(1);
    expect(checkNames([file('shop/sales/SaleStore.ts', '')])).toHaveLength(1);
    expect(checkNames([file('shop/sales/sales.ts', 'export class SaleManager {}')])).toHaveLength(1);
    expect(checkNames([file('shop/sales/sale-tick.ts', 'export function manage() {}')])).toEqual([]);
    expect(checkWords([file('shop/a.ts', `// ${'TO|DO'.replace('|', '')}: later`)])).toHaveLength(1);
  });

  it('finds tests of one title', () => {
    const twin = [
      "describe('a', () => {",
      "  it('b', () => {});",
      "  it('c', () => {});",
      "  it('b', () => {});",
      '});',
    ];
    expect(checkTitles([file('test/a.test.ts', ...twin)])).toHaveLength(1);
    const apart = [
      "describe('a', () => {",
      "  it('b', () => {});",
      '});',
      "describe('c', () => {",
      "  it('b', () => {});",
      '});',
    ];
    expect(checkTitles([file('test/a.test.ts', ...apart)])).toEqual([]);
    expect(
      checkTitles([file('test/a.test.ts', "it('b', () => {});"), file('test/b.test.ts', "it('b', () => {});")]),
    ).toHaveLength(1);
  });
});

describe('planted Lua', () => {
  it.each([
    ['a global that is set', 'x = 1'],
    ['a global that is read', 'return os.time()'],
    ['a global function', 'function f() end'],
    ['an unknown command', "redis.call('HGTE', KEYS[1])"],
    ['an unknown command in chunks', "local call_in_chunks call_in_chunks('ZDEL', 1, 2)"],
    ['a command no script may call', "redis.call('KEYS', '*')"],
    ['an unknown member of redis', 'redis.replicate_commands()'],
    ['unpack of what may be long', 'local t = {} return unpack(t)'],
    ['a syntax error', 'local local'],
    ['too many locals', Array.from({ length: 191 }, (_, i) => `local v${i} = 1`).join('\n')],
  ])('finds %s', (_what, source) => {
    expect(checkLua([script(source)])).toHaveLength(1);
  });

  it('lets a sound script pass', () => {
    expect(
      checkLua([script("#!lua\nlocal t = redis.call('hget', KEYS[1], ARGV[1])\nreturn { unpack(t, 1, 512) }")]),
    ).toEqual([]);
  });

  it('finds scripts that are not bound, bound twice, missing, or whose header names other keys', () => {
    const keysSource = 'fence: (p) => p';
    const bindings = (...lines: string[]) => [file('actors/scripts.ts', ...lines)];
    const one = script('return KEYS[1]', ['fence']);
    expect(checkBindings([one], bindings("load('x')"), keysSource)).toEqual([]);
    expect(checkBindings([one], [], keysSource)).toHaveLength(1);
    expect(checkBindings([one], bindings("load('x')", "load('x')"), keysSource)).toHaveLength(1);
    expect(checkBindings([one], bindings("load('x')", "load('y')"), keysSource)).toHaveLength(1);
    expect(checkBindings([script('return KEYS[2]', ['fence'])], bindings("load('x')"), keysSource)).toHaveLength(1);
    expect(checkBindings([script('return KEYS[1]', ['gate'])], bindings("load('x')"), keysSource)).toHaveLength(1);
  });
});

describe('planted routes', () => {
  const buy = { method: 'POST', path: '/api/v1/sales/{saleId}/purchases' } as const;

  it('finds a route that is not documented, not composed, or not tested', () => {
    expect(checkOpenApi([buy], { [buy.path]: { get: {} } })).toHaveLength(1);
    expect(checkOpenApi([buy], { [buy.path]: { post: {} } })).toEqual([]);
    const routes = file('shop/sales/routes.ts', 'export function saleRoutes() {}');
    expect(checkComposed([routes])).toHaveLength(1);
    expect(checkComposed([routes, file('shop/shop.ts', 'saleRoutes(sales)')])).toEqual([]);
    expect(checkTested([buy], [file('test/e2e/a.test.ts', "await get('/sales/sale_1/purchases');")])).toHaveLength(1);
    expect(
      checkTested([buy], [file('test/e2e/a.test.ts', "await post('/sales/sale_1/purchases/other');")]),
    ).toHaveLength(1);
    for (const line of [
      "post('/sales/sale_1/purchases', body)",
      'fetch(`${base}/api/v1/sales/${saleId}/purchases`, { method: "POST" })',
      "call('POST', `/sales/${id}/purchases?x=1`)",
    ]) {
      expect(checkTested([buy], [file('test/e2e/a.test.ts', line)])).toEqual([]);
    }
  });
});
