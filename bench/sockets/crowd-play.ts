// The crowd itself, in a process of its own: opens its sockets, buys over them or watches over them, and reports. While the
// clock runs it cuts frames and copies bytes; what they say is read afterwards, so that the reader is not what is measured.
import { pack, unpack } from '../../core/redis/msgpack.ts';
import type { BuyOrder, BuyReport, Change, Door, ReckonReport, WatchOrder, WatchReport } from './order.ts';
import { clientFrame, openSocket, type RawSocket } from './raw-socket.ts';

/** Upgrades under way at a time: a storm of them is another question. */
const OPENING = 64;

export interface Crowd {
  /** Opens one more socket for each token. */
  join(tokens: readonly string[]): Promise<void>;
  buy(order: BuyOrder): Promise<BuyReport>;
  watch(order: WatchOrder): Promise<WatchReport>;
  reckon(changes: readonly Change[]): ReckonReport;
}

interface Member {
  socket: RawSocket;
  message(payload: Buffer): void;
}

/** What came in, in order: whose, when, and the bytes, one behind the other. */
interface Tape {
  readonly members: number[];
  readonly at: number[];
  readonly payloads: Buffer[];
}

const ignore = (): void => {};
const newTape = (): Tape => ({ members: [], at: [], payloads: [] });

function spentMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/** Epoch milliseconds, finer than Date.now. */
const now = (): number => performance.timeOrigin + performance.now();

export function createCrowd({ host, port }: Door): Crowd {
  const members: Member[] = [];
  let fail: (error: Error) => void = ignore;
  let tape = newTape();
  let watchedFromMs = spentMs();

  async function open(token: string): Promise<void> {
    const member: Member = { socket: { write: ignore, end: ignore }, message: ignore };
    members.push(member);
    member.socket = await openSocket(host, port, token, {
      message: (payload) => member.message(payload),
      closed: (reason) => fail(new Error(`a socket was closed: ${reason}`)),
    });
  }

  function record(member: number, payload: Buffer): void {
    tape.members.push(member);
    tape.at.push(now());
    tape.payloads.push(Buffer.from(payload));
  }

  return {
    async join(tokens) {
      for (let from = 0; from < tokens.length; from += OPENING) {
        await Promise.all(tokens.slice(from, from + OPENING).map(open));
      }
    },

    async buy({ saleId, sku, purchases, depth, underWay }) {
      const frames = Array.from({ length: purchases }, (_, id) =>
        clientFrame(pack({ type: 'buy', id, saleId, sku, quantity: 1 })),
      );
      const pieces = Array.from({ length: Math.ceil(purchases / depth) }, (_, i) =>
        Buffer.concat(frames.slice(i * depth, (i + 1) * depth)),
      );
      tape = newTape();
      const sentAt = members.map(() => new Float64Array(purchases));
      const done = Promise.withResolvers<void>();
      fail = (error) => done.reject(error);
      const startedMs = spentMs();
      const firstAt = now();
      let [turn, missing] = [0, members.length * purchases];
      /** Socket after socket, and round after round: the piece whose turn it is. */
      function sendNext(): void {
        const round = Math.floor(turn / members.length);
        const index = turn % members.length;
        const [piece, member] = [pieces[round], members[index]];
        if (piece === undefined || member === undefined) return;
        turn += 1;
        sentAt[index]?.fill(now(), round * depth, (round + 1) * depth);
        member.socket.write(piece);
      }
      members.forEach((member, i) => {
        let answered = 0;
        member.message = (payload) => {
          record(i, payload);
          // An answer carries the id of its message; news of a purchase has none.
          if (!hasId(payload)) return;
          answered += 1;
          missing -= 1;
          if (missing === 0) done.resolve();
          else if (answered % depth === 0 || answered === purchases) sendNext();
        };
      });
      for (let i = 0; i < underWay / depth; i += 1) sendNext();
      await done.promise;
      const lastAt = now();
      const generatorMs = spentMs() - startedMs;
      fail = ignore;
      for (const member of members) member.message = ignore;
      return { ...readAnswers(tape, sentAt), firstAt, lastAt, generatorMs };
    },

    async watch({ saleId, sku }) {
      const subscribe = clientFrame(pack({ type: 'subscribe', saleId, sku }));
      const done = Promise.withResolvers<void>();
      let missing = members.length;
      fail = (error) => done.reject(error);
      members.forEach((member, i) => {
        member.message = () => {
          missing -= 1;
          member.message = (payload) => record(i, payload);
          if (missing === 0) done.resolve();
        };
        member.socket.write(subscribe);
      });
      await done.promise;
      fail = ignore;
      tape = newTape();
      watchedFromMs = spentMs();
      return { sockets: members.length };
    },

    reckon(changes) {
      const generatorMs = spentMs() - watchedFromMs;
      return { ...readLines(tape, members.length, changes), messages: tape.at.length, generatorMs };
    },
  };
}

/** `{type, id, …}`: a map, "type", its value, then "id" (0xa2 'i' 'd'). */
function hasId(payload: Buffer): boolean {
  const at = payload.indexOf(0xa2, 6);
  return at > 0 && at < 20 && payload[at + 1] === 0x69 && payload[at + 2] === 0x64;
}

function readAnswers({ members, at, payloads }: Tape, sentAt: readonly Float64Array[]) {
  const answers: Record<string, number> = {};
  const times: number[] = [];
  let news = 0;
  payloads.forEach((payload, i) => {
    // Our server's own words.
    const { id, status, code } = unpack(payload) as { id?: number; status?: string; code?: string };
    if (id === undefined) {
      news += 1;
      return;
    }
    const kind = status ?? code ?? 'unknown';
    answers[kind] = (answers[kind] ?? 0) + 1;
    times.push((at[i] ?? 0) - (sentAt[members[i] ?? 0]?.[id] ?? 0));
  });
  return { answers, times, news };
}

/** When each socket was first told of a head that is at least the change's. */
function readLines({ members, at, payloads }: Tape, sockets: number, changes: readonly Change[]) {
  const heads = new Map<string, number>();
  const reached = Array.from({ length: sockets }, () => 0);
  const slowest: (number | null)[] = changes.map(() => 0);
  const times: number[] = [];
  payloads.forEach((payload, i) => {
    const text = payload.toString('latin1');
    const head = heads.get(text) ?? (unpack(payload) as { head: number }).head;
    heads.set(text, head);
    const member = members[i] ?? 0;
    let next = reached[member] ?? 0;
    for (let change = changes[next]; change !== undefined && change.head <= head; change = changes[next]) {
      const waited = (at[i] ?? 0) - change.at;
      times.push(waited);
      slowest[next] = Math.max(slowest[next] ?? 0, waited);
      next += 1;
    }
    reached[member] = next;
  });
  for (const next of reached) for (let i = next; i < changes.length; i += 1) slowest[i] = null;
  return { slowest, times };
}
