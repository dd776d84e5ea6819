/** The peer streams of one page: they share its storage, and must not be paired with each other. */

/** A registered symbol, so that several copies of this library on one page share the registry. */
const REGISTRY = Symbol.for("peer-stream.page-peers");

/**
 * One of possibly several peers on a page. They share the page's storage, and must not be paired with each other.
 */
export interface PagePeer {
  /** The key under which this peer stores its token. No other peer on this page uses it. */
  storageKey(): string;
  /**
   * Registers this peer in a room. Returns false if another peer on this page is in it already, whose `onSamePage` is
   * called then.
   */
  enter(roomId: string, onSamePage: () => void): boolean;
  leave(roomId: string): void;
  /** Releases the key and all rooms. */
  release(): void;
}

interface Registry {
  keys: Set<string>;
  /** By room: the `onSamePage` callback of the peer that entered it first. */
  rooms: Map<string, () => void>;
}

/**
 * Creates a page peer. The first one gets `key` itself. After a reload it is the first one again, and finds its session.
 * The others get `key` with a number.
 */
export function createPagePeer(key: string): PagePeer {
  let ownKey: string | undefined;
  const ownRooms = new Set<string>();

  function reserveKey(keys: Set<string>): string {
    let free = key;
    for (let number = 2; keys.has(free); number += 1) free = `${key}.${number}`;
    keys.add(free);
    return free;
  }

  return {
    storageKey: () => (ownKey ??= reserveKey(registry().keys)),
    enter(roomId, onSamePage) {
      const { rooms } = registry();
      const notifyFirst = rooms.get(roomId);
      if (notifyFirst && !ownRooms.has(roomId)) {
        notifyFirst();
        return false;
      }
      rooms.set(roomId, onSamePage);
      ownRooms.add(roomId);
      return true;
    },
    leave(roomId) {
      if (ownRooms.delete(roomId)) registry().rooms.delete(roomId);
    },
    release() {
      for (const roomId of ownRooms) registry().rooms.delete(roomId);
      ownRooms.clear();
      if (ownKey !== undefined) registry().keys.delete(ownKey);
      ownKey = undefined;
    },
  };
}

function registry(): Registry {
  const existing: unknown = Reflect.get(globalThis, REGISTRY);
  if (existing !== undefined) return existing as Registry;
  const created: Registry = { keys: new Set(), rooms: new Map() };
  Reflect.set(globalThis, REGISTRY, created);
  return created;
}
