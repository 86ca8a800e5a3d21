// Access tokens, signed with jose: one at once, tens of thousands in threads of their own, since that many signatures
// would hold up everything else for seconds. For operators, demos, benches and tests; the door itself only verifies.
import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import { systemClock } from '../../core/clock.ts';
import { TOKEN_CHUNK, TOKEN_POOL_MIN } from '../constants.ts';
import { readSigningKeys } from '../../core/signing-keys.ts';
import type { Role } from '../../shop/route.ts';
import sign, { type TokenOrder } from './mint.worker.ts';

export interface MintOptions {
  readonly lifeSeconds?: number;
  /** Told how many are signed. */
  readonly onSigned?: (count: number) => void;
}

const LIFE_SECONDS = 3_600;

/** One token a user, in their order. `secrets` as in JWT_SECRET: the first of several signs. */
export async function mintTokens(
  userIds: readonly string[],
  role: Role,
  secrets: string,
  { lifeSeconds = LIFE_SECONDS, onSigned = () => undefined }: MintOptions = {},
): Promise<string[]> {
  const expiresAt = Math.floor(systemClock.now() / 1_000) + lifeSeconds;
  const [{ id: keyId, secret }] = readSigningKeys(secrets);
  if (userIds.length < TOKEN_POOL_MIN) return sign({ userIds, role, keyId, secret, expiresAt });
  const chunks = Array.from({ length: Math.ceil(userIds.length / TOKEN_CHUNK) }, (_, i) =>
    userIds.slice(i * TOKEN_CHUNK, (i + 1) * TOKEN_CHUNK),
  );
  const pool = new Piscina<TokenOrder, string[]>({
    filename: new URL('./mint.worker.ts', import.meta.url).href,
    maxThreads: Math.max(1, Math.min(availableParallelism(), chunks.length)),
  });
  let signed = 0;
  try {
    const tokens = await Promise.all(
      chunks.map(async (chunk) => {
        const some = await pool.run({ userIds: chunk, role, keyId, secret, expiresAt });
        signed += some.length;
        onSigned(signed);
        return some;
      }),
    );
    return tokens.flat();
  } finally {
    await pool.destroy();
  }
}
