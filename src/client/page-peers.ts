/** Found by every copy of this library on a page, so that two bundles of one page know of each other, too. */
const PLACE = Symbol.for("peer-stream.page-peers");

/** One of possibly several peers on a page. They share the page's storage, and must not be paired with each other. */
export interface PagePeer {
  /** The key under which this peer keeps its token: none that another peer on this page uses. */
  storageKey(): string;
  /**
   * Says that this peer is in a room. False if another peer on this page is in it: both are told, this one by the answer
   * and the other by `met`.
   */
  enter(roomId: string, met: () => void): boolean;
  leave(roomId: string): void;
  /** Gives key and rooms back, when the peer is closed. */
  release(): void;
}

interface Page {
  keys: Set<string>;
  /** By room, how the peer that entered it first is told that it met itself. */
  rooms: Map<string, () => void>;
}

/**
 * Makes a peer that knows the others on its page. The first one gets `key` itself, and so does the first one after a
 * reload, which then finds its session again; the others get `key` with a number.
 */
export function createPagePeer(key: string): PagePeer {
  let ownKey: string | undefined;
  const ownRooms = new Set<string>();

  function take(keys: Set<string>): string {
    let free = key;
    for (let number = 2; keys.has(free); number += 1) free = `${key}.${number}`;
    keys.add(free);
    return free;
  }

  return {
    storageKey: () => (ownKey ??= take(page().keys)),
    enter(roomId, met) {
      const { rooms } = page();
      const other = rooms.get(roomId);
      if (other && !ownRooms.has(roomId)) {
        other();
        return false;
      }
      rooms.set(roomId, met);
      ownRooms.add(roomId);
      return true;
    },
    leave(roomId) {
      if (ownRooms.delete(roomId)) page().rooms.delete(roomId);
    },
    release() {
      for (const roomId of ownRooms) page().rooms.delete(roomId);
      ownRooms.clear();
      if (ownKey !== undefined) page().keys.delete(ownKey);
      ownKey = undefined;
    },
  };
}

function page(): Page {
  const known: unknown = Reflect.get(globalThis, PLACE);
  if (known !== undefined) return known as Page;
  const made: Page = { keys: new Set(), rooms: new Map() };
  Reflect.set(globalThis, PLACE, made);
  return made;
}
