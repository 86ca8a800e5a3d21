// Lua scripts: loading with includes, and running with an honest account of what may have happened.
// A script's header names its keys (`-- KEYS[1] fence …`); `--- @include name` puts include/name.lua there, each once.
// What a script means is not known here.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { ERRORS, fault, messageOf } from '../errors.ts';
import type { CodedError, ErrorCode } from '../errors.ts';
import { type Constants, constantsOf, putConstants } from './lua-constants.ts';
import type { Redis } from './redis.ts';

export interface Script {
  name: string;
  source: string;
  sha: string;
  /** The names of its keys, in order, from the header. */
  keys: readonly string[];
  /** Names that the source has numbers for. */
  constants: Constants;
}

const INCLUDE = /^---\s*@include\s+([\w-]+)\s*$/;
const KEY_LINE = /^--+\s*KEYS\[(\d+)[^\]]*\]\s+([\w:-]+)/;

/** Replies of Redis that say it did not run the script, and may later. */
const REFUSALS = new Set([
  'LOADING',
  'READONLY',
  'CLUSTERDOWN',
  'MASTERDOWN',
  'TRYAGAIN',
  'BUSY',
  'MISCONF',
  'NOREPLICAS',
]);
const NOT_WRITABLE = "Stream isn't writeable"; // ioredis: refused before the write, since the offline queue is off

export function loadScript(directory: string | URL, name: string): Script {
  const folder = directory instanceof URL ? fileURLToPath(directory) : directory;
  const seen = new Set<string>();
  const expanded = expand(join(folder, `${name}.lua`), folder, seen);
  // The shebang carries the script's flags, and Redis reads it only on the very first line.
  const shebang = expanded.find((line) => line.startsWith('#!'));
  const body = expanded.filter((line) => !line.startsWith('#!'));
  const constants = constantsOf(body);
  const source = putConstants((shebang === undefined ? body : [shebang, ...body]).join('\n'), constants);
  return { name, source, sha: createHash('sha1').update(source).digest('hex'), keys: keysOf(name, body), constants };
}

/** Whether its first line promises that it writes nothing. */
export function isReadOnly(script: Script): boolean {
  return /^#!lua [^\n]*\bno-writes\b/.test(script.source);
}

/** The reply with Buffers for strings. UNAVAILABLE: nothing ran. OUTCOME_UNKNOWN: it may have run. */
export async function runScript(
  redis: Redis,
  script: Script,
  keys: readonly string[],
  args: readonly (string | Buffer)[],
  timeoutMs: number,
): Promise<unknown> {
  if (redis.status !== 'ready') throw fault('UNAVAILABLE', 'Redis cannot be reached');
  const rest = [keys.length, ...keys, ...args];
  let timer: NodeJS.Timeout | undefined;
  const expiry = new Promise<never>((_, reject) => {
    const late = () => reject(fault('OUTCOME_UNKNOWN', `Script ${script.name} did not answer within ${timeoutMs} ms`));
    timer = setTimeout(late, timeoutMs);
  });
  try {
    // The late reply, or the late error, of the loser is dropped by the race.
    return await Promise.race([send(redis, script, rest), expiry]);
  } finally {
    clearTimeout(timer);
  }
}

async function send(redis: Redis, script: Script, rest: readonly (string | number | Buffer)[]): Promise<unknown> {
  try {
    return await redis.callBuffer('EVALSHA', script.sha, ...rest);
  } catch (error) {
    if (replyCode(error) !== 'NOSCRIPT') throw translate(error, script);
  }
  try {
    return await redis.callBuffer('EVAL', script.source, ...rest);
  } catch (error) {
    throw translate(error, script);
  }
}

function translate(error: unknown, script: Script): CodedError {
  const code = replyCode(error);
  const what = `Script ${script.name}: ${messageOf(error)}`;
  if (code === undefined) {
    const isUnsent = messageOf(error).startsWith(NOT_WRITABLE);
    return fault(isUnsent ? 'UNAVAILABLE' : 'OUTCOME_UNKNOWN', what, { cause: error });
  }
  if (REFUSALS.has(code)) return fault('UNAVAILABLE', what, { cause: error });
  if (code === 'OOM') return fault('LOW_MEMORY', what, { cause: error });
  // A script may answer with a code of the catalogue itself.
  return fault(isCatalogued(code) ? code : 'INTERNAL', what, { cause: error });
}

/** The first word of an error that Redis itself answered; undefined when the connection failed instead. */
function replyCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.name !== 'ReplyError') return undefined;
  return error.message.split(' ', 1)[0] ?? '';
}

function isCatalogued(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}

function expand(path: string, folder: string, seen: Set<string>): string[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const name = INCLUDE.exec(line)?.[1];
      if (name === undefined) return [line];
      if (seen.has(name)) return [];
      seen.add(name);
      return expand(join(folder, 'include', `${name}.lua`), folder, seen);
    });
}

function keysOf(name: string, lines: readonly string[]): string[] {
  const keys: string[] = [];
  for (const line of lines) {
    const [, index, key] = KEY_LINE.exec(line) ?? [];
    if (index === undefined || key === undefined) continue;
    if (Number(index) !== keys.length + 1) throw new Error(`${name}.lua: the header's KEYS[${index}] is out of order`);
    keys.push(key);
  }
  return keys;
}
