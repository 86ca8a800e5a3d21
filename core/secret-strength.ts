// What production asks of its secrets: long enough, hard to guess, none used twice, no test keys. Every problem names the
// variable and never the value. Outside production nothing is asked; a local start makes its own.
import { readSigningKeys } from './signing-keys.ts';

export interface GivenSecrets {
  jwtSecret?: string | undefined;
  stripeSecretKey?: string | undefined;
  stripeWebhookSecret?: string | undefined;
  /** Where payments go when it is not Stripe itself: keys of the sandbox are test keys. */
  stripeApiBase?: string | undefined;
  isStripeTestMode: boolean;
}

/** HS256 signs with 256 bits: a shorter secret is the weaker part. */
const JWT_SECRET_MIN_CHARACTERS = 32;
/** 32 random hexadecimal digits have 14 different ones on average, and fewer than 8 once in ten million. */
const DISTINCT_MIN = 8;
/** What Stripe's own have after their prefixes, rounded down. */
const STRIPE_MIN_CHARACTERS = 16;
const STRIPE_KEY = /^(?:sk|rk)_(?:test|live)_[A-Za-z0-9]+$/;
const STRIPE_TEST_KEY = /^(?:sk|rk)_test_/;
const WEBHOOK_SECRET = /^whsec_[A-Za-z0-9+/=_-]+$/;
/** Six letters or more: a random secret has one of them by chance about once in ten million. */
const KNOWN_WORDS = /secret|change.?me|passw(?:or)?d|example|default|doorbuster|qwerty|letmein|insecure|your.256.bit/i;

/** The reason why a guesser would find it, or undefined. */
export function weakness(secret: string): string | undefined {
  if (KNOWN_WORDS.test(secret)) return 'contains a word that guessers try first';
  if (new Set(secret).size < DISTINCT_MIN) return `has fewer than ${DISTINCT_MIN} different characters`;
  if (/^(.{1,16}?)\1+.{0,15}$/s.test(secret)) return 'repeats itself';
  const codes = Array.from({ length: secret.length }, (_, i) => secret.charCodeAt(i));
  const steps = codes.slice(1).filter((code, i) => Math.abs(code - (codes[i] ?? 0)) === 1).length;
  if (steps > secret.length / 2) return 'is a sequence of neighbours';
  return undefined;
}

/** Every problem of what is there; what is missing is told by whoever needs it. */
export function secretProblems(given: GivenSecrets): string[] {
  return [...jwtProblems(given.jwtSecret), ...stripeProblems(given), ...sharedProblems(given)];
}

function jwtProblems(text: string | undefined): string[] {
  if (text === undefined) return [];
  const keys = readSigningKeys(text);
  return keys.flatMap(({ id, secret }) => {
    const which = keys.length === 1 ? 'JWT_SECRET' : `JWT_SECRET (key ${id})`;
    const problems = [];
    if (secret.length < JWT_SECRET_MIN_CHARACTERS) {
      problems.push(`${which}: must have at least ${JWT_SECRET_MIN_CHARACTERS} characters in production`);
    }
    const reason = weakness(secret);
    if (reason !== undefined) problems.push(`${which}: ${reason}; make one with openssl rand -hex 32`);
    return problems;
  });
}

function stripeProblems(given: GivenSecrets): string[] {
  const { stripeSecretKey: key, stripeWebhookSecret: webhook, stripeApiBase, isStripeTestMode } = given;
  const problems = [];
  const judge = (name: string, value: string, pattern: RegExp, form: string): void => {
    const random = value.slice(value.lastIndexOf('_') + 1);
    const reason = random.length < STRIPE_MIN_CHARACTERS ? 'is too short' : weakness(random);
    if (!pattern.test(value)) problems.push(`${name}: must look like ${form}`);
    else if (reason !== undefined) problems.push(`${name}: ${reason}`);
  };
  if (key !== undefined) judge('STRIPE_SECRET_KEY', key, STRIPE_KEY, 'sk_live_…');
  if (webhook !== undefined) judge('STRIPE_WEBHOOK_SECRET', webhook, WEBHOOK_SECRET, 'whsec_…');
  const isTest = key !== undefined && STRIPE_TEST_KEY.test(key) && stripeApiBase === undefined;
  // With a test key the whole world pays with the card 4242 4242 4242 4242, and the goods leave the house.
  if (isTest && !isStripeTestMode) {
    problems.push('STRIPE_SECRET_KEY: is a test key; set STRIPE_TEST_MODE=true if this system sells nothing real');
  }
  return problems;
}

/** One secret in two places is known to twice as many. */
function sharedProblems({ jwtSecret, stripeSecretKey, stripeWebhookSecret }: GivenSecrets): string[] {
  const named = [
    ...(jwtSecret === undefined ? [] : readSigningKeys(jwtSecret).map(({ secret }) => ['JWT_SECRET', secret] as const)),
    ['STRIPE_SECRET_KEY', stripeSecretKey] as const,
    ['STRIPE_WEBHOOK_SECRET', stripeWebhookSecret] as const,
  ].filter(([, secret]) => secret !== undefined);
  return named.flatMap(([name, secret], i) => {
    const twin = named.slice(0, i).find(([, other]) => other === secret);
    return twin === undefined ? [] : [`${name}: is the same as ${twin[0] === name ? 'another of its keys' : twin[0]}`];
  });
}

export interface GivenAddresses {
  databaseUrl?: string | undefined;
  redisUrl?: string | undefined;
  stripeApiBase?: string | undefined;
  isStripeTestMode: boolean;
}

/**
 * What may be right and must not go unseen: told once at the start. Not refused, because a private network, a client
 * certificate or a socket may stand in a password's place, and only the operator knows.
 */
export function addressWarnings(given: GivenAddresses): string[] {
  const warnings = [];
  for (const [name, url] of [
    ['DATABASE_URL', given.databaseUrl],
    ['REDIS_URL', given.redisUrl],
  ] as const) {
    if (url === undefined || isLoopback(url)) continue;
    if (!hasPassword(url)) warnings.push(`${name} has no password: whoever reaches that server owns the stock`);
    if (url.startsWith('redis:'))
      warnings.push('REDIS_URL is not encrypted (rediss://): keep that network to yourself');
  }
  if (given.stripeApiBase !== undefined) warnings.push('STRIPE_API_BASE is set: payments do not go to Stripe');
  if (given.isStripeTestMode) warnings.push('STRIPE_TEST_MODE is set: purchases are paid with test cards');
  return warnings;
}

function firstNode(url: string): URL {
  return new URL(url.split(',')[0] ?? url);
}

function isLoopback(url: string): boolean {
  return /^(?:localhost|127(?:\.\d+){3}|\[::1\]|)$/.test(firstNode(url).hostname);
}

function hasPassword(url: string): boolean {
  const { password, searchParams } = firstNode(url);
  return password !== '' || searchParams.has('password') || searchParams.has('sslcert');
}
