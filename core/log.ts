// Logging: JSON lines by pino, one per request or batch. The hot path counts (metrics.ts), it does not log.
// Secrets are cut here, once, whatever a caller hands in: by the member's name, and by what the finished line contains, since
// an error's message may quote a URL, a key or a token.
import { type DestinationStream, pino } from 'pino';
import type { Config } from './config.ts';
import { readSigningKeys } from './signing-keys.ts';

export type Log = pino.Logger;

const SECRETS = ['authorization', 'password', 'token', 'accessToken', 'clientSecret', 'secretKey', 'webhookSecret'];
const CENSOR = '[secret]';
/** A shorter one would be found in words that are none; production has none that short. */
const SECRET_MIN_LENGTH = 8;
/** A token, a payment's secret, a password in a URL. */
const SHAPES: readonly [RegExp, string][] = [
  [/\beyJ[\w-]{8,}\.[\w-]+\.[\w-]+/g, CENSOR],
  [/\b(pi|seti)_\w+_secret_\w+/g, CENSOR],
  [/(\w:\/\/[^\s:@/"]*):[^\s@/"]+@/g, `$1:${CENSOR}@`],
];

export type LogConfig = Pick<Config, 'logLevel'> &
  Partial<Pick<Config, 'jwtSecret' | 'databaseUrl' | 'databaseReplicaUrl' | 'redisUrl' | 'stripe'>>;

/** `destination` is the standard output unless a test reads along. */
export function createLog(config: LogConfig, name: string, destination?: DestinationStream): Log {
  const secrets = secretsOf(config);
  const options = {
    name,
    level: config.logLevel,
    redact: { paths: SECRETS.flatMap((secret) => [secret, `*.${secret}`]), censor: CENSOR },
    hooks: { streamWrite: (line: string) => cut(line, secrets) },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

function cut(line: string, secrets: readonly string[]): string {
  let text = line;
  for (const secret of secrets) if (text.includes(secret)) text = text.replaceAll(secret, CENSOR);
  for (const [shape, instead] of SHAPES) text = text.replace(shape, instead);
  return text;
}

/** As they are written inside a JSON string. */
function secretsOf({ jwtSecret, stripe, databaseUrl, databaseReplicaUrl, redisUrl }: LogConfig): string[] {
  const keys = jwtSecret === undefined ? [] : readSigningKeys(jwtSecret).map(({ secret }) => secret);
  const passwords = [databaseUrl, databaseReplicaUrl, redisUrl].flatMap((url) =>
    url === undefined ? [] : passwordsOf(url),
  );
  const all = [...keys, stripe?.secretKey, stripe?.webhookSecret, ...passwords];
  return (
    [...new Set(all)]
      .filter((secret) => secret !== undefined)
      .filter((secret) => secret.length >= SECRET_MIN_LENGTH)
      .map((secret) => JSON.stringify(secret).slice(1, -1))
      // A secret may be the end of another one, which would be left with its beginning.
      .toSorted((a, b) => b.length - a.length)
  );
}

/** As it stands in the URL, and as it is sent. */
function passwordsOf(url: string): string[] {
  const first = url.split(',')[0] ?? '';
  const password = URL.canParse(first) ? new URL(first).password : '';
  try {
    return [password, decodeURIComponent(password)];
  } catch {
    return [password];
  }
}
