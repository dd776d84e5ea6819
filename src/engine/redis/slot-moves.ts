/**
 * Whether data that is now on another master of a cluster was moved there as a whole. After a failover the last writes may be
 * lost; when a slot is moved, every key is deleted from the one master only after the other one has it.
 */
import type { System } from "../../system.ts";
import { ask, type RedisTls } from "./location.ts";

export interface SlotMovesOptions {
  tls?: RedisTls | undefined;
  timeoutMs: number;
  clock: Pick<System, "schedule" | "elapsed">;
}

/** Uptimes are told in whole seconds. */
const uptimeErrorMs = 1000;
const neverPromoted = /^master_replid2:0+\r?$/m;

export const replicationIdOf = (info: string): string =>
  /^master_replid:(\w+)/m.exec(info)?.[1] ?? "";

export class SlotMoves {
  readonly #options: SlotMovesOptions;
  #last: { url: string; replicationId: string; at: number } | undefined;

  constructor(options: SlotMovesOptions) {
    this.#options = options;
  }

  /** A script was just run by this master: it had all of the data, and none of it was being moved. */
  wasWholeAt(url: string, replicationId: string): void {
    this.#last = { url, replicationId, at: this.#options.clock.elapsed() };
  }

  /**
   * The replication id of the master that had the data before, if nothing can have been lost on the way; else empty.
   * @param info of the master that has it now: the sections `server` and `replication`.
   */
  async movedFrom(info: string): Promise<string> {
    const last = this.#last;
    if (!last || last.replicationId === replicationIdOf(info)) return "";
    // Since before the move began this one has not restarted, nor taken the place of one that had been given the keys.
    const sinceMs = this.#options.clock.elapsed() - last.at;
    const uptimeMs = 1000 * Number(/^uptime_in_seconds:(\d+)/m.exec(info)?.[1] ?? 0);
    if (!neverPromoted.test(info) || uptimeMs < sinceMs + uptimeErrorMs) return "";
    try {
      const commands = [
        ["INFO", "replication"],
        ["CLUSTER", "INFO"],
      ];
      const [there, cluster] = (await ask(this.#options, last.url, commands)).map(String);
      // And the other one is what it was: it has not restarted, and no replica has taken its place.
      const isAsBefore =
        replicationIdOf(there ?? "") === last.replicationId &&
        /^role:master/m.test(there ?? "") &&
        /^cluster_state:ok/m.test(cluster ?? "");
      return isAsBefore ? last.replicationId : "";
    } catch {
      return "";
    }
  }
}
