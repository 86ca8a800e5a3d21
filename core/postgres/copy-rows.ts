// The bytes of a COPY's rows (FORMAT binary). It knows no table, and judges no value: one that does not fit its type makes the
// rows unfit, and the caller sends them by a statement, whose error says what is wrong. Owns the buffers that rows are written in.
import { COPY_BUFFER_BYTES, COPY_BUFFERS_MAX } from '../constants.ts';
import { UTF8_BYTES_MAX, writeText } from './text-bytes.ts';

const LENGTH_BYTES = 4;
const HIGH = 2 ** 32;
/** Postgres counts microseconds from the year 2000. */
const EPOCH_2000_MS = 946_684_800_000;

/** Buffers that were sent, for the next rows. Made anew for each batch, they had the collector walk the whole heap every second or so. */
const idle: Buffer[] = [];

function takeBuffer(hintBytes: number): Buffer {
  if (hintBytes < COPY_BUFFER_BYTES / 16) return Buffer.allocUnsafe(hintBytes);
  if (hintBytes > COPY_BUFFER_BYTES) return Buffer.allocUnsafeSlow(hintBytes);
  return idle.pop() ?? Buffer.allocUnsafeSlow(COPY_BUFFER_BYTES);
}

/** Rows whose buffer has not been given back: it is, once, by whoever has their bytes. */
const lent = new WeakSet<Buffer>();

/** To be called when nobody reads the rows any more. */
export function giveBack(rows: Buffer): void {
  if (!lent.delete(rows)) return;
  const whole = Buffer.from(rows.buffer);
  if (whole.length === COPY_BUFFER_BYTES && idle.length < COPY_BUFFERS_MAX) idle.push(whole);
}

/** Fields are written in the order of the COPY's columns, after `row` has said how many there are. */
export class CopyRows {
  #buffer: Buffer;
  #at = 0;
  #isFit = true;

  /** `hintBytes`: about what will be written. */
  constructor(hintBytes: number) {
    this.#buffer = takeBuffer(hintBytes);
  }

  row(fields: number): void {
    this.#need(2);
    this.#at = this.#buffer.writeInt16BE(fields, this.#at);
  }

  text(value: string | null): void {
    if (value === null) return this.#missing();
    if (typeof value !== 'string') {
      this.#isFit = false;
      return;
    }
    this.#need(LENGTH_BYTES + value.length * UTF8_BYTES_MAX);
    const length = writeText(this.#buffer, value, this.#at + LENGTH_BYTES);
    this.#word(length);
    this.#at += length;
  }

  int4(value: number): void {
    if ((value | 0) !== value) {
      this.#isFit = false;
      return;
    }
    this.#need(LENGTH_BYTES + 4);
    this.#word(4);
    this.#word(value);
  }

  int8(value: number | null): void {
    if (value === null) this.#missing();
    else this.#eight(value);
  }

  bool(value: boolean): void {
    this.#need(LENGTH_BYTES + 1);
    this.#word(1);
    this.#buffer[this.#at] = value ? 1 : 0;
    this.#at += 1;
  }

  /** Milliseconds since 1970. */
  time(value: number | null): void {
    if (value === null) this.#missing();
    else this.#eight((value - EPOCH_2000_MS) * 1_000);
  }

  /** Fields as another one wrote them. */
  fields(bytes: Buffer): void {
    this.#need(bytes.length);
    this.#at += bytes.copy(this.#buffer, this.#at);
  }

  /** What was written, without a header; undefined where a value did not fit its type. A COPY that takes them may overwrite them. */
  bytes(): Buffer | undefined {
    if (!this.#isFit) return undefined;
    const rows = this.#buffer.subarray(0, this.#at);
    lent.add(rows);
    return rows;
  }

  #need(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#at + bytes));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }

  #missing(): void {
    this.#need(LENGTH_BYTES);
    this.#word(-1);
  }

  #eight(value: number): void {
    if (!Number.isSafeInteger(value)) {
      this.#isFit = false;
      return;
    }
    this.#need(LENGTH_BYTES + 8);
    const high = Math.floor(value / HIGH);
    this.#word(8);
    this.#word(high);
    this.#word(value - high * HIGH);
  }

  /** Of 32 bits; where there is room. */
  #word(value: number): void {
    const [buffer, at] = [this.#buffer, this.#at];
    buffer[at] = value >>> 24;
    buffer[at + 1] = value >>> 16;
    buffer[at + 2] = value >>> 8;
    buffer[at + 3] = value;
    this.#at = at + LENGTH_BYTES;
  }
}
