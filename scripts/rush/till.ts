// Paying as a page with Stripe.js does: the intent is confirmed at the provider with a publishable key and the client
// secret, never through the shop. Works against the bundled sandbox; real cards are not for crowds.
import { Pool } from 'undici';
import type { Traffic } from './traffic.ts';

const CONNECTIONS = 32;
const ANSWER_LIMIT_MS = 15_000;
/** Any key of the public kind: with it a page may confirm the one intent whose secret it has. */
const PUBLISHABLE_KEY = 'pk_test_rush';
const TAKEN = new Set(['succeeded', 'processing']);

export type PaymentOutcome = 'paid' | 'refused' | 'undecided';

export interface Till {
  pay(clientSecret: string): Promise<PaymentOutcome>;
  close(): Promise<void>;
}

export function createTill(sandboxUrl: string, traffic: Traffic): Till {
  const pool = new Pool(sandboxUrl, {
    connections: CONNECTIONS,
    headersTimeout: ANSWER_LIMIT_MS,
    bodyTimeout: ANSWER_LIMIT_MS,
  });
  return {
    async pay(clientSecret) {
      const [intentId = ''] = clientSecret.split('_secret_');
      const form = { payment_method: 'pm_card_visa', client_secret: clientSecret, key: PUBLISHABLE_KEY };
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      const path = `/v1/payment_intents/${intentId}/confirm`;
      traffic.sent();
      try {
        const body = new URLSearchParams(form).toString();
        const answer = await pool.request({ method: 'POST', path, headers, body });
        return outcomeOf(answer.statusCode, await answer.body.text());
      } catch {
        traffic.lost();
        return 'undecided';
      }
    },
    close: () => pool.destroy(),
  };
}

/** An intent that is taken already was taken by us, in a try whose answer got lost. */
function outcomeOf(status: number, text: string): PaymentOutcome {
  if (status >= 500 || status === 429) return 'undecided';
  const answer: IntentAnswer = JSON.parse(text);
  const state = answer.status ?? answer.error?.payment_intent?.status ?? '';
  return TAKEN.has(state) ? 'paid' : 'refused';
}

interface IntentAnswer {
  status?: string;
  error?: { payment_intent?: { status?: string } };
}
