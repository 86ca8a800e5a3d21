// The shapes the sandbox speaks: Stripe's objects as far as a shop reads them, and the body of POST /sandbox/behavior.
// Field names are Stripe's own. It holds no state and decides nothing.
import { z } from 'zod';

export type Metadata = Record<string, string>;

export type IntentStatus =
  | 'requires_payment_method'
  | 'requires_confirmation'
  | 'processing'
  | 'succeeded'
  | 'canceled';

export interface PaymentError {
  type: 'card_error';
  code: string;
  decline_code: string;
  message: string;
  charge: string;
}

export interface Intent {
  id: string;
  object: 'payment_intent';
  amount: number;
  amount_capturable: number;
  amount_received: number;
  automatic_payment_methods: { enabled: boolean; allow_redirects: string } | null;
  canceled_at: number | null;
  cancellation_reason: string | null;
  capture_method: 'automatic';
  client_secret: string;
  confirmation_method: 'automatic';
  created: number;
  currency: string;
  customer: null;
  description: string | null;
  last_payment_error: PaymentError | null;
  latest_charge: string | null;
  livemode: false;
  metadata: Metadata;
  next_action: null;
  payment_method: string | null;
  payment_method_types: string[];
  receipt_email: string | null;
  status: IntentStatus;
}

export interface Refund {
  id: string;
  object: 'refund';
  amount: number;
  charge: string;
  created: number;
  currency: string;
  metadata: Metadata;
  payment_intent: string;
  reason: string | null;
  failure_reason: string | null;
  status: 'pending' | 'succeeded' | 'failed';
}

export interface Charge {
  id: string;
  object: 'charge';
  amount: number;
  amount_captured: number;
  amount_refunded: number;
  created: number;
  currency: string;
  livemode: false;
  metadata: Metadata;
  paid: true;
  payment_intent: string;
  refunded: boolean;
  status: 'succeeded';
}

export interface SandboxEvent {
  id: string;
  object: 'event';
  api_version: string;
  created: number;
  data: { object: Intent | Refund | Charge };
  livemode: false;
  pending_webhooks: number;
  request: { id: string | null; idempotency_key: string | null };
  type: string;
}

/** What the sandbox answers: a status, a JSON body, and headers of Stripe's that the SDK reads. */
export interface Answer {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
}

const failNext = z.strictObject({
  /** An HTTP status of 400 or more, or 0: the connection is cut without an answer. */
  status: z.union([z.literal(0), z.int().min(400).max(599)]),
  times: z.int().min(0).max(1_000_000),
  /** The work is done first, and only its answer is replaced by the failure. */
  afterWork: z.boolean().optional(),
  /** With status 0: the connection stays open and no answer ever comes. */
  silent: z.boolean().optional(),
  /** Only requests to this path, e.g. "/v1/refunds", or with a star at its end to all that begin so. */
  path: z.string().startsWith('/v1').optional(),
  /** POST unless it says GET. */
  method: z.enum(['GET', 'POST']).optional(),
});

/** Body of POST /sandbox/behavior. Members left out stay as they are; `reset` puts all back first. */
export const behaviorBody = z.strictObject({
  reset: z.literal(true).optional(),
  approve: z.literal(true).optional(),
  decline: z.union([z.boolean(), z.string().regex(/^[a-z_]{1,60}$/)]).optional(),
  delayMs: z.int().min(0).max(600_000).optional(),
  answerDelayMs: z.int().min(0).max(600_000).optional(),
  processingMs: z.int().min(0).max(600_000).optional(),
  refundMs: z.int().min(0).max(600_000).optional(),
  failRefunds: z.boolean().optional(),
  forgetKeys: z.literal(true).optional(),
  repeat: z.int().min(1).max(20).optional(),
  reorder: z.boolean().optional(),
  dropWebhooks: z.boolean().optional(),
  enabledEvents: z.array(z.string().max(60)).max(40).optional(),
  failNext: failNext.optional(),
});
export type BehaviorBody = z.infer<typeof behaviorBody>;
export type FailNext = z.infer<typeof failNext>;
