// Whose address a request has, behind which proxies, and what a limit counts by.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalAddress, createAddressReader, networkOf } from '../../api/client-address.ts';

describe('addresses', () => {
  it('have one spelling each', () => {
    const same = ['2001:db8::1', '2001:DB8:0:0:0:0:0:1', '2001:0db8:0000:0000:0000:0000:0000:0001'];
    expect(new Set(same.map(canonicalAddress))).toEqual(new Set(['2001:db8:0:0:0:0:0:1']));
    const mapped = ['::ffff:192.0.2.1', '0000:0000:0000:0000:0000:ffff:c000:0201', '192.0.2.1'];
    expect(new Set(mapped.map(canonicalAddress))).toEqual(new Set(['192.0.2.1']));
    expect(['::', '::1', '1::', 'a:b::c:d'].map(canonicalAddress)).toEqual([
      '0:0:0:0:0:0:0:0',
      '0:0:0:0:0:0:0:1',
      '1:0:0:0:0:0:0:0',
      'a:b:0:0:0:0:c:d',
    ]);
    for (const none of ['', 'unknown', '1.2.3', '1.2.3.4.5', 'fe80::1%eth0', '_hidden', '1.2.3.4:80', '[::1]'])
      expect(canonicalAddress(none)).toBeUndefined();
  });

  it('of any eight groups are the same again', () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        const once = canonicalAddress(address);
        expect(once).toBeDefined();
        expect(canonicalAddress(once ?? '')).toBe(once);
      }),
    );
  });

  it('of IPv6 are counted by their customer', () => {
    expect(networkOf('192.0.2.1')).toBe('192.0.2.1');
    expect(networkOf('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::');
  });
});

describe('a proxy', () => {
  const never = () => {
    throw new Error('nobody may ask');
  };
  const behind = createAddressReader(['10.0.0.0/8', '2001:db8:aa::/48', '192.0.2.9']);

  it('is believed only when it is trusted', () => {
    expect(createAddressReader([])('10.0.0.1', never)).toBe('10.0.0.1');
    expect(behind('203.0.113.5', never)).toBe('203.0.113.5');
    expect(behind('192.0.2.10', never)).toBe('192.0.2.10');
    expect(behind('10.0.0.1', () => '203.0.113.5')).toBe('203.0.113.5');
    expect(behind('0000:0000:0000:0000:0000:ffff:0a00:0001', () => '203.0.113.5')).toBe('203.0.113.5');
    expect(behind('2001:db8:aa:1::1', () => '2001:db8:bb::1')).toBe('2001:db8:bb:0:0:0:0:1');
  });

  it.each([
    ['what the client wrote itself', '1.1.1.1, 203.0.113.5', '203.0.113.5'],
    ['a chain of our own', '1.1.1.1, 203.0.113.5, 10.1.1.1, 192.0.2.9', '203.0.113.5'],
    ['a forged proxy of ours', '203.0.113.5, 10.9.9.9, 198.51.100.7', '198.51.100.7'],
    ['our own network alone', '10.1.1.1, 10.2.2.2', '10.1.1.1'],
    ['nothing', '', '10.0.0.1'],
    ['what is no address', 'for=203.0.113.5', '10.0.0.1'],
    ['what is no address before one', 'unknown, 203.0.113.5', '203.0.113.5'],
    ['what is no address behind one', '203.0.113.5, unknown', '10.0.0.1'],
    ['ports', '203.0.113.5:4711', '203.0.113.5'],
    ['brackets and ports', '[2001:db8:bb::1]:4711', '2001:db8:bb:0:0:0:0:1'],
    ['a thousand hops', `203.0.113.5, ${Array.from({ length: 1_000 }, () => '10.1.1.1').join(', ')}`, '10.1.1.1'],
  ])('hands on %s', (_, header, client) => {
    expect(behind('10.0.0.1', () => header)).toBe(client);
  });

  it('may be named by whatever bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.string({ unit: 'binary' }), (peer, header) => {
        expect(typeof behind(peer, () => header)).toBe('string');
        expect(typeof behind('10.0.0.1', () => header)).toBe('string');
      }),
    );
  });
});
