// Reads JSON bodies. What a crowd sends is the same few texts (one SKU, one unit): for the routes that say so, what became of
// a text is kept and handed out again, frozen. The same bytes under the same schema are the same value.
import { COMMON_BODIES_MAX, COMMON_BODY_BYTES_MAX } from '../core/constants.ts';
import type { Route } from '../shop/route.ts';
import { parseJson, validate } from './input.ts';

type Schema = NonNullable<Route['body']>;

export function createBodyReader(): (route: Route, schema: Schema, bytes: Buffer) => unknown {
  const known = new Map<Route, Map<string, unknown>>();

  function readCommon(route: Route, schema: Schema, bytes: Buffer): unknown {
    let bodies = known.get(route);
    if (bodies === undefined) {
      bodies = new Map();
      known.set(route, bodies);
    }
    // A character a byte: two bodies are one text only where they are the same bytes.
    const text = bytes.toString('latin1');
    const earlier = bodies.get(text);
    if (earlier !== undefined) return earlier;
    const body = validate(schema, parseJson(bytes), 'body');
    if (bodies.size >= COMMON_BODIES_MAX) bodies.clear();
    bodies.set(text, Object.freeze(body));
    return body;
  }

  return (route, schema, bytes) =>
    route.hasCommonBody && bytes.length <= COMMON_BODY_BYTES_MAX
      ? readCommon(route, schema, bytes)
      : validate(schema, parseJson(bytes), 'body');
}
