/** The Lua scripts that run inside Redis, with their arguments by name and the types of their results. */
import { createHash } from "node:crypto";
import type { Mode } from "../../protocol.ts";
import { luaKeysFor } from "./keys.ts";
import admitSocket from "./lua/admit_socket.lua" with { type: "text" };
import appendDecision from "./lua/append_decision.lua" with { type: "text" };
import arrive from "./lua/arrive.lua" with { type: "text" };
import block from "./lua/block.lua" with { type: "text" };
import claimDue from "./lua/claim_due.lua" with { type: "text" };
import commit from "./lua/commit.lua" with { type: "text" };
import countInLobby from "./lua/count_in_lobby.lua" with { type: "text" };
import dataEpoch from "./lua/data_epoch.lua" with { type: "text" };
import depart from "./lua/depart.lua" with { type: "text" };
import eligible from "./lua/eligible.lua" with { type: "text" };
import eligibleFor from "./lua/eligible_for.lua" with { type: "text" };
import exportSession from "./lua/export_session.lua" with { type: "text" };
import findSignal from "./lua/find_signal.lua" with { type: "text" };
import fits from "./lua/fits.lua" with { type: "text" };
import heartbeat from "./lua/heartbeat.lua" with { type: "text" };
import keepDecisions from "./lua/keep_decisions.lua" with { type: "text" };
import keepBlocker from "./lua/keep_blocker.lua" with { type: "text" };
import log from "./lua/log.lua" with { type: "text" };
import persons from "./lua/persons.lua" with { type: "text" };
import prelude from "./lua/prelude.lua" with { type: "text" };
import readCounts from "./lua/read_counts.lua" with { type: "text" };
import readLifecycle from "./lua/read_lifecycle.lua" with { type: "text" };
import readLog from "./lua/read_log.lua" with { type: "text" };
import readSessions from "./lua/read_sessions.lua" with { type: "text" };
import relaySignals from "./lua/relay_signals.lua" with { type: "text" };
import setOpenShards from "./lua/set_open_shards.lua" with { type: "text" };
import scanOnline from "./lua/scan_online.lua" with { type: "text" };
import sessionsAsTheyAre from "./lua/sessions_as_they_are.lua" with { type: "text" };
import standingOffers from "./lua/standing_offers.lua" with { type: "text" };
import tell from "./lua/tell.lua" with { type: "text" };
import tellVerdict from "./lua/tell_verdict.lua" with { type: "text" };

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
 * further arguments, or `first_argument`, their first index in ARGV, if the body uses that; the functions for keys; and prelude.lua.
 * @param flags see Redis' documentation of EVAL scripts' flags; without any the script writes, and is refused when memory is full.
 */
function defineScript<Result>(flags: "" | "no-writes" | "allow-oom" = "") {
  return <const Name extends string>(
    names: readonly Name[],
    body: string,
  ): Script<Name, Result> => {
    const locals = ["prefix", "node", ...names];
    const values = locals.map((_, index) => `ARGV[${index + 1}]`);
    const shared = `${prelude}\n${body}`;
    const first = locals.length + 1;
    const text = [
      // With this line Redis decides before the first command whether a script may write: none stops half-way for want of memory.
      `#!lua flags=${flags}`,
      `local ${locals.join(", ")} = ${values.join(", ")}`,
      body.includes("first_argument")
        ? `local first_argument = ${first}`
        : `local rest = { unpack(ARGV, ${first}) }`,
      luaKeysFor(shared),
      shared,
    ].join("\n");
    return { text, sha1: createHash("sha1").update(text).digest("hex"), names };
  };
}

/** What is counted of a lobby: see count_in_lobby.lua. */
export type Counted = "online" | `waiting ${Mode}` | `rooms ${Mode}`;

/** Fields and values of a hash, in turn. */
export type Pairs = (string | null)[];

/**
 * Recorded result of the mutation (see commit.lua); the sessions, each with the number of entries in its log; 1 if the first two
 * avoid each other at `pairing_at`.
 */
export type SessionsRead = [
  recorded: string | null,
  sessions: [id: string, fields: Pairs, entries: number][],
  avoiding: number,
];

/** A waiting session and those that may be paired with it, as they are; empty if it does not wait. */
export type Eligible = [id: string, fields: Pairs][];

export type Committed = [
  "committed",
  /** The last offset of the log that was to be read, and the entries that were read of it. */
  last: number,
  missed: string[],
  /**
   * Of each session that has changed: the offset of the last event that was appended to its log, 0 without any; and these events if
   * they contain counts or a standing offer, which only the script knows.
   */
  stored: [id: string, last: number, formatted: string[] | null][],
  /** The options of each ticket that looks for a partner now, without itself. */
  options: Eligible[],
];

/** What was found out about a signal's sender and room. */
export type SignalOutcome =
  | "delivered"
  | "taken-over"
  | "unknown session"
  | "another room"
  /** The partner has not been attached since Redis may have lost writes: its log is about to continue in a new epoch. */
  | "log of another life";

/**
 * What became of a group of signals: the length of the log, to which all were appended; or an outcome. When delivered, with where
 * the partner has its log from now on, the offset of its last event, and the mutation ids (JSON) of the room's signals that it
 * contained before: those of this group that are among them were not appended again.
 */
export type Relayed =
  | number
  | [Exclude<SignalOutcome, "delivered">]
  | [
      "delivered",
      partner: string,
      name: string,
      dropped: number,
      last: number,
      holders: string,
      ids: string[],
    ];

/** See read_lifecycle.lua. */
export type LifecycleRead =
  | ["held", node: string]
  | [
      "taken" | "kept",
      events: [id: string, fields: string[]][],
      lost: number,
      untoldVerdicts: string[],
      stored: number,
    ];

export const scripts = {
  admitSocket: defineScript<"admitted" | "crowded" | number>()(
    ["address", "handshakes_per_min", "sockets_max", "own_sockets", "life_ms"],
    admitSocket,
  ),
  appendDecision: defineScript<string>()(["max", "tells", "json"], appendDecision),
  arrive: defineScript<0 | 1>()(
    ["session", "grace_until", "now", "account"],
    [keepBlocker, arrive].join("\n"),
  ),
  block: defineScript<1>()(
    ["account", "other", "now", "avoids_max"],
    [keepBlocker, block].join("\n"),
  ),
  claimDue: defineScript<[due: string[], nextAt?: string]>()(["now", "claim_ms", "max"], claimDue),
  commit: defineScript<
    | Committed
    | ["changed", SessionsRead]
    | ["carried out"]
    | ["full"]
    | ["blocked", one: string, other: string]
    | ["moved"]
  >()(
    [
      "now",
      "events_max",
      "bytes_max",
      "results_max",
      "recorded_since",
      "eligible_max",
      "mutation",
      "pairing_at",
      "account",
      "recorder",
      "recorded_as",
      "record",
      "account_s",
    ],
    [
      persons,
      fits,
      eligibleFor,
      sessionsAsTheyAre,
      log,
      tell,
      keepBlocker,
      countInLobby,
      standingOffers,
      commit,
    ].join("\n"),
  ),
  dataEpoch: defineScript<string>("allow-oom")(["replication_id", "moved_from"], dataEpoch),
  depart: defineScript<0 | 1>()(
    [
      "session",
      "revision",
      "answered",
      "to",
      "life_s",
      "relaxation",
      "now",
      "account",
      "lobby",
      "tickets",
      "mode",
    ],
    [keepBlocker, fits, countInLobby, standingOffers, depart].join("\n"),
  ),
  eligible: defineScript<Eligible>("no-writes")(
    ["session", "now", "max"],
    [persons, fits, eligibleFor, eligible].join("\n"),
  ),
  // Where facts are declared: finding those who fit writes keys that it deletes again.
  eligibleByFit: defineScript<Eligible>("allow-oom")(
    ["session", "now", "max"],
    [persons, fits, eligibleFor, eligible].join("\n"),
  ),
  exportSession: defineScript<
    [fields: Pairs, results: Pairs, avoidances: Pairs, ofAccount: Pairs, itsAvoidances: Pairs]
  >("no-writes")(["session"], [persons, exportSession].join("\n")),
  findSignal: defineScript<number>("no-writes")(["session", "mutation", "room"], findSignal),
  heartbeat: defineScript<
    | [gone: [node: string, lastHeartbeat: string][], loads: Pairs, firstDue?: string]
    | ["layout", string]
  >("allow-oom")(["layout_key", "layout", "now", "lease_ms", "begins", "about", "load"], heartbeat),
  keepDecisions: defineScript<0 | 1>()(
    ["entry", "json", "max", "cases_max", "keep_ms", "kept_since", "cases_since"],
    keepDecisions,
  ),
  readCounts: defineScript<[counts: number[], ofLobbies: Pairs]>("no-writes")([], readCounts),
  // Also while memory is full: then it is what makes room.
  readLifecycle: defineScript<LifecycleRead>("allow-oom")(
    ["after", "max", "lease_ms"],
    readLifecycle,
  ),
  readLog: defineScript<
    [epoch: string | null, generation: string | null, dropped: number, entries: string[]]
  >("no-writes")(["session", "after", "events_max"], readLog),
  readSessions: defineScript<SessionsRead>("no-writes")(
    ["mutation", "pairing_at", "account"],
    [persons, sessionsAsTheyAre, readSessions].join("\n"),
  ),
  relaySignals: defineScript<Relayed[]>()(
    ["events_max", "bytes_max"],
    [log, relaySignals].join("\n"),
  ),
  scanOnline: defineScript<[cursor: string, ids: string[]]>("no-writes")(
    ["cursor", "count", "letters", "room"],
    scanOnline,
  ),
  setOpenShards: defineScript<number>()(["before", "after"], setOpenShards),
  tellVerdict: defineScript<0 | 1>()(["max", "entry"], [tell, tellVerdict].join("\n")),
};

/** The name of each script in metrics, by what Redis knows it by. */
export const scriptNames: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(scripts).map(([name, { sha1 }]) => [sha1, name]),
);
