// What goes out to sockets: the lines of SKUs, told to all who watch, and the frames of one socket.
import { describe, expect, it } from 'vitest';
import type { SkuCounters } from '../../actors/records.ts';
import type { StockStore } from '../../actors/stock-store.ts';
import { createLineBoard, type Publish } from '../../api/line-board.ts';
import { createLinePress } from '../../api/line-press.ts';
import { createDeparture, Outlet } from '../../api/socket-outlet.ts';
import { LINE_GROUP_SOCKETS, LINE_TOLD_WITHIN_MS } from '../../core/constants.ts';
import { createLog } from '../../core/log.ts';

const quiet = createLog({ logLevel: 'silent' }, 'test');

describe('the board above the lines', () => {
  const counters = (version: number, held = 0): SkuCounters => ({
    saleId: 's',
    sku: 'A',
    saleStatus: 'OPEN',
    version,
    loaded: 9,
    available: 9 - held,
    held,
    sold: 0,
    waiting: 0,
    head: 1,
    lastTicket: 0,
  });

  /** Time and turns as the test makes them. */
  function slowBoard(published: [string, boolean][], snapshot: StockStore['snapshot']) {
    let now = 0;
    const work: { at: number; run: () => void }[] = [];
    const later = (run: () => void, ms: number): void => void work.push({ at: now + ms, run });
    const pace = { now: () => now, spent: () => now, later };
    const publish: Publish = (topic, _, isBinary) => void published.push([topic, isBinary]);
    return {
      board: createLineBoard({ stock: { snapshot }, press: createLinePress(pace), publish }),
      /** Runs what is due, and what that asks for at once. */
      pass(ms: number) {
        now += ms;
        for (let due = work.findIndex(({ at }) => at <= now); due >= 0; due = work.findIndex(({ at }) => at <= now)) {
          work.splice(due, 1)[0]?.run();
        }
      },
    };
  }

  it('publishes a change at once and the newest an interval later, to each kind that is watched', () => {
    const published: [string, boolean][] = [];
    const { board, pass } = slowBoard(published, async () => []);
    board.update(counters(1));
    pass(1_000);
    expect(published).toEqual([]);
    const text = board.watch('s', 'A', false);
    for (const version of [5, 3, 4]) board.update(counters(version));
    expect(published).toEqual([[text, false]]);
    const binary = board.watch('s', 'A', true);
    for (const version of [6, 7]) board.update(counters(version));
    pass(1);
    expect(published).toHaveLength(1);
    pass(1_000);
    expect(published.slice(1).toSorted(([a], [b]) => a.localeCompare(b))).toEqual([
      [binary, true],
      [text, false],
    ]);
    for (const topic of [text, binary]) board.unwatch(topic);
    board.update(counters(8));
    pass(1_000);
    expect(published).toHaveLength(3);
  });

  it('tells a large audience group by group, everybody once', () => {
    const published: [string, boolean][] = [];
    const { board, pass } = slowBoard(published, async () => []);
    const topics = Array.from({ length: 2 * LINE_GROUP_SOCKETS + 1 }, () => board.watch('s', 'A', true));
    const groups = [...new Set(topics)];
    expect(groups).toHaveLength(3);
    board.update(counters(1));
    expect(published).toHaveLength(1);
    // Who is still to be told is told the newest, and not once more.
    board.update(counters(2));
    pass(0);
    expect(published.map(([topic]) => topic)).toEqual(groups);
    pass(1_000);
    expect(published.slice(3).map(([topic]) => topic)).toEqual(groups.slice(0, 1));
    // Who leaves makes room for who comes.
    board.unwatch(groups[0] ?? '');
    expect(board.watch('s', 'A', true)).toBe(groups[0]);
  });

  it('tells every part of an audience in time, and each of them no more often than it must', () => {
    const told = new Map<string, { at: number; version: number }[]>();
    const published: [string, boolean][] = [];
    const { board, pass } = slowBoard(published, async () => []);
    const groups = new Set(Array.from({ length: 9 * LINE_GROUP_SOCKETS }, () => board.watch('s', 'A', true)));
    const changes: number[] = [];
    let now = 0;
    /** A millisecond at a time, which telling a group takes, too. */
    function run(untilMs: number): void {
      for (; now < untilMs; now += 1) {
        pass(1);
        for (const [topic] of published.splice(0)) {
          told.set(topic, [...(told.get(topic) ?? []), { at: now, version: changes.length }]);
        }
      }
    }
    run(1_000);
    for (let i = 1; i <= 50; i += 1) {
      changes.push(now);
      board.update(counters(i));
      // A clock of people, not of a machine.
      run(now + (i % 2 === 0 ? 97 : 103));
    }
    run(now + 1_000);
    const late = changes.flatMap((at, i) =>
      [...groups].filter((topic) => {
        const heard = (told.get(topic) ?? []).find((one) => one.version > i);
        return heard === undefined || heard.at - at > LINE_TOLD_WITHIN_MS;
      }),
    );
    expect(groups.size).toBe(9);
    expect(late).toEqual([]);
    // Fifty changes, the first few of which went to all at once.
    for (const topic of groups) expect(told.get(topic)?.length).toBeLessThanOrEqual(22);
  });

  it('asks Redis once for many who ask at once', async () => {
    let asked = 0;
    const snapshot = async () => {
      asked += 1;
      return [{ saleId: 's', status: 'OPEN' as const, version: 1, seq: 1, items: [counters(1)] }];
    };
    const { board } = slowBoard([], snapshot);
    const found = await Promise.all(Array.from({ length: 50 }, () => board.current('s', 'A')));
    expect(found.every((one) => one?.version === 1)).toBe(true);
    expect(asked).toBe(1);
    expect(await board.current('s', 'B')).toBeUndefined();
  });
});

describe('what leaves a socket', () => {
  function record(isTaken: boolean) {
    const [sent, ends]: [string[], number[]] = [[], []];
    let corked = 0;
    const connection = {
      send: (frame: string | Uint8Array) => {
        sent.push(String(frame));
        return isTaken;
      },
      cork: (work: () => void) => {
        corked += 1;
        work();
      },
      end: (code: number) => void ends.push(code),
      subscribe: () => undefined,
      unsubscribe: () => undefined,
    };
    const outlet = new Outlet(connection, createDeparture(quiet));
    return { outlet, sent, ends, corked: () => corked };
  }

  it('ends a client that reads too slowly, once', () => {
    const { outlet, sent, ends } = record(false);
    for (const type of ['line', 'line']) outlet.send({ type }, false);
    outlet.flush();
    expect([sent.length, ends, outlet.isOpen]).toEqual([1, [1013], false]);
  });

  it('leaves together, in order, at the end of the turn', async () => {
    const { outlet, sent, corked } = record(true);
    for (const id of [1, 2, 3]) await Promise.resolve().then(() => outlet.send({ id }, false));
    expect(sent).toEqual([]);
    await new Promise((resolve) => setImmediate(resolve));
    expect([sent, corked()]).toEqual([['{"id":1}', '{"id":2}', '{"id":3}'], 1]);
    outlet.send({ id: 4 }, false);
    outlet.end(1001, 'gone');
    expect(sent).toHaveLength(4);
  });
});
