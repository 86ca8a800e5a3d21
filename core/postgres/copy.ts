// COPY … FROM STDIN (FORMAT binary): the way by which Postgres takes many new rows at the least cost. Owns the bytes of a row and
// the exchange with the server. It knows no table, and judges no value: one that does not fit its type makes the rows unfit,
// and the caller sends them by a statement, whose error says what is wrong.
import type pg from 'pg';

/** It takes its rows as its one value. */
export const isCopy = (text: string): boolean => text.startsWith('COPY ') && text.includes(' FROM STDIN ');

/** Fields are written in the order of the COPY's columns, after `row` has said how many there are. */
export interface CopyRows {
  row(fields: number): void;
  text(value: string | null): void;
  int4(value: number): void;
  int8(value: number | null): void;
  bool(value: boolean): void;
  /** Milliseconds since 1970. */
  time(value: number | null): void;
  /** Fields as another one wrote them. */
  fields(bytes: Buffer): void;
  /** What was written, without a header; undefined where a value did not fit its type. */
  bytes(): Buffer | undefined;
}

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
const END = Buffer.from([0xff, 0xff]);
const LENGTH_BYTES = 4;
const UTF8_BYTES_MAX = 3; // of one UTF-16 unit
const HIGH = 2 ** 32;
/** Postgres counts microseconds from the year 2000. */
const EPOCH_2000_MS = 946_684_800_000;

/** `hintBytes`: about what will be written. */
export function openCopyRows(hintBytes: number): CopyRows {
  let buffer = Buffer.allocUnsafe(hintBytes);
  let at = 0;
  let isFit = true;

  function need(bytes: number): void {
    if (at + bytes <= buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(buffer.length * 2, at + bytes));
    buffer.copy(larger, 0, 0, at);
    buffer = larger;
  }
  function missing(): void {
    need(LENGTH_BYTES);
    at = buffer.writeInt32BE(-1, at);
  }
  function eight(value: number): void {
    if (!Number.isSafeInteger(value)) {
      isFit = false;
      return;
    }
    need(LENGTH_BYTES + 8);
    const high = Math.floor(value / HIGH);
    at = buffer.writeInt32BE(8, at);
    at = buffer.writeInt32BE(high, at);
    at = buffer.writeUInt32BE(value - high * HIGH, at);
  }

  return {
    row(fields) {
      need(2);
      at = buffer.writeInt16BE(fields, at);
    },
    text(value) {
      if (value === null) return missing();
      if (typeof value !== 'string') {
        isFit = false;
        return;
      }
      need(LENGTH_BYTES + value.length * UTF8_BYTES_MAX);
      const length = buffer.write(value, at + LENGTH_BYTES);
      buffer.writeInt32BE(length, at);
      at += LENGTH_BYTES + length;
    },
    int4(value) {
      if ((value | 0) !== value) {
        isFit = false;
        return;
      }
      need(LENGTH_BYTES + 4);
      at = buffer.writeInt32BE(4, at);
      at = buffer.writeInt32BE(value, at);
    },
    int8(value) {
      if (value === null) missing();
      else eight(value);
    },
    bool(value) {
      need(LENGTH_BYTES + 1);
      at = buffer.writeInt32BE(1, at);
      at = buffer.writeUInt8(value ? 1 : 0, at);
    },
    time(value) {
      if (value === null) missing();
      else eight((value - EPOCH_2000_MS) * 1_000);
    },
    fields(bytes) {
      need(bytes.length);
      at += bytes.copy(buffer, at);
    },
    bytes: () => (isFit ? buffer.subarray(0, at) : undefined),
  };
}

/** What the driver's connection can and its types do not tell. */
type CopyConnection = pg.Connection & { sendCopyFromChunk(chunk: Buffer): void; endCopyFrom(): void };

/** Answers how many rows there are now that were not there before. */
export function copyIn(client: pg.ClientBase, text: string, rows: unknown): Promise<number> {
  return new Promise((resolve, reject) => {
    if (!Buffer.isBuffer(rows)) return reject(new TypeError('A COPY takes its rows as one Buffer'));
    client.query(new CopyIn(text, rows, (error, count) => (error ? reject(error) : resolve(count ?? 0))));
  });
}

/** A query as the driver's queue takes it: it calls these by their names, and may put its own time-out in front of `callback`. */
class CopyIn implements pg.Submittable {
  readonly text: string;
  readonly #rows: Buffer;
  #count = 0;
  callback: (error?: Error | null, count?: number) => void;

  constructor(text: string, rows: Buffer, callback: (error?: Error | null, count?: number) => void) {
    this.text = text;
    this.#rows = rows;
    this.callback = callback;
  }

  /** All at once: a server that refuses the COPY passes over what comes behind it. */
  submit(connection: pg.Connection): void {
    // The driver has these two; its types do not.
    const wire = connection as CopyConnection;
    wire.query(this.text);
    wire.sendCopyFromChunk(Buffer.concat([SIGNATURE, this.#rows, END]));
    wire.endCopyFrom();
  }

  handleCopyInResponse(): void {}

  handleCommandComplete({ text }: { text: string }): void {
    this.#count = Number(text.slice('COPY '.length));
  }

  handleReadyForQuery(): void {
    this.callback(null, this.#count);
  }

  handleError(error: Error): void {
    this.callback(error);
  }
}
