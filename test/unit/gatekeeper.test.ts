// How often the door lets whom in: buyers by who they are, strangers by where they come from, operators and probes always.
import { describe, expect, it } from 'vitest';
import { createAuthenticator } from '../../api/auth.ts';
import { createGatekeeper } from '../../api/gatekeeper.ts';
import { createOpenApi } from '../../api/openapi.ts';
import { ANONYMOUS_BURST, ANONYMOUS_RATE_PER_SECOND, BUYER_BURST } from '../../core/constants.ts';
import { CodedError } from '../../core/errors.ts';
import { defineRoute } from '../../shop/route.ts';

const clock = { ms: 1_800_000_000_000, now: () => clock.ms };
const open = () => createGatekeeper(createAuthenticator('a secret of this test', clock), clock);
const SALES = '/api/v1/sales';

/** The code of the refusal, or 'in'. */
function outcome(ask: () => unknown): string {
  try {
    ask();
    return 'in';
  } catch (error) {
    return error instanceof CodedError ? error.code : String(error);
  }
}
const at = (address: string) => ({ address });
const times = (count: number, ask: () => unknown) => Array.from({ length: count }, () => outcome(ask));

describe('the gatekeeper', () => {
  it('lets an address without a token in so often, and says when to come back', () => {
    const gate = open();
    const ask = () => gate.admit(undefined, at('203.0.113.1'), SALES);
    expect(new Set(times(ANONYMOUS_BURST, ask))).toEqual(new Set(['in']));
    expect(ask).toThrow(expect.objectContaining({ code: 'RATE_LIMITED', retryAfterSeconds: 1 }));
    expect(outcome(() => gate.admit(undefined, at('203.0.113.2'), SALES))).toBe('in');
    clock.ms += 1_000;
    expect(times(ANONYMOUS_RATE_PER_SECOND + 1, ask).filter((one) => one === 'in')).toHaveLength(
      ANONYMOUS_RATE_PER_SECOND,
    );
  });

  it('counts a network of IPv6 as one, and never a buyer by the address', () => {
    const gate = open();
    times(ANONYMOUS_BURST, () => gate.admit(undefined, at('2001:db8:1:2:3:4:5:6'), SALES));
    expect(outcome(() => gate.admit(undefined, at('2001:db8:1:2:ff:0:0:1'), SALES))).toBe('RATE_LIMITED');
    expect(outcome(() => gate.admit(undefined, at('2001:db8:1:3:0:0:0:1'), SALES))).toBe('in');
    const buyer = { userId: 'u_1', role: 'USER' } as const;
    expect(outcome(() => gate.admit(buyer, at('2001:db8:1:2:3:4:5:6'), SALES))).toBe('in');
  });

  it('never holds up probes, the provider, operators and services', () => {
    const gate = open();
    for (const path of ['/livez', '/readyz', '/api/v1/payments/webhook']) {
      const answers = times(ANONYMOUS_BURST + 1, () => gate.admit(undefined, at('203.0.113.1'), path));
      expect(new Set(answers)).toEqual(new Set(['in']));
    }
    for (const role of ['ADMIN', 'INTERNAL'] as const) {
      const answers = times(BUYER_BURST + 1, () => gate.admit({ userId: 'u_1', role }, at('203.0.113.1'), SALES));
      expect(new Set(answers)).toEqual(new Set(['in']));
    }
    const buyer = { userId: 'u_1', role: 'USER' } as const;
    expect(times(BUYER_BURST + 1, () => gate.admit(buyer, at('203.0.113.1'), SALES)).at(-1)).toBe('RATE_LIMITED');
  });

  it('has its 429 in the document of what may be late, and in no other', () => {
    const route = (path: string) =>
      defineRoute({
        method: 'GET',
        path,
        summary: 's',
        tag: 'T',
        access: 'public',
        replies: {},
        handle: () => ({ status: 200 }),
      });
    const { paths } = createOpenApi([route('/a'), route('/livez')], '1.0.0') as {
      paths: Record<string, { get: { responses: Record<string, unknown> } }>;
    };
    expect(Object.keys(paths['/a']?.get.responses ?? {})).toContain('429');
    expect(Object.keys(paths['/livez']?.get.responses ?? {})).not.toContain('429');
  });
});
