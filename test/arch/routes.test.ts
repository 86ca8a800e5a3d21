// Every route that a slice or the API defines: composed, documented, tested. The routes are made with services that
// answer anything, since only what a route says about itself is looked at.
import { describe, expect, it } from 'vitest';
import { createOpenApi } from '../../api/openapi.ts';
import type { Route } from '../../shop/route.ts';
import { checkComposed, checkOpenApi, checkTested } from './routes.ts';
import { readSources } from './source.ts';

const files = readSources(['shop', 'api'], '.ts');
const tests = readSources(['test'], '.ts').filter(({ path }) => !path.startsWith('test/arch/'));

const anything: unknown = new Proxy(() => undefined, {
  get: (_target, name) => (name === Symbol.toPrimitive ? () => 0 : anything),
  apply: () => anything,
});

async function collectRoutes(): Promise<Route[]> {
  const routes: Route[] = [];
  for (const { path } of files.filter((file) => /\bexport function \w+Routes\b/.test(file.text))) {
    const module: Record<string, unknown> = await import(
      /* @vite-ignore */ new URL(`../../${path}`, import.meta.url).href
    );
    for (const [name, make] of Object.entries(module)) {
      // Each takes services and gives Route[]; that is what the name says.
      if (name.endsWith('Routes') && typeof make === 'function')
        routes.push(...(make(anything, anything, anything) as Route[]));
    }
  }
  // A function that gathers those of others gives them again.
  return [...new Map(routes.map((route) => [`${route.method} ${route.path}`, route])).values()];
}

const routes = await collectRoutes();

describe('routes', () => {
  it('are found', () => {
    expect(routes.length).toBeGreaterThan(20);
    expect(routes.map(({ path }) => path)).toContain('/api/v1/sales/{saleId}/purchases');
  });

  it('are composed into the API', () => expect(checkComposed(files)).toEqual([]));

  it('are in the OpenAPI document', () => {
    const document = createOpenApi(routes, '0.0.0') as { paths?: Record<string, unknown> };
    expect(checkOpenApi(routes, document.paths ?? {})).toEqual([]);
  });

  it('are asked for by a test', () => expect(checkTested(routes, tests)).toEqual([]));
});
