// Finds the route of a method and a path. Built once from the one table; a path that is defined twice is refused then.
// A literal segment wins over a parameter, so `/products/search` and `/products/{productId}` live together; where it has
// not the method, the parameter has its turn: `POST /inventory/adjust` is no reason why a SKU `adjust` cannot be read.
import type { Method, Route } from '../shop/route.ts';

export type Match =
  | { kind: 'route'; route: Route; params: Readonly<Record<string, string>> }
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

/** The best node of a path that has the method. `passed` collects the nodes that fit the path and have others only. */
function descend(
  node: Node,
  at: number,
  wish: { segments: readonly string[]; method: Method },
  values: string[],
  passed: Node[],
): Node | undefined {
  const segment = wish.segments[at];
  if (segment === undefined) {
    if (node.routes.has(wish.method)) return node;
    if (node.routes.size > 0) passed.push(node);
    return undefined;
  }
  const literal = node.literals.get(segment);
  if (literal !== undefined) {
    const found = descend(literal, at + 1, wish, values, passed);
    if (found !== undefined) return found;
  }
  if (node.parameter === undefined) return undefined;
  const value = decode(segment);
  if (value === undefined) return undefined;
  values.push(value);
  const found = descend(node.parameter, at + 1, wish, values, passed);
  if (found === undefined) values.pop();
  return found;
}

/** The methods that CORS and `Allow` name: HEAD comes with GET, OPTIONS with everything. */
function allowedMethods(nodes: readonly Node[]): string[] {
  const methods: string[] = nodes.flatMap((node) => [...node.routes.keys()]);
  return methods.includes('GET') ? [...methods, 'HEAD', 'OPTIONS'] : [...methods, 'OPTIONS'];
}

export function createRouteTable(routes: readonly Route[]): { find(method: string, path: string): Match } {
  const root = createNode();
  for (const route of routes) insert(root, route);
  // A crowd asks for one path: the last answer is very often the next one, too.
  let [lastMethod, lastPath] = ['', ''];
  let last: Match = { kind: 'unknown' };

  function look(method: string, path: string): Match {
    const values: string[] = [];
    const passed: Node[] = [];
    // A method that is none of ours is simply not a key of the map.
    const wish = { segments: path.split('/').slice(1), method: (method === 'HEAD' ? 'GET' : method) as Method };
    const found = descend(root, 0, wish, values, passed)?.routes.get(wish.method);
    if (found === undefined) {
      return passed.length === 0 ? { kind: 'unknown' } : { kind: 'other-method', allowed: allowedMethods(passed) };
    }
    const params: Record<string, string> = {};
    for (const [index, name] of found.names.entries()) params[name] = values[index] ?? '';
    return { kind: 'route', route: found.route, params };
  }

  return {
    find(method, path) {
      if (path !== lastPath || method !== lastMethod) [lastMethod, lastPath, last] = [method, path, look(method, path)];
      return last;
    },
  };
}
