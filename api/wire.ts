// What the door itself reads and answers: messages of sockets, guests, readiness, errors.
// The shop's own shapes are in the slices' wire files; these are nobody else's.
import { z } from 'zod';
import { ERRORS, type ErrorCode } from '../core/errors.ts';
import { PER_BUYER_LIMIT_MAX, SOCKET_RESUME_MAX } from '../core/constants.ts';

const id = z.union([z.string().max(64), z.int()]);
const saleId = z.string().max(128);
const sku = z.string().max(64);

/** Of a buy: the schema's, and those of the check by hand in socket-message.ts. */
export const BUY_SKU = /^[A-Za-z0-9._-]{1,64}$/;
export const BUY_KEY = /^[\x21-\x7e]{1,255}$/;

/** Up, over a socket. `id` is the client's and comes back with the answer. */
export const socketMessageSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('auth'), id: id.optional(), token: z.string() }),
  z.object({ type: z.literal('subscribe'), id: id.optional(), saleId, sku }),
  z.object({ type: z.literal('unsubscribe'), id: id.optional(), saleId, sku }),
  z.object({
    type: z.literal('buy'),
    id: id.optional(),
    saleId,
    sku: z.string().regex(BUY_SKU),
    quantity: z.int().min(1).max(PER_BUYER_LIMIT_MAX).default(1),
    key: z.string().regex(BUY_KEY).optional(),
  }),
  z.object({
    type: z.literal('resume'),
    id: id.optional(),
    purchaseIds: z.array(z.string().max(128)).max(SOCKET_RESUME_MAX),
  }),
  z.object({ type: z.literal('ping'), id: id.optional() }),
]);

export type SocketMessage = z.output<typeof socketMessageSchema>;
export type MessageId = string | number | undefined;

export const guestReplySchema = z.object({ token: z.string(), userId: z.string(), expiresIn: z.int() });

export const livenessSchema = z.object({ status: z.literal('live') });

export const readinessSchema = z.object({
  status: z.enum(['ready', 'not_ready']),
  redis: z.enum(['up', 'down', 'fenced']),
  postgres: z.enum(['up', 'down']),
  /** Those whose sales are answered with 503 just now. */
  unavailablePartitions: z.array(z.int()),
});

export type Readiness = z.output<typeof readinessSchema>;

// The catalogue's keys are its codes.
const CODES = Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]];

/** RFC 9457, the seed's members, ours; members of one code (`purchaseId`, `sku`) come on top. */
export const problemSchema = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  instance: z.string(),
  timestamp: z.iso.datetime(),
  error: z.string(),
  message: z.string(),
  path: z.string(),
  code: z.enum(CODES),
  requestId: z.string(),
  fields: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
  retryAfterSeconds: z.int().optional(),
});
