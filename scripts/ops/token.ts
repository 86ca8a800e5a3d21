// `ops token`: access tokens for people and scripts, signed with the system's secret. Whoever holds the secret may be
// anybody, so there is nothing to ask the API.
import { writeFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { messageOf } from '../../core/errors.ts';
import type { Role } from '../../shop/route.ts';
import { mintTokens } from '../tokens/mint.ts';
import { startProgress } from './progress.ts';
import { findSecret } from './system-address.ts';
import { wholeNumber } from './sale-terms.ts';
import { type CommonOptions, EXIT_USAGE, OpsFailure, type Outcome, perform, verb } from './verb.ts';

interface TokenOptions extends CommonOptions {
  readonly user: string;
  readonly role: Role;
  readonly ttl: number;
  readonly count?: number;
  readonly out?: string;
}

const COUNT_MAX = 1_000_000;
const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

function seconds(text: string): number {
  const [, digits, unit = 's'] = /^(\d{1,9})([smhd])?$/.exec(text) ?? [];
  const value = Number(digits) * (UNIT_SECONDS[unit] ?? Number.NaN);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a time such as 90s, 30m, 1h or 7d.');
  return value;
}

function userId(text: string): string {
  // What the door accepts, with room for the number that --count appends.
  if (!/^u_[A-Za-z0-9_-]{1,54}$/.test(text)) throw new InvalidArgumentError('It must be a user id such as u_you.');
  return text;
}

export function registerToken(program: Command, description: string): void {
  verb(program, 'token', description)
    .requiredOption('--user <userId>', 'whose it is', userId)
    .addOption(new Option('--role <role>', 'what it may do').choices(['USER', 'ADMIN', 'INTERNAL']).default('USER'))
    .option('--ttl <time>', 'how long it is good: 90s, 30m, 1h, 7d', seconds, 3_600)
    .option('--count <n>', 'so many users: <userId>-1, <userId>-2 …', wholeNumber)
    .option('--out <file>', 'writes them into a file, a line "userId token" each')
    .action((options: TokenOptions) => perform(options, () => makeTokens(options)));
}

async function makeTokens({ user, role, ttl, count, out }: TokenOptions): Promise<Outcome> {
  if (count !== undefined && (count < 1 || count > COUNT_MAX)) {
    throw new OpsFailure(`--count must be from 1 to ${COUNT_MAX}`, {}, EXIT_USAGE);
  }
  const userIds = count === undefined ? [user] : Array.from({ length: count }, (_, i) => `${user}-${i + 1}`);
  const secret = findSecret();
  const progress = startProgress();
  const onSigned = (signed: number): void => progress.update(signed, userIds.length, 'tokens signed');
  const tokens = await mintTokens(userIds, role, secret, { lifeSeconds: ttl, onSigned }).finally(() => progress.stop());
  const pairs = userIds.map((userId, i) => ({ userId, token: tokens[i] ?? '' }));
  if (out !== undefined) {
    write(out, pairs.map(({ userId, token }) => `${userId} ${token}\n`).join(''));
    return { json: { count: pairs.length, role, file: out }, text: `${pairs.length} tokens in ${out}` };
  }
  const [only] = pairs;
  if (count === undefined && only) return { json: { ...only, role }, text: only.token };
  return { json: { role, tokens: pairs }, text: pairs.map(({ userId, token }) => `${userId} ${token}`).join('\n') };
}

function write(file: string, text: string): void {
  try {
    // Tokens are passwords for as long as they live.
    writeFileSync(file, text, { mode: 0o600 });
  } catch (error) {
    throw new OpsFailure(`${file} cannot be written: ${messageOf(error)}`, { file });
  }
}
