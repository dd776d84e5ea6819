/**
 * How long peers wait, as all nodes together have measured it. Each tells the others once per heartbeat: a message for each pairing
 * would go to every node, and cost Redis more the more nodes there are.
 */
import { createWaitEstimators } from "../../domain/wait-estimate.ts";
import { modes, type Mode } from "../../protocol.ts";
import type { NodeMessage } from "./messages.ts";
import type { Node } from "./node.ts";

/** Waits of one mode that are told at a time: as many as an estimate is made of. */
const toldMax = 64;

export interface SharedWaitsParts {
  node: Pick<Node, "id" | "keys" | "publish">;
  now: () => number;
}

export class SharedWaits {
  readonly estimators = createWaitEstimators();
  readonly #parts: SharedWaitsParts;
  readonly #untold: Record<Mode, number[]> = { video: [], audio: [], text: [] };

  constructor(parts: SharedWaitsParts) {
    this.#parts = parts;
  }

  /** Two were paired here, the first of whom had waited so long (milliseconds). */
  record(mode: Mode, waitedMs: number): void {
    this.estimators[mode].record(waitedMs, this.#parts.now());
    const untold = this.#untold[mode];
    untold.push(waitedMs);
    if (untold.length > toldMax) untold.shift();
  }

  receive({ node, mode, waitsMs }: NodeMessage & { type: "waited" }): void {
    if (node === this.#parts.node.id) return;
    const now = this.#parts.now();
    for (const waitedMs of waitsMs) this.estimators[mode].record(waitedMs, now);
  }

  /** Tells the other nodes. @throws {RedisUnavailable} */
  async tell(): Promise<void> {
    const { node } = this.#parts;
    for (const mode of modes) {
      const waitsMs = this.#untold[mode].splice(0);
      if (waitsMs.length > 0)
        await node.publish(node.keys.allNodes(), { type: "waited", node: node.id, mode, waitsMs });
    }
  }
}
