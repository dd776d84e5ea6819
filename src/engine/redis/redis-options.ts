/** What the engine in Redis is made with besides what every engine is. */
import type { System } from "../../system.ts";
import type { RedisMeter } from "../redis-meter.ts";
import type { RedisFault } from "./faults.ts";
import type { RedisLocation, RedisTls } from "./location.ts";

/** See `RedisOptions.leaseMs`. */
export const defaultLeaseMs = 6000;

export interface RedisOptions {
  /** Where each shard of the lobby is; shards can be added at the end. */
  locations: readonly RedisLocation[];
  tls?: RedisTls | undefined;
  /** Before each key and channel, so that several sites can share one Redis. Default: `peer-stream:`. */
  prefix?: string;
  /** What anybody with access to Redis may know of this node; `doctor` reads it. */
  about?: string;
  /** What the other nodes call it. Default: nothing. */
  name?: string;
  /** Those of session tokens; the key of address hashes is stored under each of them. Without any there is none. */
  secrets?: readonly string[];
  /** How long a node is considered alive without a heartbeat (milliseconds). Default: 6000. */
  leaseMs?: number;
  /** A command that takes longer has failed (milliseconds). */
  timeoutMs?: number;
  /** The clock of deadlines (epoch milliseconds) instead of that of Redis: for tests on virtual time. */
  deadlineClock?: () => number;
  /** Signals wait so long for others at most, so that Redis is woken less often (milliseconds). Default: 8. */
  batchMs?: number;
  /** Sessions online per open shard above which one more opens. Default: 40,000. */
  openAbove?: number;
  /** Sessions online per shard that would remain below which one closes. Default: 25,000. */
  closeBelow?: number;
  /**
   * A ticket that has waited so long in another shard than the first one is moved there (milliseconds). Default: 3 s after it accepts
   * anybody.
   */
  seekAfterMs?: number;
  /** Real time, for leases and connections. */
  clock: Pick<System, "schedule" | "defer" | "random" | "now" | "elapsed">;
  /** Is told what becomes of the commands to all shards. */
  meter?: RedisMeter | undefined;
  /** A shard is available again, or for the first time. */
  onAvailable?: (how: string, shard: number) => void;
  /** It is unavailable; called again when the reason changes. */
  onUnavailable?: (fault: RedisFault, shard: number) => void;
  /**
   * Another node has died, and this one takes over its sessions.
   * @param gone what the others called it. @param what how many sessions it had, and for how long nothing was heard from it (milliseconds).
   */
  onTakeOver?: (gone: string, what: { peers: number; silentMs: number }, shard: number) => void;
  /** An error that no caller waits for. */
  onBug?: (error: unknown, where: string) => void;
}
