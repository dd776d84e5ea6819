/** What is counted of peers that look for a partner, and of rooms: by this node, for what is decided or called here. */
import {
  callPaths,
  endReasons,
  modes,
  rejectionReasons,
  type CallPath,
  type EndReason,
  type Mode,
  type RejectionReason,
  type Signal,
} from "../protocol.ts";
import type { LobbyLabels } from "./lobby-labels.ts";
import type { MetricMakers } from "./metric-makers.ts";

/** A mode, and a lobby but for the one that is always there. */
export interface Place {
  mode: Mode;
  lobby?: string | undefined;
}

export interface RoomMetrics {
  /** Two who waited were paired. @param waitedMs of both. */
  paired(place: Place, waitedMs: readonly number[]): void;
  /** Two were paired again who had both asked for it. */
  metAgain(place: Place): void;
  /** Media flows for the first time, so long after the two were paired. @param path absent where the client does not say it. */
  connected(place: Place, afterMs: number, path: CallPath | undefined): void;
  /** A member has ended its room because the media path failed. @param path that there was; absent where the client does not say it. */
  connectFailed(roomWas: "connecting" | "connected", path: CallPath | undefined): void;
  ended(reason: EndReason): void;
  /** A call of this procedure was refused: counted if it looks for a partner. */
  joinRefused(procedure: string | undefined, reason: RejectionReason): void;
  signaled(type: Signal["type"]): void;
  /** What became of a standing offer: `full` if too many bytes of them are kept, `none` if there was nothing to keep. */
  stoodBy(outcome: StandbyOutcome): void;
  /** What became of a text that was to be sent through the server. */
  messaged(outcome: MessageOutcome): void;
}

const standbyOutcomes = ["kept", "full", "none"] as const;
export type StandbyOutcome = (typeof standbyOutcomes)[number];

/** `dropped` by the operator's hook; `too-late`: its room had ended. */
const messageOutcomes = ["delivered", "dropped", "too-late"] as const;
export type MessageOutcome = (typeof messageOutcomes)[number];

/** The procedures by which a peer looks for a partner. */
const joins: ReadonlySet<string> = new Set(["join", "skip", "again"]);

const signalTypes = ["offer", "answer", "add-ice-candidate"] as const;

/** Of clients that do not say their path. */
const unknownPath = "unknown";

/** @param lobbies the names of those that peers can choose. */
export function createRoomMetrics(
  make: MetricMakers,
  labels: LobbyLabels,
  lobbies: readonly string[],
): RoomMetrics {
  const { pairings, waits, connects } = createPlaceMetrics(make);
  const createAt = (place: Place) => {
    const labelled = { ...labels(place.lobby), mode: place.mode };
    return {
      pair: () => pairings.inc(labelled),
      wait: waits.labels(labelled),
      connect: connects.labels(labelled),
    };
  };
  // Made once, as looking up labels costs more than observing a value.
  const main = {
    video: createAt({ mode: "video" }),
    audio: createAt({ mode: "audio" }),
    text: createAt({ mode: "text" }),
  };
  for (const lobby of lobbies)
    for (const mode of modes) {
      const labelled = { ...labels(lobby), mode };
      pairings.inc(labelled, 0);
      waits.zero(labelled);
      // Without media a room for text never connects.
      if (mode !== "text") connects.zero(labelled);
    }
  const at = (place: Place) => (place.lobby === undefined ? main[place.mode] : createAt(place));

  const met = make.totalBy(
    "peer_stream_met_again_total",
    "Rooms of two who had both asked to meet again",
    "mode",
    modes,
  );
  const paths = make.totalBy(
    "peer_stream_connects_total",
    "Rooms in which media has begun to flow, by the path of whoever said so first",
    "path",
    [...callPaths, unknownPath],
  );
  const failures = make.totalBy(
    "peer_stream_connects_failed_total",
    "Rooms ended because the media path failed, by that path; never: before media flowed",
    "path",
    [...callPaths, "never", unknownPath],
  );
  return {
    paired(place, waitedMs) {
      const { pair, wait } = at(place);
      pair();
      for (const ms of waitedMs) wait.observe(ms / 1000);
    },
    metAgain(place) {
      at(place).pair();
      met(place.mode);
    },
    connected(place, afterMs, path) {
      at(place).connect.observe(afterMs / 1000);
      paths(path ?? unknownPath);
    },
    connectFailed: (roomWas, path) =>
      failures(roomWas === "connecting" ? "never" : (path ?? unknownPath)),
    ...createCallMetrics(make),
  };
}

function createPlaceMetrics(make: MetricMakers) {
  const labelNames = ["mode", "lobby"];
  return {
    pairings: make.counter("peer_stream_pairings_total", "Rooms that began", labelNames),
    waits: make.seconds(
      "peer_stream_match_wait_seconds",
      "From entering the lobby to being paired",
      labelNames,
      [0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 60, 300],
    ),
    connects: make.seconds(
      "peer_stream_connect_seconds",
      "From being paired to flowing media",
      labelNames,
      [0.1, 0.25, 0.5, 1, 2, 5, 10, 20],
    ),
  };
}

function createCallMetrics(
  make: MetricMakers,
): Pick<RoomMetrics, "ended" | "joinRefused" | "signaled" | "stoodBy" | "messaged"> {
  const messages = make.totalsOf(
    "peer_stream_messages_total",
    "Texts sent through the server, by what became of them",
    "outcome",
    messageOutcomes,
  );
  const joinsRefused = make.totalBy(
    "peer_stream_joins_refused_total",
    "Calls of join, skip and again that were refused, by reason",
    "reason",
    rejectionReasons,
  );
  const signals = make.totalsOf(
    "peer_stream_signals_total",
    "Signals relayed",
    "type",
    signalTypes,
  );
  return {
    ended: make.totalBy(
      "peer_stream_rooms_ended_total",
      "Rooms that ended, by reason",
      "reason",
      endReasons,
    ),
    joinRefused(procedure, reason) {
      if (procedure !== undefined && joins.has(procedure)) joinsRefused(reason);
    },
    signaled: (type) => void (signals[type] += 1),
    stoodBy: make.totalBy(
      "peer_stream_standby_total",
      "Calls of standby, by what became of the offer",
      "outcome",
      standbyOutcomes,
    ),
    messaged: (outcome) => void (messages[outcome] += 1),
  };
}
