/** The Lua scripts that run inside Redis, with their arguments by name and the types of their results. */
import { createHash } from "node:crypto";
import { luaKeysFor } from "./keys.ts";
import admitSocket from "./lua/admit_socket.lua" with { type: "text" };
import avoids from "./lua/avoids.lua" with { type: "text" };
import claimDue from "./lua/claim_due.lua" with { type: "text" };
import commit from "./lua/commit.lua" with { type: "text" };
import dataEpoch from "./lua/data_epoch.lua" with { type: "text" };
import eligible from "./lua/eligible.lua" with { type: "text" };
import eligibleFor from "./lua/eligible_for.lua" with { type: "text" };
import heartbeat from "./lua/heartbeat.lua" with { type: "text" };
import prelude from "./lua/prelude.lua" with { type: "text" };
import readLog from "./lua/read_log.lua" with { type: "text" };
import readSessions from "./lua/read_sessions.lua" with { type: "text" };
import relaySignals from "./lua/relay_signals.lua" with { type: "text" };

/** A script whose arguments are `Name`s, and whose result is a `Result`. */
export interface Script<Name extends string, Result> {
  readonly text: string;
  /** By which Redis knows the script once it has run. */
  readonly sha1: string;
  /** In the order in which they are passed, after the prefix and the node. */
  readonly names: readonly Name[];
  /** Not there at run time: it keeps the type of the result. */
  readonly result?: Result;
}

export type ScriptArguments<Name extends string> = Readonly<Record<Name, string | number>>;

/** What a script answers instead of its result when the node's lease has ended. */
export const fencedReply = "fenced";

/**
 * Makes a script of its body. Before the body stand the locals `prefix` and `node`, one for each name, and `rest` with all
 * further arguments; the functions for keys; and prelude.lua.
 */
function defineScript<Result>() {
  return <const Name extends string>(
    names: readonly Name[],
    body: string,
  ): Script<Name, Result> => {
    const locals = ["prefix", "node", ...names];
    const values = locals.map((_, index) => `ARGV[${index + 1}]`);
    const shared = `${prelude}\n${body}`;
    const text = [
      `local ${locals.join(", ")} = ${values.join(", ")}`,
      `local rest = { unpack(ARGV, ${locals.length + 1}) }`,
      luaKeysFor(shared),
      shared,
    ].join("\n");
    return { text, sha1: createHash("sha1").update(text).digest("hex"), names };
  };
}

/** Fields and values of a hash, in turn. */
export type Pairs = (string | null)[];

/**
 * Recorded result of the mutation; counts (online, then waiting and rooms of each mode), none for a pairing; sessions; rooms; 1
 * if the first two sessions avoid each other at `pairing_at`.
 */
export type SessionsRead = [
  recorded: string | null,
  counts: number[],
  sessions: [id: string, fields: Pairs][],
  rooms: [id: string, fields: Pairs][],
  avoiding: number,
];

/** A waiting session and those that may be paired with it, as they are; empty if it does not wait. */
export type Eligible = [id: string, fields: Pairs][];

/**
 * The last offset of the log that was to be read, what was read of it, the last offset of each session's log, and the options
 * of each ticket that looks for a partner now.
 */
export type Committed = [
  last: number,
  missed: string[],
  lasts: [id: string, last: number][],
  options: Eligible[],
];

/** What became of a signal. */
export type SignalOutcome =
  "delivered" | "dropped" | "taken-over" | "unknown session" | "another room";

export const scripts = {
  admitSocket: defineScript<"admitted" | "crowded" | number>()(
    ["address", "handshakes_per_min", "sockets_max", "own_sockets"],
    admitSocket,
  ),
  claimDue: defineScript<[due: string[], nextAt?: string]>()(["now", "claim_ms", "max"], claimDue),
  commit: defineScript<Committed | "changed" | "carried out">()(
    ["now", "events_max", "bytes_max", "results_max", "eligible_max", "change"],
    `${avoids}\n${eligibleFor}\n${commit}`,
  ),
  dataEpoch: defineScript<string>()(["replication_id", "moved_from"], dataEpoch),
  eligible: defineScript<Eligible>()(
    ["session", "now", "max"],
    `${avoids}\n${eligibleFor}\n${eligible}`,
  ),
  heartbeat: defineScript<
    [gone: [node: string, lastHeartbeat: string][], firstDue?: string] | ["layout", string]
  >()(["layout_key", "layout", "now", "lease_ms", "begins", "about"], heartbeat),
  readLog: defineScript<
    [epoch: string | null, generation: string | null, dropped: number, texts: string[]]
  >()(["session", "after"], readLog),
  readSessions: defineScript<SessionsRead>()(
    ["mutation", "pairing_at"],
    `${avoids}\n${readSessions}`,
  ),
  relaySignals: defineScript<SignalOutcome[]>()(
    ["now", "events_max", "bytes_max", "results_max", "recorded_since"],
    relaySignals,
  ),
};
