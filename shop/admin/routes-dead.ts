// The endpoints of dead letters, for administrators. They translate; dead-letters.ts decides what may be tried again.
import { fault } from '../../core/errors.ts';
import { defineRoute, type Route } from '../route.ts';
import type { DeadLetters } from './dead-letters.ts';
import {
  deadLetterListSchema,
  deadLetterParams,
  deadLettersQuery,
  deadMoveSchema,
  toDeadLetterReply,
} from './wire-dead.ts';

const TAG = 'Dead letters';

export function deadLetterRoutes(letters: DeadLetters): Route[] {
  const list = defineRoute({
    method: 'GET',
    path: '/api/v1/admin/dead-letters',
    summary: 'What the system gave up: records, events of the provider, jobs; the oldest first',
    tag: TAG,
    access: 'admin',
    query: deadLettersQuery,
    replies: { 200: { description: 'Why, since when, and what a replay would do', schema: deadLetterListSchema } },
    errors: ['UNAVAILABLE', 'OUTCOME_UNKNOWN', 'FENCED'],
    async handle({ query }) {
      return { status: 200, body: { items: (await letters.list(query.limit)).map(toDeadLetterReply) } };
    },
  });

  const replay = defineRoute({
    method: 'POST',
    path: '/api/v1/admin/dead-letters/{id}/replay',
    summary: 'Tries a dead letter again; refused where its purchase no longer lives. Repeating it changes nothing',
    tag: TAG,
    access: 'admin',
    params: deadLetterParams,
    replies: { 200: { description: 'What came of it', schema: deadMoveSchema } },
    errors: ['NOT_FOUND', 'ILLEGAL_TRANSITION', 'UNAVAILABLE', 'OUTCOME_UNKNOWN', 'FENCED'],
    async handle({ params: { id } }) {
      const move = await letters.replay(id);
      if (move.kind === 'not_found') throw fault('NOT_FOUND', 'there is nothing dead of this id (any more)');
      if (move.kind === 'refused') throw fault('ILLEGAL_TRANSITION', move.outcome);
      return { status: 200, body: { id, outcome: move.outcome } };
    },
  });

  return [list, replay];
}
