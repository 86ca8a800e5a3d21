// The bytes of a text on its way to Postgres: thousands a batch, nearly all of them short and ASCII.

/** Up to here a text is written letter by letter, which for an id of 34 is less than the call into the engine takes. */
const SHORT_TEXT_LETTERS = 64;
/** Of one UTF-16 unit. */
export const UTF8_BYTES_MAX = 3;

/** Writes it at `at`, where there must be room for UTF8_BYTES_MAX a letter; answers how many bytes it has. */
export function writeText(buffer: Buffer, value: string, at: number): number {
  const { length } = value;
  if (length > SHORT_TEXT_LETTERS) return buffer.write(value, at);
  for (let i = 0; i < length; i += 1) {
    const letter = value.charCodeAt(i);
    if (letter > 127) return buffer.write(value, at);
    buffer[at + i] = letter;
  }
  return length;
}
