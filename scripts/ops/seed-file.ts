// A stock file, read and checked in worker threads, piece by piece. Answers every good row and every error with its line;
// what becomes of them is decided in seed-plan.ts.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parse } from 'csv-parse/sync';
import { Piscina } from 'piscina';
import { SEED_CHUNK_ROWS } from '../constants.ts';
import { messageOf } from '../../core/errors.ts';
import {
  type CheckedPiece,
  SEED_COLUMNS,
  type SeedColumn,
  type SeedError,
  type SeedPiece,
  type SeedRow,
} from './seed-rows.worker.ts';
import { EXIT_USAGE, OpsFailure } from './verb.ts';

export interface SeedFile {
  /** The same for the same content. */
  readonly hash: string;
  readonly rows: readonly SeedRow[];
  /** In the order of the lines. */
  readonly errors: readonly SeedError[];
}

const isColumn = (name: string): name is SeedColumn => SEED_COLUMNS.some((column) => column === name);

function* piecesOfCsv(text: string, defaultCurrency: string): Generator<SeedPiece> {
  const headEnd = text.indexOf('\n');
  const head = headEnd < 0 ? text : text.slice(0, headEnd);
  const delimiter = head.includes(';') && !head.includes(',') ? ';' : ',';
  const [names = []] = parse(head, { delimiter, trim: true });
  const columns = names.map((name) => name.toLowerCase()).map((name) => (isColumn(name) ? name : null));
  const unknown = names.filter((_, i) => columns[i] === null);
  const missing = SEED_COLUMNS.slice(0, 3).filter((column) => !columns.includes(column));
  if (missing.length > 0) {
    throw new OpsFailure(
      `line 1: the header must name sku, stock and price (and may name currency and sale); ${missing.join(', ')} not found`,
    );
  }
  if (unknown.length > 0)
    throw new OpsFailure(`line 1: the columns ${unknown.join(', ')} mean nothing here; remove or rename them`);
  const base = { columns, delimiter, defaultCurrency };
  let from = headEnd < 0 ? text.length : headEnd + 1;
  for (let firstLine = 2; from < text.length; firstLine += SEED_CHUNK_ROWS) {
    let end = from;
    for (let lines = 0; lines < SEED_CHUNK_ROWS && end < text.length; lines++) {
      const lineEnd = text.indexOf('\n', end);
      end = lineEnd < 0 ? text.length : lineEnd + 1;
    }
    yield { ...base, content: text.slice(from, end), firstLine };
    from = end;
  }
}

function* piecesOfJson(text: string, defaultCurrency: string): Generator<SeedPiece> {
  const value: unknown = JSON.parse(text);
  if (!Array.isArray(value)) throw new OpsFailure('the file must be a JSON array of objects with sku, stock and price');
  for (let from = 0; from < value.length; from += SEED_CHUNK_ROWS) {
    const content: unknown[] = value.slice(from, from + SEED_CHUNK_ROWS);
    yield { content, columns: [], delimiter: ',', firstLine: from + 1, defaultCurrency };
  }
}

/** The later of two rows of one SKU is an error: which of them was meant cannot be known. */
function splitDoubles(rows: readonly SeedRow[]): { rows: SeedRow[]; errors: SeedError[] } {
  const lines = new Map<string, number>();
  const errors: SeedError[] = [];
  const single = rows.filter(({ sku, line }) => {
    const earlier = lines.get(sku);
    if (earlier !== undefined) errors.push({ line, field: 'sku', message: `${sku} is on line ${earlier} already` });
    else lines.set(sku, line);
    return earlier === undefined;
  });
  return { rows: single, errors };
}

function readText(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new OpsFailure(`${file} cannot be read: ${messageOf(error)}`, { file }, EXIT_USAGE);
  }
}

export async function readSeedFile(
  file: string,
  options: { defaultCurrency: string; onProgress: (done: number, of: number) => void },
): Promise<SeedFile> {
  const bytes = readText(file);
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '');
  const pieces = splitText(file, text, options.defaultCurrency);
  const checked = await checkAll(pieces, options.onProgress);
  const { rows, errors: doubles } = splitDoubles(checked.flatMap((piece) => piece.rows));
  const errors = [...checked.flatMap((piece) => piece.errors), ...doubles].sort((a, b) => a.line - b.line);
  return { hash, rows, errors };
}

function splitText(file: string, text: string, defaultCurrency: string): SeedPiece[] {
  try {
    return [...(file.endsWith('.json') ? piecesOfJson(text, defaultCurrency) : piecesOfCsv(text, defaultCurrency))];
  } catch (error) {
    if (error instanceof OpsFailure) throw new OpsFailure(`${file}: ${error.message}`, { file });
    throw new OpsFailure(`${file} cannot be read: ${messageOf(error)}`, { file });
  }
}

async function checkAll(
  pieces: readonly SeedPiece[],
  onProgress: (done: number, of: number) => void,
): Promise<CheckedPiece[]> {
  if (pieces.length === 0) return [];
  const pool = new Piscina<SeedPiece, CheckedPiece>({
    filename: new URL('./seed-rows.worker.ts', import.meta.url).href,
    maxThreads: Math.max(1, Math.min(availableParallelism(), pieces.length)),
  });
  let done = 0;
  try {
    return await Promise.all(
      pieces.map(async (piece) => {
        const checked = await pool.run(piece);
        onProgress(++done, pieces.length);
        return checked;
      }),
    );
  } finally {
    await pool.destroy();
  }
}
