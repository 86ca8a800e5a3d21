// COPY … FROM STDIN (FORMAT binary): the way by which Postgres takes many new rows at the least cost. Owns the exchange with the
// server; the bytes of rows are in copy-rows.ts. It knows no table.
import type pg from 'pg';
import { giveBack } from './copy-rows.ts';

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
const END = Buffer.from([0xff, 0xff]);
const LENGTH_BYTES = 4;

/** It takes its rows as its one value. */
export const isCopy = (text: string): boolean => text.startsWith('COPY ') && text.includes(' FROM STDIN ');

/** What the driver's connection can and its types do not tell. */
type CopyConnection = pg.Connection & { endCopyFrom(): void };

/** Answers how many rows there are now that were not there before. The rows' bytes are given up with it. */
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

  /** All at once: a server that refuses the COPY passes over what comes behind it. The driver's own way would copy the rows twice. */
  submit(connection: pg.Connection): void {
    // The driver has it; its types do not.
    const wire = connection as CopyConnection;
    const rows = this.#rows;
    const head = Buffer.allocUnsafe(1 + LENGTH_BYTES + SIGNATURE.length);
    head.write('d');
    head.writeInt32BE(LENGTH_BYTES + SIGNATURE.length + rows.length + END.length, 1);
    SIGNATURE.copy(head, 1 + LENGTH_BYTES);
    wire.stream.cork();
    wire.query(this.text);
    wire.stream.write(head);
    wire.stream.write(rows, () => giveBack(rows));
    wire.stream.write(END);
    wire.endCopyFrom();
    wire.stream.uncork();
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
