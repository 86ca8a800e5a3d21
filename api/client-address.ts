// Whose request it is, by address. A proxy's word (X-Forwarded-For) is taken only when the proxy is one of TRUSTED_PROXIES:
// whoever else sends the header could be anybody every time. Addresses are one spelling each.
import { BlockList, isIP } from 'node:net';
import { ADDRESSES_REMEMBERED_MAX } from '../core/constants.ts';

/** `peer` as the socket has it; `forwarded` is asked only where it counts: every X-Forwarded-For line, joined by commas. */
export type AddressReader = (peer: string, forwarded: () => string) => string;

const MAPPED = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/;
/** Some proxies say from which port, too. */
const WITH_PORT = /^(?:\[([^\]]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+)$/;
/** A chain of proxies is a few long; a header may have a thousand entries. */
const HOPS_MAX = 16;

/** IPv4 in its four numbers, also where it comes as IPv6; IPv6 in eight groups. Undefined for what is no address. */
export function canonicalAddress(text: string): string | undefined {
  const family = isIP(text);
  if (family === 4) return text;
  if (family === 0 || text.includes('%')) return undefined;
  // The shortest spelling, in small letters: what URL makes of a host.
  const short = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const [, high, low] = MAPPED.exec(short) ?? [];
  if (high === undefined || low === undefined) return expand(short);
  const [first, second] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return `${first >> 8}.${first & 255}.${second >> 8}.${second & 255}`;
}

function expand(short: string): string {
  const [left = [], right = []] = short.split('::').map((part) => (part === '' ? [] : part.split(':')));
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return [...left, ...zeros, ...right].join(':');
}

function readHop(text: string): string | undefined {
  const [, bracketed, dotted] = WITH_PORT.exec(text.trim()) ?? [];
  return canonicalAddress(bracketed ?? dotted ?? text.trim());
}

/** What a limit counts by: an IPv4 address, or the /64 that an IPv6 customer has all of. */
export function networkOf(address: string): string {
  return address.includes(':') ? `${address.split(':').slice(0, 4).join(':')}::` : address;
}

export function createAddressReader(trustedProxies: readonly string[]): AddressReader {
  const trusted = new BlockList();
  for (const entry of trustedProxies) {
    const [address = '', prefix] = entry.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined) trusted.addAddress(address, family);
    else trusted.addSubnet(address, Number(prefix), family);
  }
  const isTrusted = (address: string): boolean =>
    trustedProxies.length > 0 && trusted.check(address, address.includes(':') ? 'ipv6' : 'ipv4');
  // Connections are kept alive: the same few thousand peers come again and again.
  const known = new Map<string, { address: string; isProxy: boolean }>();

  function look(peer: string): { address: string; isProxy: boolean } {
    const found = known.get(peer);
    if (found !== undefined) return found;
    const address = canonicalAddress(peer) ?? peer;
    const seen = { address, isProxy: isIP(address) !== 0 && isTrusted(address) };
    if (known.size >= ADDRESSES_REMEMBERED_MAX) known.clear();
    known.set(peer, seen);
    return seen;
  }

  return (peer, forwarded) => {
    const { address, isProxy } = look(peer);
    if (!isProxy) return address;
    // From the right, since each proxy appends whom it saw: the first that is no proxy of ours is the client.
    let client = address;
    for (const hop of forwarded().split(',').slice(-HOPS_MAX).toReversed()) {
      const next = readHop(hop);
      if (next === undefined) break;
      client = next;
      if (!isTrusted(next)) break;
    }
    return client;
  };
}
