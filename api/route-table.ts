// Finds the route of a method and a path. Built once from the one table; a path that is defined twice is refused then.
// A literal segment wins over a parameter, so `/products/search` and `/products/{productId}` live together.
import type { Method, Route } from '../shop/route.ts';

export type Match =
  | { kind: 'route'; route: Route; params: Record<string, string> }
  | { kind: 'other-method'; allowed: string[] }
  | { kind: 'unknown' };

interface Node {
  literals: Map<string, Node>;
  parameter: Node | undefined;
  routes: Map<Method, { route: Route; names: readonly string[] }>;
}

const createNode = (): Node => ({ literals: new Map(), parameter: undefined, routes: new Map() });
const isParameter = (segment: string): boolean => segment.startsWith('{') && segment.endsWith('}');

function insert(root: Node, route: Route): void {
  const names: string[] = [];
  let node = root;
  for (const segment of route.path.split('/').slice(1)) {
    if (isParameter(segment)) {
      names.push(segment.slice(1, -1));
      node.parameter ??= createNode();
      node = node.parameter;
    } else {
      const next = node.literals.get(segment) ?? createNode();
      node.literals.set(segment, next);
      node = next;
    }
  }
  if (node.routes.has(route.method)) throw new Error(`${route.method} ${route.path} is defined twice`);
  node.routes.set(route.method, { route, names });
}

/** Undefined for what no parameter may be: broken percent-encoding, nothing at all, or a NUL. */
function decode(segment: string): string | undefined {
  if (segment === '') return undefined;
  if (!segment.includes('%')) return segment;
  try {
    const text = decodeURIComponent(segment);
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

function descend(node: Node, segments: readonly string[], at: number, values: string[]): Node | undefined {
  const segment = segments[at];
  if (segment === undefined) return node.routes.size > 0 ? node : undefined;
  const literal = node.literals.get(segment);
  if (literal !== undefined) {
    const found = descend(literal, segments, at + 1, values);
    if (found !== undefined) return found;
  }
  if (node.parameter === undefined) return undefined;
  const value = decode(segment);
  if (value === undefined) return undefined;
  values.push(value);
  const found = descend(node.parameter, segments, at + 1, values);
  if (found === undefined) values.pop();
  return found;
}

/** The methods that CORS and `Allow` name: HEAD comes with GET, OPTIONS with everything. */
function allowedMethods(node: Node): string[] {
  const methods: string[] = [...node.routes.keys()];
  return methods.includes('GET') ? [...methods, 'HEAD', 'OPTIONS'] : [...methods, 'OPTIONS'];
}

export function createRouteTable(routes: readonly Route[]): { find(method: string, path: string): Match } {
  const root = createNode();
  for (const route of routes) insert(root, route);
  return {
    find(method, path) {
      const values: string[] = [];
      const node = descend(root, path.split('/').slice(1), 0, values);
      if (node === undefined) return { kind: 'unknown' };
      // A method that is none of ours is simply not a key of the map.
      const found = node.routes.get((method === 'HEAD' ? 'GET' : method) as Method);
      if (found === undefined) return { kind: 'other-method', allowed: allowedMethods(node) };
      const params: Record<string, string> = {};
      for (const [index, name] of found.names.entries()) params[name] = values[index] ?? '';
      return { kind: 'route', route: found.route, params };
    },
  };
}
