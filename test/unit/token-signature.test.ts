import { createHmac, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createTokenSigner } from '../../api/token-signature.ts';

describe('the signature of a token', () => {
  it('is that of node:crypto, for keys and texts of every length', () => {
    for (const bytes of [1, 16, 32, 63, 64, 65, 200]) {
      const secret = randomBytes(bytes).toString('hex').slice(0, bytes);
      const sign = createTokenSigner(secret, 300);
      for (const length of [0, 1, 55, 56, 64, 65, 199, 300]) {
        const text = randomBytes(300).toString('base64url').slice(0, length);
        expect(sign(text)).toBe(createHmac('sha256', secret).update(text).digest('base64url'));
      }
    }
  });

  it('remembers nothing of the texts before', () => {
    const sign = createTokenSigner('a secret', 64);
    const first = sign('short');
    sign('a much longer text than the first one');
    expect(sign('short')).toBe(first);
  });

  it('refuses a text beyond its limit', () => {
    expect(() => createTokenSigner('a secret', 8)('123456789')).toThrow(RangeError);
  });
});
