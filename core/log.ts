// Logging: JSON lines by pino, one per request or batch. The hot path counts (metrics.ts), it does not log.
// Secrets are cut here, once, whatever a caller hands in.
import { pino } from 'pino';
import type { Config } from './config.ts';

export type Log = pino.Logger;

const SECRETS = ['authorization', 'password', 'token', 'accessToken', 'clientSecret', 'secretKey', 'webhookSecret'];

export function createLog(config: Pick<Config, 'logLevel'>, name: string): Log {
  return pino({
    name,
    level: config.logLevel,
    redact: { paths: SECRETS.flatMap((secret) => [secret, `*.${secret}`]), censor: '[secret]' },
  });
}
