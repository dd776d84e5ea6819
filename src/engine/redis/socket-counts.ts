/**
 * How many sockets each address has open on all nodes. Each node stores its own counts in a hash of its own, and writes
 * them as absolute numbers: a lost write is corrected by the next one, and the counts of a dead node end with its lease.
 */
import { isRejection, type Rejection } from "../../domain/rejection.ts";

/** What became of a socket's admission. */
export type SocketAdmission =
  /** `release` is to be called when the socket has closed; idempotent. */
  | { kind: "admitted"; release: () => void }
  /** Too many sockets are open. */
  | { kind: "crowded" }
  /** Too many handshakes. */
  | { kind: "too-often"; retryAfterMs: number };

/** What an address does on all nodes together. */
export interface SharedAddresses {
  /** The key of address hashes, the same on all nodes; `undefined` until Redis was reached. */
  key(): Buffer | undefined;
  admit: SocketCounts["admit"];
}

export interface SocketCountsOptions {
  /** Runs `admit_socket.lua`. */
  admit: (args: {
    address: string;
    handshakes_per_min: number;
    sockets_max: number;
    own_sockets: number;
    life_ms: number;
  }) => Promise<"admitted" | "crowded" | number | Rejection>;
  command: (...args: string[]) => Promise<unknown>;
  /** The hash of this node; another one after it has registered anew. */
  key: () => string;
  /** How long the counts stay after the last write or heartbeat (milliseconds). */
  lifeMs: number;
}

const addressesPerWrite = 500;

export class SocketCounts {
  readonly #options: SocketCountsOptions;
  readonly #open = new Map<string, number>();

  constructor(options: SocketCountsOptions) {
    this.#options = options;
  }

  /**
   * Counts a handshake, and a socket until it is released. A limit of 0 is none. While Redis is unavailable every socket is
   * admitted.
   */
  async admit(
    address: string,
    handshakesPerMin: number,
    socketsMax: number,
  ): Promise<SocketAdmission> {
    this.#add(address, 1);
    const outcome = await this.#options.admit({
      address,
      handshakes_per_min: handshakesPerMin,
      sockets_max: socketsMax,
      own_sockets: this.#open.get(address) ?? 0,
      life_ms: this.#options.lifeMs,
    });
    if (!isRejection(outcome) && outcome !== "admitted") {
      // The script wrote nothing. If another socket of this address has closed meanwhile, that has been written.
      this.#add(address, -1);
      return outcome === "crowded"
        ? { kind: "crowded" }
        : { kind: "too-often", retryAfterMs: outcome };
    }
    let isHeld = true;
    const release = () => {
      if (!isHeld) return;
      isHeld = false;
      this.#add(address, -1);
      this.#write([address]);
    };
    return { kind: "admitted", release };
  }

  /** Writes all counts: this node has another id, or Redis is available again and may hold older ones. */
  writeAll(): void {
    const { command, key } = this.#options;
    const all = [...this.#open.keys()];
    // The old counts are deleted: those of addresses that have no socket left are not known here.
    command("DEL", key()).catch(() => {});
    for (let n = 0; n < all.length; n += addressesPerWrite)
      this.#write(all.slice(n, n + addressesPerWrite));
  }

  #add(address: string, change: 1 | -1): void {
    const count = (this.#open.get(address) ?? 0) + change;
    if (count === 0) this.#open.delete(address);
    else this.#open.set(address, count);
  }

  /** Writes the counts of these addresses. If that fails, `writeAll` is called before Redis is used again. */
  #write(addresses: Iterable<string>): void {
    const { command, key, lifeMs } = this.#options;
    const counted: string[] = [];
    const gone: string[] = [];
    for (const address of addresses) {
      const count = this.#open.get(address);
      if (count === undefined) gone.push(address);
      else counted.push(address, String(count));
    }
    if (counted.length > 0) {
      command("HSET", key(), ...counted).catch(() => {});
      // The hash may be a new one, and this node may die before its next heartbeat.
      command("PEXPIRE", key(), String(lifeMs)).catch(() => {});
    }
    if (gone.length > 0) command("HDEL", key(), ...gone).catch(() => {});
  }
}
