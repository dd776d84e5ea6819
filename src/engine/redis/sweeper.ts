/** Carries out what is due, on any node: deadlines, the sessions of nodes that are gone, tickets that may be matched. */
import { isRejection } from "../../domain/rejection.ts";
import * as presence from "../../domain/presence.ts";
import * as transitions from "../../domain/transitions.ts";
import { modes } from "../../protocol.ts";
import type { DeadlineNotifier } from "../deadline-notifier.ts";
import type { EngineOptions } from "../engine.ts";
import { TimeBuckets } from "../time-buckets.ts";
import { decodeDeadline, type Deadline } from "./deadlines.ts";
import type { Inboxes } from "./inbox.ts";
import { isUnavailable, type Node } from "./node.ts";
import { scripts } from "./scripts.ts";
import type { RedisStreams } from "./streams.ts";
import type { Cooldown, Transaction } from "./transaction.ts";
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
  inboxes: Inboxes;
  streams: RedisStreams;
  notifier: DeadlineNotifier;
  options: Pick<EngineOptions, "graceMs" | "skipCooldownMs">;
  /** The sessions of a node that is gone are taken over. `silentMs`: for how long nothing was heard from it (milliseconds). */
  onTakeOver: (gone: string, what: { peers: number; silentMs: number }) => void;
}

export class Sweeper {
  readonly #parts: SweeperParts;
  /** Tickets that should look for a partner at the next sweep. */
  #matchQueue: string[] = [];
  /** When all waiting tickets are to look for a partner. */
  #rematchesAt: number[] = [];
  /**
   * Who may meet again at a time. Kept by the node that ended their room: nothing depends on it but that two who wait for nobody else
   * look once more.
   */
  readonly #cooldowns = new TimeBuckets<Cooldown>(1);

  constructor(parts: SweeperParts) {
    this.#parts = parts;
  }

  matchAtNextSweep(sessionIds: readonly string[]): void {
    if (sessionIds.length === 0) return;
    this.#matchQueue.push(...sessionIds);
    this.#parts.notifier.notify(this.#parts.node.now());
  }

  /** Waiting tickets may have missed their turn: at the next sweep from then on they look for a partner. */
  rematchAll(at = this.#parts.node.now()): void {
    this.#rematchesAt.push(at);
    this.#parts.notifier.notify(at);
  }

  /** When it is over the one who avoids the other looks for a partner, if it waits. */
  awaitEnd(cooldown: Cooldown): void {
    this.#cooldowns.add(cooldown.until, cooldown);
    this.#parts.notifier.notify(cooldown.until);
  }

  async sweep(): Promise<{ newlyWaiting: string[]; nextAt?: number }> {
    const { node, notifier } = this.#parts;
    const newlyWaiting = this.#matchQueue;
    this.#matchQueue = [];
    notifier.reset(undefined);
    const begunAt = node.now();
    const { ids, accounts } = this.#cooledDown(begunAt);
    newlyWaiting.push(...ids);
    const isRematchDue = this.#rematchesAt.some((at) => at <= begunAt);
    const later = this.#rematchesAt.filter((at) => at > begunAt);
    this.#rematchesAt = later;
    notifier.notify(Math.min(...later, this.#cooldowns.firstAt ?? Number.POSITIVE_INFINITY));
    try {
      if (isRematchDue) newlyWaiting.push(...(await this.#longestQueued()));
      else for (const account of accounts) newlyWaiting.push(...(await this.#sessionsOf(account)));
      for (;;) {
        const args = { now: node.now(), claim_ms: claimMs, max: claimedMax };
        const [due, nextAt] = await node.run(scripts.claimDue, args);
        for (const ids of await Promise.all(due.map((text) => this.#carryOut(text))))
          newlyWaiting.push(...ids);
        if (due.length > 0) continue;
        if (nextAt !== undefined)
          notifier.reset(Math.min(notifier.earliest ?? Number.POSITIVE_INFINITY, Number(nextAt)));
        const { earliest } = notifier;
        return earliest === undefined ? { newlyWaiting } : { newlyWaiting, nextAt: earliest };
      }
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      if (isRematchDue) this.#rematchesAt.push(begunAt);
      return { newlyWaiting, nextAt: node.now() + retryAfterMs };
    }
  }

  /** Those who no longer avoid somebody at `now`, unless it is known here that they do not wait. */
  #cooledDown(now: number): { ids: string[]; accounts: Set<string> } {
    const ids: string[] = [];
    const accounts = new Set<string>();
    for (;;) {
      const { first } = this.#cooldowns;
      if (!first || first.value.until > now) return { ids, accounts };
      this.#cooldowns.remove(first);
      const { sessionId, account } = first.value;
      const inbox = this.#parts.inboxes.get(sessionId);
      if (account !== undefined) accounts.add(account);
      else if (!inbox || inbox.waitingSince !== undefined) ids.push(sessionId);
    }
  }

  async #sessionsOf(account: string): Promise<string[]> {
    const { node } = this.#parts;
    const key = node.keys.accountSessions(account);
    return (await node.command("SRANDMEMBER", key, String(rematchedMax))) as string[];
  }

  async #longestQueued(): Promise<string[]> {
    const { node } = this.#parts;
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
    const ids = deadline ? [deadline.sessionId] : [];
    const result = await transactor.transact({ ids, due: [text] }, (transaction) => {
      transaction.commands.push(["ZREM", node.keys.due(), text]);
      return deadline ? this.#apply(deadline, transaction) : [];
    });
    return isRejection(result) ? [] : result;
  }

  #apply(deadline: Deadline, transaction: Transaction): string[] {
    const { transactor } = this.#parts;
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
        return transaction.apply(presence.expireGrace(draft.value, partner, around)).newlyWaiting;
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
    const away = { since: lastHeartbeat };
    const peers = Number(await node.command("SCARD", sessions));
    this.#parts.onTakeOver(gone, { peers, silentMs: Math.round(node.now() - lastHeartbeat) });
    for (;;) {
      const reply = await node.command("SRANDMEMBER", sessions, String(takenOverAtOnce));
      const ids = reply as string[];
      if (ids.length === 0) break;
      await Promise.all(
        ids.map((id) =>
          transactor.transact({ ids: [id] }, (transaction) => {
            const draft = transaction.get(id);
            transaction.commands.push(["SREM", sessions, id]);
            if (draft) streams.keepStreams(transaction, draft, (one) => one.node !== gone, away);
          }),
        ),
      );
      await node.command("PEXPIRE", lock, String(claimMs));
    }
    await node.command("ZREM", keys.nodes(), gone);
    this.rematchAll();
    // By then all cooldowns are over that it was to await.
    this.rematchAll(node.now() + options.skipCooldownMs);
  }
}
