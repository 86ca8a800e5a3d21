// The constants of a Lua script, put in their places before Redis gets it. Lua 5.1 looks for each local of a script that a
// function uses when it makes that function, one by one from the latest on, and all functions are made in every call: seventeen
// names that are used everywhere were a seventh of what a call of reserve costs by itself. Knows no script.

/** `local QUANTITY, TICKET = 6, 7`: capitals that stand for whole numbers. */
const DEFINITION = /^local ([A-Z][A-Z_]*(?:, [A-Z][A-Z_]*)*) = (\d+(?:, \d+)*)(?: --.*)?$/;
/** What stands in quotes or behind a dash is nobody's name; nor is what stands behind a dot. */
const WORD = /'(?:[^'\\]|\\.)*'|--.*|(?<![\w.])[A-Z][A-Z_]*(?!\w)/g;

export type Constants = ReadonlyMap<string, string>;

export function constantsOf(lines: readonly string[]): Constants {
  const pairs = lines.flatMap((line) => {
    const [, names, values] = DEFINITION.exec(line) ?? [];
    const numbers = values?.split(', ') ?? [];
    return (names?.split(', ') ?? []).map((name, i) => [name, numbers[i] ?? 'nil'] as const);
  });
  return new Map(pairs);
}

/** The text with numbers for names; a definition becomes an empty line, so that the others keep their numbers. */
export function putConstants(text: string, constants: Constants): string {
  return text
    .split('\n')
    .map((line) => (DEFINITION.test(line) ? '' : line.replace(WORD, (word) => constants.get(word) ?? word)))
    .join('\n');
}
