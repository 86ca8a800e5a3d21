// Dead letters over the wire: what an operator is shown and may ask for. Nothing is decided here.
import { z } from 'zod';
import type { DeadLetter } from './dead-letters.ts';

export const deadLettersQuery = z.object({
  limit: z.coerce.number().int().min(1).max(1_000).default(100).describe('of each kind at most'),
});

export const deadLetterParams = z.object({
  id: z
    .string()
    .min(1)
    .max(300)
    .regex(/^[^\0]*$/, 'must not contain NUL'),
});

const deadLetterSchema = z.object({
  id: z.string(),
  kind: z.enum(['record', 'event', 'job']),
  what: z.string(),
  concerns: z.array(z.string()),
  why: z.string(),
  since: z.iso.datetime(),
  attempts: z.int(),
  replay: z.string().describe('what a replay would do, or why it would be refused'),
});

export const deadLetterListSchema = z.object({ items: z.array(deadLetterSchema) });
export const deadMoveSchema = z.object({ id: z.string(), outcome: z.string() });

export function toDeadLetterReply(letter: DeadLetter): z.output<typeof deadLetterSchema> {
  return { ...letter, concerns: [...letter.concerns], since: letter.since.toISOString() };
}
