/** Carries out what is due, on any node: deadlines, the sessions of nodes that are gone, tickets that may be matched. */
import { isRejection } from "../../domain/rejection.ts";
import * as transitions from "../../domain/transitions.ts";
import { modes } from "../../protocol.ts";
import type { DeadlineNotifier } from "../deadline-notifier.ts";
import type { EngineOptions } from "../engine.ts";
import { decodeDeadline, type Deadline } from "./deadlines.ts";
import { isUnavailable, type Node } from "./node.ts";
import { scripts } from "./scripts.ts";
import type { RedisStreams } from "./streams.ts";
import type { Transaction } from "./transaction.ts";
import { retryAfterMs, type Transactor } from "./transactor.ts";

/** A deadline or lock that a node has claimed is free again after this, if that node dies (milliseconds). */
const claimMs = 5000;
/** Deadlines claimed at a time. */
const claimedMax = 100;
/** Sessions of a node that is gone which are read at a time. */
const takenOverAtOnce = 32;
/** Tickets of a mode that are matched again, in case the node that was to match them died before it did. */
const rematchedMax = 1000;

export interface SweeperParts {
  node: Node;
  transactor: Transactor;
  streams: RedisStreams;
  notifier: DeadlineNotifier;
  options: Pick<EngineOptions, "graceMs">;
}

export class Sweeper {
  readonly #parts: SweeperParts;
  /** Tickets that should look for a partner at the next sweep. */
  #matchQueue: string[] = [];
  #isRematchDue = false;

  constructor(parts: SweeperParts) {
    this.#parts = parts;
  }

  matchAtNextSweep(sessionIds: readonly string[]): void {
    if (sessionIds.length === 0) return;
    this.#matchQueue.push(...sessionIds);
    this.#parts.notifier.notify(this.#parts.node.now());
  }

  /** Waiting tickets may have missed their turn: at the next sweep they look for a partner. */
  rematchAll(): void {
    this.#isRematchDue = true;
    this.#parts.notifier.notify(this.#parts.node.now());
  }

  async sweep(): Promise<{ newlyWaiting: string[]; nextAt?: number }> {
    const { node, notifier } = this.#parts;
    const newlyWaiting = this.#matchQueue;
    this.#matchQueue = [];
    notifier.reset(undefined);
    try {
      if (this.#isRematchDue) newlyWaiting.push(...(await this.#longestQueued()));
      for (;;) {
        const args = { now: node.now(), claim_ms: claimMs, max: claimedMax };
        const [due, nextAt] = await node.run(scripts.claimDue, args);
        for (const ids of await Promise.all(due.map((text) => this.#carryOut(text))))
          newlyWaiting.push(...ids);
        if (due.length > 0) continue;
        if (nextAt === undefined) return { newlyWaiting };
        notifier.reset(Math.min(notifier.earliest ?? Number.POSITIVE_INFINITY, Number(nextAt)));
        return { newlyWaiting, nextAt: notifier.earliest ?? Number(nextAt) };
      }
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      return { newlyWaiting, nextAt: node.now() + retryAfterMs };
    }
  }

  async #longestQueued(): Promise<string[]> {
    const { node } = this.#parts;
    this.#isRematchDue = false;
    const ids: string[] = [];
    for (const mode of modes) {
      const range = ["0", String(rematchedMax - 1)];
      ids.push(...((await node.command("ZRANGE", node.keys.lobby(mode), ...range)) as string[]));
    }
    return ids;
  }

  /** Returns the tickets that should look for a partner because of it. */
  async #carryOut(text: string): Promise<string[]> {
    const { transactor, node } = this.#parts;
    const deadline = decodeDeadline(text);
    const ids = !deadline
      ? []
      : deadline.kind === "cooldown"
        ? [deadline.sessionId, deadline.otherId]
        : [deadline.sessionId];
    const result = await transactor.transact({ ids, due: [text] }, (transaction) => {
      transaction.commands.push(["ZREM", node.keys.due(), text]);
      return deadline ? this.#apply(deadline, transaction) : [];
    });
    return isRejection(result) ? [] : result;
  }

  #apply(deadline: Deadline, transaction: Transaction): string[] {
    const { transactor, node } = this.#parts;
    const { sessionId } = deadline;
    const draft = transaction.get(sessionId);
    if (!draft) return [];
    const around = transactor.surroundings();
    switch (deadline.kind) {
      case "relax": {
        if (!draft.value.ticket) return [];
        return transaction.apply(transitions.relax(draft.value, around)).newlyWaiting;
      }
      case "grace": {
        const { graceUntil, present } = draft.value;
        if (graceUntil === undefined || graceUntil > around.now || present) return [];
        const partner = transaction.partnerOf(draft);
        return transaction.apply(transitions.expireGrace(draft.value, partner, around))
          .newlyWaiting;
      }
      case "cooldown": {
        const { otherId } = deadline;
        transaction.commands.push(["ZREM", node.keys.avoidances(sessionId), otherId]);
        return draft.value.ticket && transaction.get(otherId)?.value.ticket ? [sessionId] : [];
      }
    }
  }

  /**
   * Takes over the sessions of a node that is gone: their streams closed when it was last heard from.
   * @param lastHeartbeat epoch milliseconds.
   */
  async takeOver(gone: string, lastHeartbeat: number): Promise<void> {
    const { node, transactor, streams, options } = this.#parts;
    const { keys } = node;
    const lock = keys.takeOverLock(gone);
    // If Redis becomes unavailable the lock expires, and the next heartbeat finds the node still listed.
    const locked = await node.command("SET", lock, node.id, "NX", "PX", String(claimMs));
    if (locked === null) return;
    const sessions = keys.nodeSessions(gone);
    const graceUntil = Math.max(node.now(), lastHeartbeat + options.graceMs);
    for (;;) {
      const reply = await node.command("SRANDMEMBER", sessions, String(takenOverAtOnce));
      const ids = reply as string[];
      if (ids.length === 0) break;
      await Promise.all(
        ids.map((id) =>
          transactor.transact({ ids: [id] }, (transaction) => {
            const draft = transaction.get(id);
            transaction.commands.push(["SREM", sessions, id]);
            if (draft)
              streams.keepStreams(transaction, draft, (one) => one.node !== gone, graceUntil);
          }),
        ),
      );
      await node.command("PEXPIRE", lock, String(claimMs));
    }
    await node.command("ZREM", keys.nodes(), gone);
    this.rematchAll();
  }
}
