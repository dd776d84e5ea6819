/**
 * Relays signals by scripts, the acknowledgement and the way to the partner included: those of a few milliseconds in one, so that
 * Redis is woken less often. The first signal of a sender in a room finds out where the partner's log is; the others are appended to it
 * without a check, for as long as it has that name: see log.lua.
 */
import { unchanged } from "../../domain/change.ts";
import { isRejection, reject, type Rejection } from "../../domain/rejection.ts";
import { knowsRoom } from "../../domain/session.ts";
import { limits } from "../../protocol.ts";
import type { System } from "../../system.ts";
import type { Caller } from "../engine.ts";
import { RecordedResults } from "../../domain/recorded-results.ts";
import type { Inboxes, Line } from "./inbox.ts";
import { signalEntry } from "./log-entry.ts";
import { isUnavailable, type Node } from "./node.ts";
import { scripts, type Relayed, type SignalOutcome } from "./scripts.ts";
import { retryAfterMs, type Transactor } from "./transactor.ts";

/** Signals in one script: Lua's stack is bounded. */
const signalsMax = 128;
/** Characters of signals in one script: the scripts of others wait as long as it runs. */
const charsMax = 256 * 1024;
/** After a script with so many signals the next one waits twice as long: the more there are, the less each costs Redis. */
const manySignals = 16;

export interface SignalRelayParts {
  node: Node;
  transactor: Transactor;
  inboxes: Inboxes;
  clock: Pick<System, "schedule" | "elapsed" | "defer">;
  /**
   * Two scripts are at least so far apart (milliseconds), after one with many signals twice as far: what comes in between waits for
   * the second. 0: none waits.
   */
  batchMs: number;
}

/** What is kept of a signal under its mutation id. */
interface Sent {
  readonly outcome: Promise<SignalOutcome>;
  /** Neither delivered nor about to be: the same mutation id is sent again. */
  hasFailed: boolean;
}

/** Signals of one sender in one room, that go in one script. */
interface Group {
  readonly sessionId: string;
  readonly generation: number;
  readonly roomId: string;
  readonly entries: string[];
  /** Apart from the entries, as it is kept much longer. */
  readonly sent: Sent;
  readonly resolve: (outcome: SignalOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/** Signals that wait to be relayed together. */
interface Batch {
  readonly groups: Group[];
  /** The last group of each sender. */
  readonly latest: Map<string, Group>;
  count: number;
  chars: number;
  cancel: () => void;
}

export class SignalRelay {
  readonly #parts: SignalRelayParts;
  #batch: Batch | undefined;
  /** When the next script may go (milliseconds of the monotonic clock). */
  #nextAt = Number.NEGATIVE_INFINITY;

  constructor(parts: SignalRelayParts) {
    this.#parts = parts;
  }

  /** See `Engine.send`. */
  send(caller: Caller, roomId: string, signal: string | undefined): Promise<boolean | Rejection> {
    const running = this.#parts.transactor.running(caller.sessionId);
    const send = () =>
      this.#sendOnce(caller, roomId, signal ?? "").then(
        (outcome) => (outcome === "delivered" ? true : this.#refuse(caller, roomId, outcome)),
        unavailableIf,
      );
    return running ? running.then(send) : send();
  }

  #refuse(
    caller: Caller,
    roomId: string,
    outcome: Exclude<SignalOutcome, "delivered">,
  ): boolean | Rejection | Promise<boolean | Rejection> {
    const { transactor } = this.#parts;
    if (outcome === "another room")
      return transactor.answering(() => this.#sendToPastRoom(caller, roomId));
    if (outcome === "log of another life") return reject("unavailable", { retryAfterMs });
    const reason = outcome === "taken-over" ? "taken-over" : "not-in-room";
    return transactor.notAttached(caller) ?? reject(reason);
  }

  /** Sends what waits: nothing that is called later may overtake it. */
  flush(): void {
    const batch = this.#batch;
    if (!batch) return;
    const { clock, batchMs } = this.#parts;
    batch.cancel();
    this.#batch = undefined;
    this.#nextAt = clock.elapsed() + (batch.count < manySignals ? batchMs : 2 * batchMs);
    void this.#run(batch.groups);
  }

  /** The same mutation id has the same outcome; what other nodes have sent is found in the log. */
  #sendOnce(caller: Caller, roomId: string, signal: string): Promise<SignalOutcome> {
    const { sessionId, mutationId } = caller;
    const { inboxes, node } = this.#parts;
    const inbox = inboxes.get(sessionId);
    if (!inbox || mutationId === undefined || signal === "")
      return this.#add(caller, roomId, signal).sent.outcome;
    const results = (inbox.sent ??= new RecordedResults());
    const now = node.now();
    const before = results.get(mutationId, now) as Sent | undefined;
    if (before && !before.hasFailed) return before.outcome;
    const { sent } = this.#add(caller, roomId, signal);
    results.set(mutationId, sent, now);
    return sent.outcome;
  }

  /** Adds the signal to the batch, which goes at the end of this turn, or when the last one is long enough ago. */
  #add({ sessionId, generation, mutationId }: Caller, roomId: string, signal: string): Group {
    const batch = (this.#batch ??= this.#openBatch());
    let group = batch.latest.get(sessionId);
    if (group?.generation !== generation || group.roomId !== roomId || signal === "") {
      const { promise: outcome, resolve, reject } = Promise.withResolvers<SignalOutcome>();
      const sent: Sent = { outcome, hasFailed: false };
      group = { sessionId, generation, roomId, entries: [], sent, resolve, reject };
      batch.groups.push(group);
      batch.latest.set(sessionId, group);
    }
    if (signal !== "") {
      const id = mutationId === undefined ? "" : JSON.stringify(mutationId);
      group.entries.push(signalEntry(signal, id));
    }
    batch.count += 1;
    batch.chars += signal.length;
    if (batch.count === signalsMax || batch.chars > charsMax) this.flush();
    return group;
  }

  #openBatch(): Batch {
    const { clock } = this.#parts;
    const batch: Batch = { groups: [], latest: new Map(), count: 0, chars: 0, cancel: () => {} };
    const waitMs = this.#nextAt - clock.elapsed();
    const send = () => {
      // It may have been sent already, as it was full.
      if (this.#batch === batch) this.flush();
    };
    if (waitMs > 0) batch.cancel = clock.schedule(waitMs, send);
    else clock.defer(send);
    return batch;
  }

  async #run(groups: readonly Group[]): Promise<void> {
    const { node } = this.#parts;
    const lines: (Line | undefined)[] = [];
    const args: string[] = [];
    for (const group of groups) {
      const { sessionId, generation, roomId, entries } = group;
      const line = this.#lineOf(group);
      const { partnerId = "", name = "", dropped = 0, holders = "" } = line ?? {};
      lines.push(line);
      const who = `${sessionId}\n${generation}\n${roomId}`;
      args.push(who, partnerId, name, String(dropped), holders, String(entries.length), ...entries);
    }
    const bounds = { events_max: limits.logEventsMax, bytes_max: limits.logBytesMax };
    try {
      const relayed = await node.run(scripts.relaySignals, bounds, args);
      for (const [index, group] of groups.entries()) {
        const outcome = this.#settle(group, lines[index], relayed[index]);
        group.sent.hasFailed = outcome !== "delivered";
        group.resolve(outcome);
      }
    } catch (error) {
      for (const group of groups) {
        // It may have been carried out or not: the next signals are checked.
        this.#setLine(group.sessionId, undefined);
        group.sent.hasFailed = true;
        group.reject(error);
      }
    }
  }

  #lineOf({ sessionId, generation, roomId, entries }: Group): Line | undefined {
    const line = this.#parts.inboxes.get(sessionId)?.line;
    const isTheirs = line?.generation === generation && line.roomId === roomId;
    return isTheirs && entries.length > 0 ? line : undefined;
  }

  #setLine(sessionId: string, line: Line | undefined): void {
    const inbox = this.#parts.inboxes.get(sessionId);
    if (inbox) inbox.line = line;
  }

  /** Takes note of what became of a group, and passes its events on to a partner whose stream is on this node. */
  #settle(group: Group, line: Line | undefined, relayed: Relayed | undefined): SignalOutcome {
    const { entries, sessionId, roomId, generation } = group;
    if (relayed === undefined) throw new Error("the script answers for each group");
    if (typeof relayed === "number") {
      if (line) this.#deliverHere(line.partnerId, line.dropped + relayed, entries);
      return "delivered";
    }
    const [outcome] = relayed;
    if (outcome !== "delivered") {
      this.#setLine(sessionId, undefined);
      return outcome;
    }
    const [, partnerId, name, dropped, last, nodes, ids] = relayed;
    const { node, inboxes } = this.#parts;
    this.#deliverHere(partnerId, last, newAmong(entries, ids));
    const holders = nodes.split(" ").filter((holder) => holder !== node.id);
    const others = holders.join(" ");
    this.#setLine(sessionId, { roomId, generation, partnerId, name, dropped, holders: others });
    const sent: Sent = { outcome: Promise.resolve("delivered"), hasFailed: false };
    const inbox = inboxes.get(sessionId);
    if (!inbox || ids.length === 0) return "delivered";
    const results = (inbox.sent ??= new RecordedResults());
    for (const id of ids) results.set(JSON.parse(id) as string, sent, node.now());
    return "delivered";
  }

  #deliverHere(partnerId: string, last: number, entries: readonly string[]): void {
    const { inboxes } = this.#parts;
    if (!inboxes.has(partnerId)) return;
    for (const [index, entry] of entries.entries())
      inboxes.onEvent(partnerId, last - entries.length + 1 + index, entry);
  }

  /** Delivered if it was, while that room existed, by another node; not delivered if the room was the caller's; else refused. */
  async #sendToPastRoom(caller: Caller, roomId: string): Promise<boolean | Rejection> {
    const { transactor } = this.#parts;
    if (await this.#wasDelivered(caller, roomId)) return true;
    const outcome = await transactor.forCaller<{ delivered: boolean }>(
      caller,
      reject("not-in-room"),
      ({ value }) =>
        knowsRoom(value, roomId) ? unchanged(value, { delivered: false }) : reject("not-in-room"),
    );
    return isRejection(outcome) ? outcome : outcome.delivered;
  }

  /** Whether a signal is in the log of the other member of a past room. Only a session that has come from another node can have sent it. */
  async #wasDelivered({ sessionId, mutationId }: Caller, roomId: string): Promise<boolean> {
    const { transactor, inboxes, node } = this.#parts;
    const inbox = inboxes.get(sessionId);
    if (mutationId === undefined || inbox?.isFirst === true) return false;
    const session = (await transactor.look(sessionId)).get(sessionId)?.value;
    const partnerId = session?.recentRooms.find((past) => past.roomId === roomId)?.partnerId;
    if (partnerId === undefined) return false;
    const mutation = JSON.stringify(mutationId);
    // Only as a property it has quotation marks that are not escaped.
    const asked = { session: partnerId, mutation, room: `"roomId":${JSON.stringify(roomId)}` };
    return (await node.run(scripts.findSignal, asked)) === 1;
  }
}

function unavailableIf(error: unknown): Rejection {
  if (isUnavailable(error)) return reject("unavailable", { retryAfterMs });
  throw error;
}

/** The entries whose mutation ids are none of these, each id once: as check_and_append in relay_signals.lua appends them. */
function newAmong(entries: readonly string[], ids: readonly string[]): readonly string[] {
  const seen = new Set(ids);
  return entries.filter((entry) => {
    const end = entry.indexOf("\t");
    if (end < 0) return true;
    const id = entry.slice(end + 1);
    if (seen.has(id)) return false;
    seen.add(id);
    return true;
  });
}
