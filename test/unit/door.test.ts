// The parts of the door that need neither socket nor store.
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createDispatcher } from '../../api/dispatch.ts';
import type { Answer, Arrival } from '../../api/arrival.ts';
import { createAuthenticator } from '../../api/auth.ts';
import { createGatekeeper } from '../../api/gatekeeper.ts';
import { createOpenApi } from '../../api/openapi.ts';
import { createRateLimit } from '../../api/rate-limit.ts';
import { createRouteTable } from '../../api/route-table.ts';
import { createTokenIssuer } from '../../api/tokens.ts';
import { fault } from '../../core/errors.ts';
import { createLog } from '../../core/log.ts';
import { defineRoute } from '../../shop/route.ts';
import type { Json } from '../support/api.ts';

const quiet = createLog({ logLevel: 'silent' }, 'test');
const moving = (ms = 1_800_000_000_000) => ({ now: () => ms, advance: (by: number) => void (ms += by) });

describe('a rate limit', () => {
  it('allows a burst, then the rate, and says when to come back', () => {
    const clock = moving();
    const limit = createRateLimit({ name: 'test', ratePerSecond: 2, burst: 3, maxBuckets: 10, clock });
    expect([1, 2, 3, 4].map(() => limit.take('a'))).toEqual([0, 0, 0, 1]);
    clock.advance(500);
    expect([limit.take('a'), limit.take('a')]).toEqual([0, 1]);
    expect(limit.take('b')).toBe(0);
    clock.advance(-10_000);
    expect(limit.take('a')).toBeGreaterThan(0);
  });

  it('keeps a bounded number of buckets, the latest of them', () => {
    const limit = createRateLimit({ name: 'test', ratePerSecond: 1, burst: 1, maxBuckets: 10, clock: moving() });
    for (let i = 0; i < 1_000; i += 1) limit.take(`key-${i}`);
    expect(limit.size).toBeLessThanOrEqual(10);
    expect(limit.take('key-999')).toBe(1);
    expect(limit.take('key-1')).toBe(0);
  });
});

const route = (method: 'GET' | 'POST', path: string, handle: () => Json = () => ({ status: 200, body: path })) =>
  defineRoute({
    method,
    path,
    summary: path,
    tag: 'T',
    access: 'public',
    replies: { 200: { description: 'x' } },
    handle,
  });

describe('the route table', () => {
  const table = createRouteTable([
    route('GET', '/a'),
    route('GET', '/a/{id}'),
    route('GET', '/a/search'),
    route('POST', '/a/{id}/b'),
    route('GET', '/'),
    route('POST', '/a/order'),
  ]);

  it('prefers a literal segment and reads the others', () => {
    const found = (method: string, path: string) => {
      const match = table.find(method, path);
      return match.kind === 'route' ? [match.route.path, match.params] : match;
    };
    expect(found('GET', '/a/search')).toEqual(['/a/search', {}]);
    expect(found('GET', '/a/x%20y')).toEqual(['/a/{id}', { id: 'x y' }]);
    expect(found('POST', '/a/search/b')).toEqual(['/a/{id}/b', { id: 'search' }]);
    expect(found('HEAD', '/')).toEqual(['/', {}]);
    // Whatever is called like a verb beside it can be read all the same.
    expect(found('GET', '/a/order')).toEqual(['/a/{id}', { id: 'order' }]);
    const both = { kind: 'other-method', allowed: ['POST', 'GET', 'HEAD', 'OPTIONS'] };
    expect(found('DELETE', '/a/order')).toEqual(both);
    expect(found('DELETE', '/a/1')).toEqual({ kind: 'other-method', allowed: ['GET', 'HEAD', 'OPTIONS'] });
    for (const path of ['', '/a/', '/b', '/a/%', '/a/%00', '/a/1/b/c', 'a', '//'])
      expect(found('GET', path)).toEqual({ kind: 'unknown' });
  });

  it('refuses a path that is there twice', () => {
    expect(() => createRouteTable([route('GET', '/x/{a}'), route('GET', '/x/{b}')])).toThrow('twice');
  });
});

describe('dispatch', () => {
  const clock = moving();
  const gatekeeper = createGatekeeper(createAuthenticator('secret', clock), clock);
  const issue = createTokenIssuer('secret', clock);
  const arrival = (method: string, path: string, headers: Record<string, string> = {}): Arrival => {
    const [bare = '', query = ''] = path.split('?');
    return { method, path: bare, query, address: '1.2.3.4', header: (name) => headers[name] ?? '' };
  };
  const dispatcher = createDispatcher({
    clock,
    log: quiet,
    gatekeeper,
    routes: [
      route('GET', '/breaks', () => {
        throw new Error('a secret detail');
      }),
      route('GET', '/tells', () => {
        throw fault('INTERNAL', 'Script x: a secret detail');
      }),
      route('GET', '/faults', () => {
        throw fault('LINE_FULL', 'full', { retryAfterSeconds: 7, members: { sku: 'A' } });
      }),
      defineRoute({
        method: 'POST',
        path: '/echo/{id}',
        summary: 'echo',
        tag: 'T',
        access: 'user',
        params: z.object({ id: z.string() }),
        query: z.object({ n: z.coerce.number().int().default(1) }),
        body: z.object({ a: z.array(z.object({ b: z.int() })) }),
        replies: { 200: { description: 'x' } },
        handle: ({ body, params, query, caller }) => ({ status: 200, body: { body, params, query, caller } }),
      }),
    ],
  });
  const ask = async (from: Arrival, body = '') => {
    const begun = dispatcher.begin(from);
    const answer = await new Promise<Answer>((resolve) => {
      const atOnce = begun.kind === 'answered' ? begun.answer : dispatcher.finish(begun, Buffer.from(body), resolve);
      if (atOnce !== undefined) resolve(atOnce);
    });
    return {
      status: answer.status,
      headers: Object.fromEntries(answer.lines.split('\r\n').map((line) => line.split(': '))),
      body: JSON.parse(answer.body || 'null'),
    };
  };

  it('hides what broke, and tells what is a fault', async () => {
    for (const path of ['/breaks', '/tells']) {
      const broken = await ask(arrival('GET', path));
      expect([broken.status, broken.body.code]).toEqual([500, 'INTERNAL']);
      expect(JSON.stringify(broken.body)).not.toContain('secret');
    }
    const full = await ask(arrival('GET', '/faults'));
    expect(full).toMatchObject({ status: 409, headers: { 'retry-after': '7' }, body: { code: 'LINE_FULL', sku: 'A' } });
  });

  it('hands a handler what its schemas made of the request', async () => {
    const authorization = `Bearer ${await issue({ userId: 'u_1', role: 'USER' }, 60)}`;
    const headers = { authorization, 'content-length': '9' };
    const answer = await ask(arrival('POST', '/echo/7?n=3', headers), '{"a":[{"b":1,"c":2}]}');
    expect(answer.body).toEqual({
      body: { a: [{ b: 1 }] },
      params: { id: '7' },
      query: { n: 3 },
      caller: { userId: 'u_1', role: 'USER' },
    });
    const wrong = await ask(arrival('POST', '/echo/7', headers), '{"a":[{"b":"1"}]}');
    expect(wrong.body.fields.map((one: { field: string }) => one.field)).toEqual(['a[0].b']);
  });

  it('slows one buyer down and not the next', async () => {
    const tokens = await Promise.all(['u_fast', 'u_calm'].map((userId) => issue({ userId, role: 'USER' }, 60)));
    const statuses = (token: string | undefined, times: number) =>
      Promise.all(
        Array.from({ length: times }, () =>
          ask(arrival('POST', '/echo/7', { authorization: `Bearer ${token}` }), '{"a":[]}'),
        ),
      );
    const fast = await statuses(tokens[0], 101);
    expect(fast.filter(({ status }) => status === 200)).toHaveLength(100);
    expect(fast.at(-1)).toMatchObject({ status: 429, headers: { 'retry-after': '1' } });
    expect((await statuses(tokens[1], 1))[0]?.status).toBe(200);
  });

  it('sends everybody elsewhere once it stops', async () => {
    const stopping = createDispatcher({ clock, log: quiet, gatekeeper, routes: [route('GET', '/a')] });
    stopping.stop();
    const begun = stopping.begin(arrival('GET', '/a'));
    expect(begun.kind === 'answered' && begun.answer.status).toBe(503);
  });
});

describe('the OpenAPI document', () => {
  it('is made of the table', () => {
    const document: Json = createOpenApi([route('GET', '/a/{id}')], '1.2.3');
    expect(document.paths['/a/{id}'].get.parameters).toEqual([
      { name: 'id', in: 'path', required: true, schema: { type: 'string' } },
    ]);
    expect(document.info.version).toBe('1.2.3');
  });
});
