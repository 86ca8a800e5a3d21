// Tables and small pictures for a terminal: columns as wide as they need to be, numbers to the right.

export type Cell = string | number;

const width = (cell: Cell): number => String(cell).length;

export function drawTable(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const widths = head.map((title, i) => Math.max(width(title), ...rows.map((row) => width(row[i] ?? ''))));
  const isNumeric = head.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === 'number'));
  const draw = (cells: readonly Cell[]): string =>
    cells
      .map((cell, i) => (isNumeric[i] ? String(cell).padStart(widths[i] ?? 0) : String(cell).padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [draw(head), widths.map((w) => '─'.repeat(w)).join('  '), ...rows.map(draw)].join('\n');
}

export interface Counts {
  readonly loaded: number;
  readonly available: number;
  readonly held: number;
  readonly sold: number;
}

const BAR_CELLS = 24;

/** Sold █, held ▒, available ·: each part that is not empty gets a cell at least, so that a last unit is seen. */
export function drawBar({ loaded, available, held, sold }: Counts): string {
  if (loaded <= 0) return ' '.repeat(BAR_CELLS);
  const cellsOf = (units: number): number => (units <= 0 ? 0 : Math.max(1, Math.round((units / loaded) * BAR_CELLS)));
  const parts: [string, number][] = [
    ['█', cellsOf(sold)],
    ['▒', cellsOf(held)],
    ['·', cellsOf(available)],
  ];
  // Rounding may be off by a cell or two: the longest part gives or takes.
  const longest = parts.reduce((a, b) => (b[1] > a[1] ? b : a));
  longest[1] += BAR_CELLS - parts.reduce((sum, [, cells]) => sum + cells, 0);
  return parts.map(([sign, cells]) => sign.repeat(Math.max(0, cells))).join('');
}

export const LEGEND = '█ sold   ▒ held   · available';
