/**
 * How long peers wait, as all nodes together have measured it. Each tells the others once per heartbeat: a message for each pairing
 * would go to every node, and cost Redis more the more nodes there are.
 */
import { LobbyWaits } from "../../domain/lobby.ts";
import type { Mode } from "../../protocol.ts";
import type { Room } from "../../domain/session.ts";
import type { NodeMessage, Waited } from "./messages.ts";
import type { Node } from "./node.ts";

/** Lobbies of which a node keeps waits, besides the one that is always there. */
const lobbiesMax = 1000;
/** Waits of one lobby and mode that are told at a time: as many as an estimate is made of. */
const toldMax = 64;

export interface SharedWaitsParts {
  node: Pick<Node, "id" | "keys" | "publish">;
  now: () => number;
}

export class SharedWaits {
  readonly waits = new LobbyWaits(lobbiesMax);
  readonly #parts: SharedWaitsParts;
  /** By lobby and mode: see `keyOf`. */
  #untold = new Map<string, Waited>();

  constructor(parts: SharedWaitsParts) {
    this.#parts = parts;
  }

  /** Two were paired here, the first of whom had waited so long (milliseconds). */
  record({ lobby, mode }: Pick<Room, "lobby" | "mode">, waitedMs: number): void {
    this.waits.record(lobby, mode, waitedMs, this.#parts.now());
    const key = keyOf(lobby, mode);
    const untold = this.#untold.get(key) ?? { lobby, mode, waitsMs: [] };
    untold.waitsMs.push(waitedMs);
    if (untold.waitsMs.length > toldMax) untold.waitsMs.shift();
    this.#untold.set(key, untold);
  }

  receive({ node, waited }: NodeMessage & { type: "waited" }): void {
    if (node === this.#parts.node.id) return;
    const now = this.#parts.now();
    for (const { lobby, mode, waitsMs } of waited)
      for (const waitedMs of waitsMs) this.waits.record(lobby, mode, waitedMs, now);
  }

  /** Tells the other nodes, and forgets what is too old. @throws {RedisUnavailable} */
  async tell(): Promise<void> {
    const { node, now } = this.#parts;
    this.waits.forgetStale(now());
    const waited = [...this.#untold.values()];
    this.#untold = new Map();
    if (waited.length > 0)
      await node.publish(node.keys.allNodes(), { type: "waited", node: node.id, waited });
  }
}

const keyOf = (lobby: string | undefined, mode: Mode) => `${mode}\n${lobby ?? ""}`;
