// Routes: every one is in the OpenAPI document, in the table that the API serves, and asked for by some test.
import type { Route } from '../../shop/route.ts';
import type { Finding, SourceFile } from './source.ts';

export type RouteFacts = Pick<Route, 'method' | 'path'>;

export function checkOpenApi(routes: readonly RouteFacts[], paths: Readonly<Record<string, unknown>>): Finding[] {
  return routes.flatMap(({ method, path }) => {
    const item = paths[path];
    const isThere = typeof item === 'object' && item !== null && method.toLowerCase() in item;
    return isThere ? [] : [`${method} ${path} is not in the OpenAPI document`];
  });
}

/** `export function xRoutes` is of no use until a file outside its own calls it. */
export function checkComposed(files: readonly SourceFile[]): Finding[] {
  return files.flatMap((file) =>
    [...file.text.matchAll(/\bexport function (\w+Routes)\b/g)].flatMap((match) => {
      const name = match[1] ?? '';
      const isCalled = files.some((other) => other.path !== file.path && new RegExp(`\\b${name}\\(`).test(other.text));
      return isCalled ? [] : [`${file.path}: nobody calls ${name}`];
    }),
  );
}

/** A test asks for a route when its path stands there, parameters filled in, with the method near it. */
export function checkTested(routes: readonly RouteFacts[], tests: readonly SourceFile[]): Finding[] {
  const lines = tests.flatMap((file) =>
    file.text.split('\n').map((line, i, all) => ({ line, around: all.slice(Math.max(0, i - 4), i + 5).join('\n') })),
  );
  return routes.flatMap(({ method, path }) => {
    const pattern = pathPattern(path);
    const word = new RegExp(`\\b${method}\\b|\\b${method.toLowerCase()}\\b`);
    // GET is what a request is when nothing else is said.
    const isTested = lines.some(({ line, around }) => pattern.test(line) && (method === 'GET' || word.test(around)));
    return isTested ? [] : [`${method} ${path} is in no test`];
  });
}

function pathPattern(path: string): RegExp {
  const segments = path
    .replace(/^\/api\/v1/, '')
    .split('/')
    .slice(1)
    .map((segment) => (segment.startsWith('{') ? '(?:\\$\\{[^}]+\\}|[\\w.%-]+)' : segment.replaceAll('.', '\\.')));
  return new RegExp(`(?:['"\`]|/api/v1|\\})/${segments.join('/')}(?:['"\`?]|\\$\\{)`);
}
