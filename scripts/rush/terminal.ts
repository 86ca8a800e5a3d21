// Words and bars on stderr, so that stdout stays clean for `--json`. On a terminal the block of progress is drawn over
// itself; anywhere else it is a line now and then.
const ESCAPE = '\u001b[';

export interface Terminal {
  say(line: string): void;
  /** Replaces the block that was drawn last. */
  draw(lines: readonly string[]): void;
  /** The block stays as it is; what comes next is written below. */
  settle(): void;
  /** The story at the end. */
  print(lines: readonly string[]): void;
  readonly isInteractive: boolean;
  readonly columns: number;
}

/** `stream` gets what is said and drawn, `out` what is printed at the end. */
export function createTerminal(stream: NodeJS.WriteStream, out: NodeJS.WriteStream): Terminal {
  const isInteractive = stream.isTTY;
  let drawn = 0;
  const clear = (): string => (drawn === 0 ? '' : `${ESCAPE}${drawn}A${ESCAPE}0J`);
  // A reader that has gone away must not end the run.
  stream.on('error', () => undefined);
  return {
    isInteractive,
    get columns() {
      return Math.min(100, stream.columns ?? 80);
    },
    say(line) {
      const above = clear();
      drawn = 0;
      stream.write(`${above}rush: ${line}\n`);
    },
    draw(lines) {
      if (!isInteractive) return;
      // A line that wrapped would be two, and the next drawing would begin in the wrong place.
      const fitting = lines.map((line) => line.slice(0, Math.max(1, (stream.columns ?? 80) - 1)));
      const text = `${clear()}${fitting.join('\n')}\n`;
      drawn = lines.length;
      stream.write(text);
    },
    settle() {
      drawn = 0;
    },
    print(lines) {
      out.write(`${lines.join('\n')}\n`);
    },
  };
}

export const number = (value: number): string => Math.round(value).toLocaleString('en');

export function milliseconds(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

/** Parts of a whole as a bar: `[['█', 0.5], ['▒', 0.25]]` in a width, the rest dotted. */
export function bar(parts: readonly (readonly [sign: string, share: number])[], width: number): string {
  let text = '';
  let upTo = 0;
  for (const [sign, share] of parts) {
    upTo += Math.max(0, share);
    text += sign.repeat(Math.max(0, Math.min(width, Math.round(upTo * width)) - text.length));
  }
  return text.padEnd(width, '·');
}
