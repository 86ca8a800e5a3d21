// The shape of files: sizes, headers, names, words that do not belong, titles of tests.
import { at, split } from './source.ts';
import type { Finding, SourceFile } from './source.ts';

const FILE_LINES_MAX = 250;
const TEST_LINES_MAX = 500;
// Nearly all limits are in one file by rule.
const CONSTANTS_LINES_MAX = 400;
const LUA_LINES_MAX = 120;
const FUNCTION_LINES_MAX = 70;

export function checkFileSizes(files: readonly SourceFile[]): Finding[] {
  return files.flatMap(({ path, text }) => {
    const lines = text.trimEnd().split('\n').length;
    const max = linesMax(path);
    return lines > max ? [`${path}: ${lines} lines, at most ${max}: split it by subject`] : [];
  });
}

function linesMax(path: string): number {
  if (path.endsWith('.lua')) return LUA_LINES_MAX;
  if (path === 'core/constants.ts') return CONSTANTS_LINES_MAX;
  return path.startsWith('test/') ? TEST_LINES_MAX : FILE_LINES_MAX;
}

/** A function's own lines: what is in a function nested in it counts for that one. Services are closures, so this is their size. */
export function checkFunctionSizes(files: readonly SourceFile[]): Finding[] {
  return files
    .filter((file) => !file.path.startsWith('test/'))
    .flatMap((file) => {
      const lines = split(file.text).code.split('\n');
      return functionsOf(lines)
        .filter(({ own }) => own > FUNCTION_LINES_MAX)
        .map(({ start, own }) => `${file.path}:${start + 1} a function of ${own} lines, at most ${FUNCTION_LINES_MAX}`);
    });
}

const OPENS = /(?:=>|\bfunction\b[^]*|\)(?::[^=]+)?)\s*\{$/;
const CONTROL = /^\s*(?:\}\s*)?(?:if|else|for|while|switch|catch|try|do|finally)\b/;

interface Span {
  start: number;
  end: number;
  own: number;
}

function functionsOf(lines: readonly string[]): Span[] {
  const done: Span[] = [];
  const open: { start: number; indent: number; nested: number }[] = [];
  lines.forEach((line, i) => {
    const indent = line.length - line.trimStart().length;
    const top = open.at(-1);
    // Biome closes a block at the indentation of the line that opened it.
    if (top !== undefined && indent === top.indent && line.trimStart().startsWith('}')) {
      open.pop();
      const length = i - top.start + 1;
      done.push({ start: top.start, end: i, own: length - top.nested });
      const parent = open.at(-1);
      if (parent !== undefined) parent.nested += length;
    }
    if (OPENS.test(line.trimEnd()) && !CONTROL.test(line)) open.push({ start: i, indent, nested: 0 });
  });
  return done;
}

/** A header says what a file owns; the tests' titles do that for tests. */
export function checkHeaders(files: readonly SourceFile[]): Finding[] {
  return files
    .filter((file) => !file.path.endsWith('.test.ts'))
    .filter((file) => !/^(?:#![^\n]*\n)?(?:\/\/|\/\*|--)/.test(file.text))
    .map((file) => `${file.path}: begins without a comment that says what it owns`);
}

const FILE_NAME = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.property)?(?:\.(?:test|bench|worker|config|d))?\.\w+$/;
const VAGUE = /(?:^|[-/])(?:manager|helpers?|utils?|impl|commons?|misc|index)(?:[-.]|$)/;
const VAGUE_EXPORT =
  /\bexport (?:async )?(?:function|const|class|interface|type) (\w*(?:Manager|Helper|Utils?|Impl))\b/g;

export function checkNames(files: readonly SourceFile[]): Finding[] {
  return files.flatMap((file) => {
    const name = file.path.split('/').at(-1) ?? '';
    const findings = FILE_NAME.test(name) ? [] : [`${file.path}: file names are kebab-case`];
    if (VAGUE.test(file.path)) findings.push(`${file.path}: the name does not say what is in it`);
    for (const match of file.text.matchAll(VAGUE_EXPORT))
      findings.push(`${at(file, match.index)} ${match[1]} is a vague name`);
    return findings;
  });
}

// Cut in two, so that this file does not find itself.
const UNFINISHED_WORDS = ['TO|DO', 'FIX|ME', 'HA|CK', 'XX|X', 'for| now', 'place|holder', 'not imple|mented yet'];
const UNFINISHED = new RegExp(`\\b(?:${UNFINISHED_WORDS.map((word) => word.replace('|', '')).join('|')})\\b`, 'g');

export function checkWords(files: readonly SourceFile[]): Finding[] {
  return files.flatMap((file) =>
    [...file.text.matchAll(UNFINISHED)].map(
      (match) => `${at(file, match.index)} "${match[0]}": finish it or say what is missing in an issue`,
    ),
  );
}

const TITLE = /^( *)(?:describe|it|test)(?:\.\w+)*(?:\([^'"`\n]*\))?\(\s*(['"`])(.+?)\2,/gm;

/** Two tests of one title cannot be told apart in a report. */
export function checkTitles(files: readonly SourceFile[]): Finding[] {
  const seen = new Map<string, string>();
  return files
    .filter((file) => file.path.endsWith('.test.ts'))
    .flatMap((file) => {
      const path: { indent: number; title: string }[] = [];
      return [...file.text.matchAll(TITLE)].flatMap((match) => {
        const indent = match[1]?.length ?? 0;
        while ((path.at(-1)?.indent ?? -1) >= indent) path.pop();
        path.push({ indent, title: match[3] ?? '' });
        // A group may go on in another file; only a test's full title must be its own.
        if (match[0].trimStart().startsWith('describe')) return [];
        const full = path.map(({ title }) => title).join(' › ');
        const where = at(file, match.index);
        const before = seen.get(full);
        seen.set(full, where);
        return before === undefined ? [] : [`${where} "${full}" is also the title of ${before}`];
      });
    });
}
