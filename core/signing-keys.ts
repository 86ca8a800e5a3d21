// The keys that access tokens are signed with: one secret, or several with names, so that a key can be changed while tokens
// of the old one live. Reads the text of JWT_SECRET, `secret` or `kid:secret,kid2:secret2`; knows nothing of claims.
import { fingerprint } from './ids.ts';

export interface SigningKey {
  /** What a token's header calls it. A key without a name gets one from its secret. */
  id: string;
  /** The name it would have without its own: tokens from before it was named carry it. */
  derivedId: string;
  secret: string;
}

const NAMED = /^([A-Za-z0-9_-]{1,16}):(\S+)$/;
const DERIVED_ID_LENGTH = 8;

/** The first key signs; all of them verify. A text that is no list of names and secrets is one secret as it stands. */
export function readSigningKeys(text: string): [SigningKey, ...SigningKey[]] {
  const named = text.split(',').map((part) => NAMED.exec(part.trim()));
  const keys = named.flatMap((match) => (match === null ? [] : [toKey(match[2] ?? '', match[1])]));
  const [first, ...others] = keys;
  return first === undefined || keys.length < named.length ? [toKey(text, undefined)] : [first, ...others];
}

function toKey(secret: string, name: string | undefined): SigningKey {
  // 40 bits of a hash: it tells keys apart and gives a long secret away no more than any token does.
  const derivedId = fingerprint(['signing key', secret]).slice(0, DERIVED_ID_LENGTH);
  return { id: name ?? derivedId, derivedId, secret };
}
