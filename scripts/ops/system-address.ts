// Which system the operator means: that of the environment (DATABASE_URL and REDIS_URL), else the one that runs on the
// data directory; never half of the one and half of the other. It opens nothing.
import { type Config, loadConfig } from '../../core/config.ts';
import { readSecrets } from '../../core/services/data-dir.ts';
import { type RunFile, readRunFile } from '../../core/services/run-file.ts';
import { EXIT_USAGE, OpsFailure } from './verb.ts';

export interface SystemAddress {
  readonly databaseUrl: string;
  readonly redisUrl: string;
}

/** What runs on the data directory, unless the environment names other servers. */
function localRun(config: Config): RunFile | undefined {
  const run = readRunFile(config.dataDir);
  const isOther =
    config.databaseUrl !== undefined && config.redisUrl !== undefined && config.databaseUrl !== run?.databaseUrl;
  return isOther ? undefined : run;
}

function notFound(config: Config, variables: string): OpsFailure {
  return new OpsFailure(`no running system found in ${config.dataDir}; start it with npm start, or set ${variables}`);
}

/**
 * Reading the secrets makes them where there are none, so only those of a running system are read, and none in
 * production: what lies in a file there is no secret of that system.
 */
function secretOf(config: Config, run: RunFile | undefined): string | undefined {
  if (config.jwtSecret !== undefined || run === undefined || config.environment === 'production') {
    return config.jwtSecret;
  }
  return readSecrets(config.dataDir).jwtSecret;
}

/** The servers, for verbs that look past the API. */
export function findSystem(config: Config = loadConfig()): SystemAddress {
  const { databaseUrl, redisUrl } = config;
  if (databaseUrl !== undefined && redisUrl !== undefined) return { databaseUrl, redisUrl };
  const run = localRun(config);
  if (run === undefined) throw notFound(config, 'DATABASE_URL and REDIS_URL');
  return { databaseUrl: run.databaseUrl, redisUrl: run.redisUrl };
}

/** The secret alone, for a token: no server has to run, but there must be a system that the secret is of. */
export function findSecret(config: Config = loadConfig()): string {
  const secret = secretOf(config, localRun(config));
  if (secret !== undefined) return secret;
  if (config.environment === 'production') {
    throw new OpsFailure('JWT_SECRET must be set in production: nothing is signed without it', {}, EXIT_USAGE);
  }
  throw notFound(config, 'JWT_SECRET');
}

/** Where the API is and what its tokens are signed with; `url` overrides where it is. */
export function findApi(url: string | undefined, config: Config = loadConfig()): { apiUrl: string; jwtSecret: string } {
  if (url !== undefined && !/^https?:\/\//.test(url)) {
    throw new OpsFailure(`--url: ${url} is not an address that starts with http:// or https://`, {}, EXIT_USAGE);
  }
  const run = localRun(config);
  const isNamed = url !== undefined || (config.databaseUrl !== undefined && config.redisUrl !== undefined);
  if (run === undefined && !isNamed) throw notFound(config, 'DATABASE_URL and REDIS_URL');
  const jwtSecret = secretOf(config, run);
  if (jwtSecret === undefined) {
    throw new OpsFailure('JWT_SECRET must be set to the one of the system that is meant', {}, EXIT_USAGE);
  }
  const apiUrl = (url ?? run?.url ?? `http://127.0.0.1:${config.port}`).replace(/\/+$/, '');
  return { apiUrl, jwtSecret };
}
