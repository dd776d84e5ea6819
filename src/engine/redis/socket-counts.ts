/**
 * How many sockets each address has open on all nodes. Each node keeps its own counts in a hash of its own in Redis,
 * and writes them whole: a write that is lost is made up for by the next one, and what a dead node has left ends with
 * its lease. Nothing is ever counted down there.
 */
import { isRejection, type Rejection } from "../../domain/rejection.ts";

export interface SocketCounts {
  /**
   * Counts a handshake, and a socket until it is released. 'crowded': too many are open; a number: too many handshakes,
   * and so many milliseconds until the next. A limit of 0 is none. While Redis is away nobody is refused.
   */
  admit(
    address: string,
    handshakesPerMin: number,
    socketsMax: number,
  ): Promise<{ release: () => void } | "crowded" | number>;
  /** This node has another id, or Redis is back: what is there may be of before. */
  writeAll(): void;
}

export interface SocketCountsOptions {
  /** Runs `admit.lua` with these arguments. */
  admit: (...args: string[]) => Promise<unknown | Rejection>;
  command: (...args: string[]) => Promise<unknown>;
  /** The hash of this node, as it is called now. */
  key: () => string;
}

export function createSocketCounts({ admit, command, key }: SocketCountsOptions): SocketCounts {
  const open = new Map<string, number>();

  function add(address: string, count: 1 | -1) {
    const now = (open.get(address) ?? 0) + count;
    if (now === 0) open.delete(address);
    else open.set(address, now);
  }

  /** Writes what is open of these addresses now. If that fails, `writeAll` is called before Redis is used again. */
  function write(addresses: Iterable<string>) {
    const counted: string[] = [];
    const gone: string[] = [];
    for (const address of addresses) {
      const count = open.get(address);
      if (count === undefined) gone.push(address);
      else counted.push(address, String(count));
    }
    if (counted.length > 0) command("HSET", key(), ...counted).catch(() => {});
    if (gone.length > 0) command("HDEL", key(), ...gone).catch(() => {});
  }

  return {
    async admit(address, handshakesPerMin, socketsMax) {
      add(address, 1);
      const limits = [String(handshakesPerMin), String(socketsMax)];
      const answer = await admit(address, ...limits, String(open.get(address)));
      if (!isRejection(answer) && answer !== "in") {
        add(address, -1);
        // The script wrote nothing; another socket of this address may have closed meanwhile, and has written that.
        return answer as "crowded" | number;
      }
      let held = true;
      const release = () => {
        if (!held) return;
        held = false;
        add(address, -1);
        write([address]);
      };
      return { release };
    },
    writeAll() {
      const all = [...open.keys()];
      // The old counts go: of what has closed meanwhile nothing is known here.
      command("DEL", key()).catch(() => {});
      for (let n = 0; n < all.length; n += addressesAtOnce)
        write(all.slice(n, n + addressesAtOnce));
    },
  };
}

const addressesAtOnce = 500;
