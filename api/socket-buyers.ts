// Which sockets are whose. Most buyers have one: their sockets are a list through the sockets themselves, so that a buyer
// costs no set of their own.
import { SOCKETS_PER_BUYER_MAX } from '../core/constants.ts';

interface Listed<S> {
  readonly userId: string | undefined;
  /** The next socket of the same buyer; this file's own. */
  sibling: S | undefined;
}

export interface SocketBuyers<S extends Listed<S>> {
  /** False, and nothing is done: this buyer has too many sockets. */
  add(socket: S, userId: string): boolean;
  remove(socket: S): void;
  /** The others are behind it, each the sibling of the one before. */
  first(userId: string): S | undefined;
  of(userId: string): S[];
  readonly size: number;
}

export function createSocketBuyers<S extends Listed<S>>(): SocketBuyers<S> {
  const heads = new Map<string, S>();

  function of(userId: string): S[] {
    const all: S[] = [];
    for (let socket = heads.get(userId); socket !== undefined; socket = socket.sibling) all.push(socket);
    return all;
  }

  return {
    of,
    first: (userId) => heads.get(userId),

    add(socket, userId) {
      if (of(userId).length >= SOCKETS_PER_BUYER_MAX) return false;
      socket.sibling = heads.get(userId);
      heads.set(userId, socket);
      return true;
    },

    remove(socket) {
      if (socket.userId === undefined) return;
      const rest = of(socket.userId).filter((other) => other !== socket);
      socket.sibling = undefined;
      rest.forEach((other, i) => {
        other.sibling = rest[i + 1];
      });
      const [head] = rest;
      if (head === undefined) heads.delete(socket.userId);
      else heads.set(socket.userId, head);
    },

    get size() {
      return heads.size;
    },
  };
}
