import { describe, expect, it } from 'vitest';
import type { Answer } from '../../api/arrival.ts';
import type { Dispatcher } from '../../api/dispatch.ts';
import { createExchanges } from '../../api/exchanges.ts';
import type { Response } from '../../api/http-bytes.ts';
import { createConcurrency, createRejectionLane, isNewcomer } from '../../api/load-shedding.ts';
import { ANSWER_TARGET_MS, REJECTION_HOLD_MS, REJECTIONS_PER_SECOND } from '../../core/constants.ts';

const BUY = ['POST', '/api/v1/sales/sale_1/purchases'] as const;
const LOOK = ['GET', '/api/v1/purchases/pur_1'] as const;

describe('concurrency', () => {
  it('has room for newcomers up to its limit, for others up to twice of it, for health and money always', () => {
    const concurrency = createConcurrency(100, 10);
    expect([99, 100].map((inFlight) => concurrency.hasRoom(...BUY, inFlight))).toEqual([true, false]);
    expect([199, 200].map((inFlight) => concurrency.hasRoom(...LOOK, inFlight))).toEqual([true, false]);
    for (const path of ['/livez', '/readyz', '/metrics', '/api/v1/payments/webhook']) {
      expect(concurrency.hasRoom('POST', path, 1_000_000)).toBe(true);
    }
  });

  it('takes a purchase for a newcomer, and nothing else', () => {
    expect(isNewcomer(...BUY)).toBe(true);
    expect(isNewcomer(...LOOK)).toBe(false);
    expect(isNewcomer('GET', '/api/v1/sales/sale_1/purchases')).toBe(false);
  });

  it('takes in less while answers are slow, down to its least, and more again when they are not, up to its most', () => {
    const concurrency = createConcurrency(100, 50);
    const limitAfter = (tookMs: number): number => {
      for (let i = 0; i < 10; i += 1) concurrency.observe(tookMs);
      concurrency.adjust();
      return concurrency.limit;
    };
    const slow = ANSWER_TARGET_MS + 1;
    expect([slow, slow, slow, slow, slow].map(limitAfter)).toEqual([80, 64, 51, 50, 50]);
    expect([1, 1, 1].map(limitAfter)).toEqual([75, 100, 100]);
  });

  it('is not moved by a few slow answers, nor by none', () => {
    const concurrency = createConcurrency(100, 50);
    for (let i = 0; i < 10; i += 1) concurrency.observe(i < 5 ? ANSWER_TARGET_MS * 4 : 1);
    concurrency.adjust();
    concurrency.adjust();
    expect(concurrency.limit).toBe(100);
  });
});

describe('rejections', () => {
  function createBench() {
    const clock = { time: 5_000, now: () => clock.time };
    const lane = createRejectionLane(clock);
    const given: number[] = [];
    const add = (count: number) =>
      Array.from({ length: count }, (_, i) => {
        const rejection = { isGone: false, write: () => void given.push(i) };
        lane.add(rejection);
        return rejection;
      });
    return { clock, lane, given, add };
  }
  const AT_ONCE = REJECTIONS_PER_SECOND / 10;

  it('are given at once while there are few', () => {
    const { lane, given, add } = createBench();
    add(AT_ONCE);
    expect([given.length, lane.size]).toEqual([AT_ONCE, 0]);
  });

  it('are held when there are many: no faster than the rate, in order, and none longer than the hold', () => {
    const { clock, lane, given, add } = createBench();
    add(AT_ONCE + 3 * REJECTIONS_PER_SECOND);
    expect([given.length, lane.size]).toEqual([AT_ONCE, 3 * REJECTIONS_PER_SECOND]);
    clock.time += 50;
    lane.advance();
    expect(given.length).toBe(AT_ONCE + REJECTIONS_PER_SECOND / 20);
    clock.time += REJECTION_HOLD_MS - 50;
    lane.advance();
    expect(lane.size).toBe(0);
    expect(given).toEqual(Array.from(given, (_, i) => i));
  });

  it('are not written to who has gone, and all are given when the process stops', () => {
    const { lane, given, add } = createBench();
    const rejections = add(AT_ONCE + 10);
    for (const rejection of rejections.slice(-5)) rejection.isGone = true;
    lane.flush();
    expect([given.length, lane.size]).toEqual([AT_ONCE + 5, 0]);
  });
});

describe('who is turned away', () => {
  it('is not written to any more once the client has gone, since a response that is gone ends the process', () => {
    const clock = { time: 5_000, now: () => clock.time };
    const shed = (): Answer => ({ status: 503, isApi: true, requestId: 'r', lines: '\r\nretry-after: 1', body: '{}' });
    const never = (): never => {
      throw new Error('a request that is turned away is not looked at');
    };
    const dispatcher: Dispatcher = { shed, begin: never, finish: never, refuse: never, stop: () => undefined };
    const exchanges = createExchanges({ dispatcher, concurrency: createConcurrency(), clock });
    let written = 0;
    const leave: (() => void)[] = [];
    const response: Response = {
      getRemoteAddressAsText: () => new ArrayBuffer(0),
      cork: (write) => write(),
      writeStatus: () => undefined,
      writeHeader: () => undefined,
      end: () => (written += 1),
      endWithoutBody: () => undefined,
      onAborted: (handler) => leave.push(handler),
    };
    const count = REJECTIONS_PER_SECOND / 10 + 10;
    for (let i = 0; i < count; i += 1) exchanges.turnAway(response, BUY[1], false, false);
    expect(written).toBe(count - 10);
    for (const go of leave.slice(-4)) go();
    clock.time += REJECTION_HOLD_MS;
    exchanges.beat();
    expect(written).toBe(count - 4);
  });
});
