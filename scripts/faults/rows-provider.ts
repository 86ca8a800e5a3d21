// A payment provider that is away, slow, broken, or silent. Purchases must go on; who could not pay in time loses the hold
// to the next in line, who paid gets the unit or the money back, and nobody pays twice.
import type { Fault, Scene } from './fault.ts';

const LASTS_MS = 3_000;
const MANY = 1_000_000;
/** Longer than the shop's own patience with the provider, and the retry after it. */
const HOLD_BEYOND_TIMEOUT_SECONDS = 16;

async function behave({ stage }: Scene, body: Record<string, unknown>): Promise<void> {
  // Past the proxy: what is broken is what others see.
  const url = `http://127.0.0.1:${stage.target.config.sandboxPort}/sandbox/behavior`;
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`The sandbox does not take ${JSON.stringify(body)}: ${await answer.text()}`);
}

function misbehaving(name: string, title: string, body: Record<string, unknown>, more: Partial<Fault> = {}): Fault {
  return {
    name,
    title: `the provider, ${LASTS_MS / 1_000} s: ${title}`,
    stage: 'proxied',
    async play(scene) {
      await behave(scene, body);
      await scene.wait(LASTS_MS);
      await behave(scene, { reset: true });
    },
    mend: (scene) => behave(scene, { reset: true }),
    ...more,
  };
}

const down: Fault = {
  name: 'provider-down',
  title: `the provider, ${LASTS_MS / 1_000} s: cannot be reached, by the shop and by buyers`,
  stage: 'proxied',
  async play({ stage, wait }) {
    stage.line('provider').set('cut');
    await wait(LASTS_MS);
    stage.line('provider').set('pass');
  },
  mend: ({ stage }) => stage.line('provider').set('pass'),
};

export const providerFaults: readonly Fault[] = [
  down,
  misbehaving('provider-slow', 'every answer takes 2 s', { answerDelayMs: 2_000 }),
  misbehaving('provider-500', 'answers 500 before it does anything', { failNext: { status: 500, times: MANY } }),
  misbehaving('provider-500-after', 'does the work, then answers 500', {
    failNext: { status: 500, times: MANY, afterWork: true },
  }),
  misbehaving(
    'provider-cut-after',
    'does the work, then cuts the connection',
    { failNext: { status: 0, times: MANY, afterWork: true } },
    { isQuick: true },
  ),
  misbehaving(
    'provider-silent-after',
    'creates intents, then never answers',
    { failNext: { status: 0, times: MANY, afterWork: true, silent: true, path: '/v1/payment_intents' } },
    { crowd: { holdSeconds: HOLD_BEYOND_TIMEOUT_SECONDS, buyers: 400, stock: 400, pay: 1 } },
  ),
  misbehaving('webhooks-dropped', 'its events are never sent', { dropWebhooks: true }),
];
