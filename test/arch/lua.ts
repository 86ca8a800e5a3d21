// Lua: what a script may use, and that each is bound exactly once with the keys that its header names.
// Scripts are looked at as Redis gets them, includes in place.
import { Redis } from 'ioredis';
import { parse } from 'luaparse';
import type { CallExpression, Chunk, Expression, Identifier, Node } from 'luaparse';
import { at } from './source.ts';
import type { Finding, SourceFile } from './source.ts';

const GLOBALS = new Set(
  `KEYS ARGV redis cmsgpack cjson bit string table math tonumber tostring type ipairs pairs next select unpack pcall error assert`.split(
    ' ',
  ),
);
const REDIS_MEMBERS = new Set(['call', 'pcall', 'error_reply', 'status_reply', 'sha1hex', 'log', 'LOG_WARNING']);
// Seen to block, to read the whole keyspace, to mean something else in a script, or to destroy.
const FORBIDDEN = new Set([
  'keys',
  'scan',
  'flushall',
  'flushdb',
  'wait',
  'script',
  'eval',
  'evalsha',
  'select',
  'multi',
  'exec',
  'blpop',
  'brpop',
  'xtrim',
]);
const COMMANDS = new Set(new Redis({ lazyConnect: true }).getBuiltinCommands());
// Lua 5.1 fails beyond 200 locals in one function, and the top level of a script is one.
const LOCALS_MAX = 190;

/** `unpack` of a whole table fails from about 8,000 values. These tables have a bound, said here. */
const BOUNDED: Readonly<Record<string, string>> = {
  names: 'the fields of a hash, or 1,024 keys',
  SALE_NUMBERS: 'the numbers of a sale',
  STOCK_NUMBERS: 'the numbers of a SKU',
  command: 'one further command of a verb, written out where it is made',
  values: 'the fields of a hash, twice',
};

export interface ExpandedScript {
  name: string;
  source: string;
  keys: readonly string[];
}

export function checkLua(scripts: readonly ExpandedScript[]): Finding[] {
  return scripts.flatMap((script) => {
    let chunk: Chunk & { globals?: Identifier[] };
    const calls: CallExpression[] = [];
    const members: { name: string; of: string; line: number }[] = [];
    try {
      chunk = parse(script.source.replace(/^#![^\n]*/, ''), {
        luaVersion: '5.1',
        scope: true,
        locations: true,
        onCreateNode: (node: Node) => {
          if (node.type === 'CallExpression') calls.push(node);
          if (node.type === 'MemberExpression' && node.base.type === 'Identifier') {
            members.push({ name: node.identifier.name, of: node.base.name, line: node.loc?.start.line ?? 0 });
          }
        },
      });
    } catch (error) {
      return [`${script.name}.lua does not parse: ${String(error)}`];
    }
    const found = [
      ...(chunk.globals ?? []).filter(({ name }) => !GLOBALS.has(name)).map(({ name }) => `uses the global ${name}`),
      ...members
        .filter(({ name, of }) => of === 'redis' && !REDIS_MEMBERS.has(name))
        .map(({ name }) => `uses redis.${name}`),
      ...calls.flatMap(checkCall),
    ];
    const locals = chunk.body.reduce((sum, node) => sum + localsOf(node), 0);
    if (locals > LOCALS_MAX) found.push(`has ${locals} locals at its top level, at most ${LOCALS_MAX}`);
    return [...new Set(found)].map((what) => `${script.name}.lua ${what}`);
  });
}

function checkCall(call: CallExpression): Finding[] {
  const [first] = call.arguments;
  const name = nameOf(call.base);
  if (name === 'unpack' && call.arguments.length < 3) {
    const table = first === undefined ? '?' : (nameOf(first) ?? '?');
    return table in BOUNDED ? [] : [`unpacks ${table} without a range; if it is bounded, say so in test/arch/lua.ts`];
  }
  const isCommand = name === 'redis.call' || name === 'redis.pcall' || name === 'call_in_chunks';
  // What is handed on as a variable was a literal at the call that is checked.
  if (!isCommand || first?.type !== 'StringLiteral') return [];
  const command = /^'(.*)'$|^"(.*)"$/.exec(first.raw)?.slice(1).join('') ?? '';
  if (FORBIDDEN.has(command.toLowerCase())) return [`calls ${command}, which no script may`];
  return COMMANDS.has(command.toLowerCase()) ? [] : [`calls ${command}, which Redis does not know`];
}

function nameOf(node: Expression): string | undefined {
  if (node.type === 'Identifier') return node.name;
  if (node.type !== 'MemberExpression') return undefined;
  const base = nameOf(node.base);
  return base === undefined ? undefined : `${base}.${node.identifier.name}`;
}

function localsOf(node: Node): number {
  if (node.type === 'LocalStatement') return node.variables.length;
  return node.type === 'FunctionDeclaration' && node.isLocal ? 1 : 0;
}

const LOAD = /\bload(?:Script)?\(\s*(?:\w+,\s*)?'([\w-]+)'\s*\)/g;

/** Every script is loaded once; its header names keys that exist, as many as the source uses. */
export function checkBindings(
  scripts: readonly ExpandedScript[],
  bindings: readonly SourceFile[],
  keysSource: string,
): Finding[] {
  const bound = bindings.flatMap((file) =>
    [...file.text.matchAll(LOAD)].map((match) => ({ name: match[1] ?? '', where: at(file, match.index) })),
  );
  const findings = bound
    .filter(({ name }) => !scripts.some((script) => script.name === name))
    .map(({ name, where }) => `${where} binds ${name}.lua, which does not exist`);
  for (const script of scripts) {
    const times = bound.filter(({ name }) => name === script.name).length;
    if (times !== 1) findings.push(`${script.name}.lua is bound ${times} times instead of once`);
    const used = [...script.source.replace(/--[^\n]*/g, '').matchAll(/\bKEYS\[(\d+)\]/g)].map((match) =>
      Number(match[1]),
    );
    const highest = Math.max(0, ...used);
    if (highest !== script.keys.length)
      findings.push(`${script.name}.lua uses ${highest} keys and its header names ${script.keys.length}`);
    for (const key of script.keys) {
      if (!new RegExp(`\\b${key}:`).test(keysSource))
        findings.push(`${script.name}.lua names the key ${key}, which actors/keys.ts does not have`);
    }
  }
  return findings;
}
