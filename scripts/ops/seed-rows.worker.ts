// A thread of `stock seed`: reads a piece of a stock file and checks each row with the very schema of the API's door.
// It decides nothing about sales; rows that are the same SKU twice are found by whoever sees the whole file.
import { parse } from 'csv-parse/sync';
import { messageOf } from '../../core/errors.ts';
import { createSaleSchema } from '../../shop/sales/wire.ts';

export const SEED_COLUMNS = ['sku', 'stock', 'price', 'currency', 'sale'] as const;
export type SeedColumn = (typeof SEED_COLUMNS)[number];

export interface SeedPiece {
  /** Lines of a CSV file, or rows of a JSON one. */
  readonly content: string | readonly unknown[];
  /** What the columns of the CSV lines are; null for a column that means nothing here. */
  readonly columns: readonly (SeedColumn | null)[];
  readonly delimiter: string;
  /** Line of the first row, counted from 1. */
  readonly firstLine: number;
  readonly defaultCurrency: string;
}

export interface SeedRow {
  readonly line: number;
  readonly sku: string;
  readonly stock: number;
  /** A decimal, as the API takes it. */
  readonly price: number;
  readonly currency: string;
  /** The name of the sale it goes into; '' for the default. */
  readonly sale: string;
}

export interface SeedError {
  readonly line: number;
  readonly field: string;
  readonly message: string;
}

export interface CheckedPiece {
  readonly rows: readonly SeedRow[];
  readonly errors: readonly SeedError[];
}

type Draft = { line: number } & { [C in SeedColumn]?: unknown };

interface ParsedLine {
  readonly record: readonly string[];
  readonly info: { readonly lines: number };
}

function parseLines(text: string, delimiter: string): ParsedLine[] {
  const options = { delimiter, info: true, relax_column_count: true, skip_empty_lines: true, trim: true };
  // With `info` csv-parse wraps each record; its types do not know that.
  return parse(text, options) as unknown as ParsedLine[];
}

/** One line that cannot be read must not take the others with it: then they are read one by one. */
function readLines(piece: SeedPiece, text: string, errors: SeedError[]): Draft[] {
  const toDraft = (record: readonly string[], line: number): Draft => {
    const draft: Draft = { line };
    piece.columns.forEach((column, i) => {
      if (column !== null) draft[column] = record[i];
    });
    if (record.length > piece.columns.length) {
      errors.push({ line, field: '', message: `has ${record.length} fields, the header has ${piece.columns.length}` });
    }
    return draft;
  };
  try {
    return parseLines(text, piece.delimiter).map(({ record, info }) =>
      toDraft(record, piece.firstLine + info.lines - 1),
    );
  } catch {
    return text.split('\n').flatMap((lineText, i) => {
      const line = piece.firstLine + i;
      try {
        return parseLines(lineText, piece.delimiter).map(({ record }) => toDraft(record, line));
      } catch (error) {
        errors.push({ line, field: '', message: `cannot be read: ${messageOf(error)}` });
        return [];
      }
    });
  }
}

function readObjects(piece: SeedPiece, objects: readonly unknown[], errors: SeedError[]): Draft[] {
  return objects.flatMap((value, i): Draft[] => {
    const line = piece.firstLine + i;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return [{ ...value, line }];
    errors.push({ line, field: '', message: 'is not an object with sku, stock and price' });
    return [];
  });
}

/** A CSV cell as the number it is written as; anything else stays what it is, for the schema to refuse. */
function toNumber(value: unknown): unknown {
  return typeof value === 'string' && /^[+-]?\d{1,15}(\.\d+)?$/.test(value) ? Number(value) : value;
}

const isAbsent = (value: unknown): boolean => value === undefined || value === null || value === '';
const NUMERIC: ReadonlySet<string> = new Set(['stock', 'price']);

function check(draft: Draft, defaultCurrency: string, errors: SeedError[]): SeedRow[] {
  const { line } = draft;
  const missing = (['sku', 'stock', 'price'] as const).filter((field) => isAbsent(draft[field]));
  for (const field of missing) errors.push({ line, field, message: 'is missing' });
  if (missing.length > 0) return [];
  const currency = isAbsent(draft.currency) ? defaultCurrency : draft.currency;
  const sale = isAbsent(draft.sale) ? '' : draft.sale;
  const item = { sku: draft.sku, stock: toNumber(draft.stock), price: toNumber(draft.price), currency };
  const parsed = createSaleSchema.safeParse({ name: sale === '' ? 'default' : sale, items: [item] });
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      const field = issue.path[0] === 'name' ? 'sale' : String(issue.path.at(-1) ?? '');
      const isText = NUMERIC.has(field) && typeof toNumber(draft[field as SeedColumn]) === 'string';
      const message = isText
        ? `"${String(draft[field as SeedColumn]).slice(0, 40)}" is not a number`
        : issue.message.charAt(0).toLowerCase() + issue.message.slice(1);
      errors.push({ line, field, message });
    }
    return [];
  }
  // The schema has just said what these are.
  const { sku, stock, price } = item as { sku: string; stock: number; price: number };
  return [{ line, sku, stock, price, currency: String(currency), sale: String(sale) }];
}

export default function checkPiece(piece: SeedPiece): CheckedPiece {
  const errors: SeedError[] = [];
  const { content } = piece;
  const drafts = typeof content === 'string' ? readLines(piece, content, errors) : readObjects(piece, content, errors);
  const bad = new Set(errors.map((error) => error.line));
  const rows = drafts
    .filter((draft) => !bad.has(draft.line))
    .flatMap((draft) => check(draft, piece.defaultCurrency, errors));
  return { rows, errors };
}
