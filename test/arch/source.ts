// What every check reads: files as text, and the same text with comments or strings blanked out, line for line.
// No parser: the code is formatted by Biome, so that text is regular enough, and a check stays a page long.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface SourceFile {
  /** From the repository's root, with slashes. */
  path: string;
  text: string;
}

/** A violation: where, and what to do about it. */
export type Finding = string;

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SKIPPED = new Set(['node_modules', 'dist', '.data', '.git']);

export function readSources(folders: readonly string[], extension: string): SourceFile[] {
  return folders
    .flatMap((folder) => list(folder, extension))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
}

function list(folder: string, extension: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : list(path, extension);
      return entry.name.endsWith(extension) ? [path] : [];
    })
    .toSorted();
}

export interface Layers {
  /** Code only: comments and the contents of strings are blanks. */
  code: string;
  /** Code and strings, no comments. */
  withStrings: string;
  /** The contents of strings only. */
  strings: string;
}

type Mode =
  | { kind: 'code'; braces: number }
  | { kind: 'quote'; mark: string }
  | { kind: 'line' }
  | { kind: 'block' }
  | { kind: 'pattern' };

/** Splits TypeScript into its layers. A regular expression counts as a string. */
export function split(text: string): Layers {
  const layers = { code: '', withStrings: '', strings: '' };
  const modes: Mode[] = [{ kind: 'code', braces: 0 }];
  const put = (part: string, isCode: boolean, isString: boolean) => {
    const blank = part.replace(/[^\n]/g, ' ');
    layers.code += isCode ? part : blank;
    layers.withStrings += isCode || isString ? part : blank;
    layers.strings += isString ? part : blank;
  };
  for (let i = 0; i < text.length; ) {
    const mode = modes.at(-1) ?? { kind: 'code', braces: 0 };
    const step = mode.kind === 'code' ? stepCode(text, i, mode, modes, layers.code) : stepOther(text, i, mode, modes);
    put(text.slice(i, i + step.length), step.layer === 'code', step.layer === 'string');
    i += step.length;
  }
  return layers;
}

interface Step {
  length: number;
  layer: 'code' | 'string' | 'comment';
}

function stepCode(text: string, i: number, mode: { braces: number }, modes: Mode[], before: string): Step {
  const two = text.slice(i, i + 2);
  const one = text.charAt(i);
  if (two === '//' || two === '/*') {
    modes.push({ kind: two === '//' ? 'line' : 'block' });
    return { length: 2, layer: 'comment' };
  }
  if (one === "'" || one === '"' || one === '`') modes.push({ kind: 'quote', mark: one });
  else if (one === '/' && /(?:[(,=:[!&|?{};>]|return|^)\s*$/.test(before.slice(-40))) modes.push({ kind: 'pattern' });
  else if (one === '{') mode.braces += 1;
  else if (one === '}' && mode.braces === 0 && modes.length > 1) modes.pop();
  else if (one === '}') mode.braces -= 1;
  return { length: 1, layer: 'code' };
}

function stepOther(text: string, i: number, mode: Exclude<Mode, { kind: 'code' }>, modes: Mode[]): Step {
  const one = text.charAt(i);
  if (mode.kind === 'line' || mode.kind === 'block') {
    const isEnd = mode.kind === 'line' ? one === '\n' : text.startsWith('*/', i);
    if (isEnd) modes.pop();
    return { length: isEnd && mode.kind === 'block' ? 2 : 1, layer: 'comment' };
  }
  if (one === '\\') return { length: 2, layer: 'string' };
  if (mode.kind === 'quote' && mode.mark === '`' && text.startsWith('${', i)) {
    modes.push({ kind: 'code', braces: 0 });
    return { length: 2, layer: 'code' };
  }
  if (mode.kind === 'pattern' && one === '[') {
    const end = /^\[(?:\\.|[^\]\\])*\]/.exec(text.slice(i))?.[0].length ?? 1;
    return { length: end, layer: 'string' };
  }
  const isEnd =
    mode.kind === 'quote' ? one === mode.mark || (one === '\n' && mode.mark !== '`') : one === '/' || one === '\n';
  if (isEnd) modes.pop();
  return { length: 1, layer: isEnd ? 'code' : 'string' };
}

/** `path:line` of a place in the text. */
export function at(file: SourceFile, index: number): string {
  return `${file.path}:${file.text.slice(0, index).split('\n').length}`;
}
