// Reads JSON bodies. What a crowd sends is the same few texts (one SKU, one unit): for the routes that say so, what became of
// a text is kept and handed out again, frozen. The same bytes under the same schema are the same value.
import { COMMON_BODIES_MAX, COMMON_BODY_BYTES_MAX } from '../core/constants.ts';
import type { Route } from '../shop/route.ts';
import { parseJson, validate } from './input.ts';

type Schema = NonNullable<Route['body']>;

export function createBodyReader(): (route: Route, schema: Schema, bytes: Buffer) => unknown {
  const known = new Map<Route, Map<string, unknown>>();
  // Mostly the last one again: to compare two texts is less than to hash a fresh one.
  let last: { readonly route: Route; readonly text: string; readonly body: unknown } | undefined;

  function readCommon(route: Route, schema: Schema, bytes: Buffer): unknown {
    // A character a byte: two bodies are one text only where they are the same bytes.
    const text = bytes.toString('latin1');
    if (last !== undefined && last.text === text && last.route === route) return last.body;
    let bodies = known.get(route);
    if (bodies === undefined) {
      bodies = new Map();
      known.set(route, bodies);
    }
    let body = bodies.get(text);
    if (body === undefined) {
      body = Object.freeze(validate(schema, parseJson(bytes), 'body'));
      if (bodies.size >= COMMON_BODIES_MAX) bodies.clear();
      bodies.set(text, body);
    }
    last = { route, text, body };
    return body;
  }

  return (route, schema, bytes) =>
    route.hasCommonBody && bytes.length <= COMMON_BODY_BYTES_MAX
      ? readCommon(route, schema, bytes)
      : validate(schema, parseJson(bytes), 'body');
}
