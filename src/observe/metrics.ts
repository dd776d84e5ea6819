/** The metrics that Prometheus scrapes at `/metrics`. Names end in their units; labels have a fixed set of values. */
import type { DecisionRecord } from "../domain/decisions.ts";
import { lifecycleTypes, type LifecycleType } from "../domain/lifecycle.ts";
import { isRejection, type Rejection } from "../domain/rejection.ts";
import { statsByLobby, type SiteStats } from "../domain/stats.ts";
import { createLobbyLabels, type LobbyLabels } from "./lobby-labels.ts";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import {
  endReasons,
  modes,
  rejectionReasons,
  type EndReason,
  type Mode,
  type RejectionReason,
  type Signal,
  type Stats,
} from "../protocol.ts";

export interface Metrics {
  /** Both members' waits. */
  paired(where: { lobby?: string | undefined; mode: Mode }, waitedMs: readonly number[]): void;
  /** Two were paired again who had both asked for it. */
  metAgain(mode: Mode): void;
  /** Media flows, so long after the two were paired. */
  connected(afterMs: number): void;
  ended(reason: EndReason): void;
  /** A stream began: with everything missed replayed, with a `resync`, or without having missed anything. */
  began(outcome: "resumed" | "resync" | "new"): void;
  signaled(type: Signal["type"]): void;
  /** What became of a standing offer: `full` if too many bytes of them are kept, `none` if there was nothing to keep. */
  stoodBy(outcome: StandbyOutcome): void;
  /** What became of a text that was to be sent through the server. */
  messaged(outcome: MessageOutcome): void;
  refused(reason: RejectionReason): void;
  /** A request that was answered before it became a call. */
  turnedAway(because: TurnedAway): void;
  /** A hook has thrown, or has not answered in time. */
  hookFailed(
    hook: LifecycleType | "authenticate" | "admit" | "lane" | "message" | "isOperator" | "onReport",
  ): void;
  /** Lifecycle events that are never told. */
  eventsLost(because: EventsLost, count: number): void;
  /** A warning, a suspension, or another decision about a peer or report. */
  decided(record: Pick<DecisionRecord, "decision" | "because" | "by">): void;
  /** A note or evidence was dropped before it was told. */
  evidenceDropped(because: EvidenceDropped): void;
  /** What came of asking a provider of TURN credentials, or of having to give a peer some. */
  askedForTurn(outcome: TurnOutcome): void;
  /** Peers were asked to reconnect, so that others have as many. */
  levelled(peers: number): void;
  /** How late a timer was. */
  lagged(lateMs: number): void;
  /** In Prometheus' text format. */
  render(): Promise<string>;
}

const standbyOutcomes = ["kept", "full", "none"] as const;
export type StandbyOutcome = (typeof standbyOutcomes)[number];

/** `dropped` by the operator's hook; `too-late`: its room had ended. */
export type MessageOutcome = "delivered" | "dropped" | "too-late";

/** Why a request is turned away: the page's origin, the name it was asked for by. */
const turnedAwayReasons = ["origin", "host", "operator-token", "forwarded"] as const;
export type TurnedAway = (typeof turnedAwayReasons)[number];

/** Why events are lost: too many waited, or the receiver did not accept them. */
const eventsLostReasons = ["queue-full", "webhook"] as const;
export type EventsLost = (typeof eventsLostReasons)[number];

/** Why evidence is dropped: too much of it waits, or for too long. */
const evidenceDroppedReasons = ["full", "late"] as const;
export type EvidenceDropped = (typeof evidenceDroppedReasons)[number];

/**
 * Of requests: `given`, `failed`, `revoked`, `not-revoked`. Of what a peer was to be given while there was no new answer: `older`
 * credentials, or `none`.
 */
const turnOutcomes = ["given", "failed", "older", "none", "revoked", "not-revoked"] as const;
export type TurnOutcome = (typeof turnOutcomes)[number];

export interface MetricsOptions {
  /** Called at each scrape; while it rejects, the numbers of the whole site stay as they were. */
  stats: () => Promise<SiteStats | Rejection>;
  /** The names of the lobbies that peers can choose. */
  lobbies: readonly string[];
  /** Labels what this process counts. The numbers of the site are those of all nodes, and have no such label. */
  node?: string | undefined;
}

export function createMetrics({ stats, lobbies, node }: MetricsOptions): Metrics {
  const labels = createLobbyLabels(lobbies);
  const site = createSiteGauges(stats, lobbies, labels);
  const own = new Registry();
  if (node !== undefined) own.setDefaultLabels({ node });
  const registers = [own];
  const counter = <Label extends string>(name: string, help: string, label: Label) =>
    new Counter({ name, help, labelNames: [label], registers });

  const { waits, connects, lag } = createHistograms(registers, labels);
  const ends = counter("peer_stream_rooms_ended_total", "Rooms that ended, by reason", "reason");
  const meetings = counter(
    "peer_stream_met_again_total",
    "Rooms of two who had both asked to meet again",
    "mode",
  );
  const streams = counter("peer_stream_streams_total", "Events streams begun", "outcome");
  const { relayed, messages } = createRelayCounts(registers);
  const refusals = counter("peer_stream_refusals_total", "Calls refused, by reason", "reason");
  const turnedAway = counter(
    "peer_stream_requests_turned_away_total",
    "Requests answered before they became calls, by cause",
    "because",
  );
  const standby = counter(
    "peer_stream_standby_total",
    "Calls of standby, by what became of the offer",
    "outcome",
  );
  const hookFaults = counter(
    "peer_stream_hook_faults_total",
    "Hooks that threw or did not answer in time",
    "hook",
  );
  const eventsLost = counter(
    "peer_stream_events_lost_total",
    "Lifecycle events that are never told, by cause",
    "because",
  );
  // A series that exists from the start can be watched for its first increase.
  for (const reason of endReasons) ends.inc({ reason }, 0);
  for (const mode of modes) meetings.inc({ mode }, 0);
  for (const reason of rejectionReasons) refusals.inc({ reason }, 0);
  for (const because of turnedAwayReasons) turnedAway.inc({ because }, 0);
  for (const outcome of standbyOutcomes) standby.inc({ outcome }, 0);
  for (const hook of [...lifecycleTypes, "message"]) hookFaults.inc({ hook }, 0);
  for (const because of eventsLostReasons) eventsLost.inc({ because }, 0);
  const turn = counter(
    "peer_stream_turn_provider_total",
    "Requests for TURN credentials, and peers that got older ones or none, by outcome",
    "outcome",
  );
  for (const outcome of turnOutcomes) turn.inc({ outcome }, 0);

  return {
    paired({ lobby, mode }, waitedMs) {
      const wait = lobby === undefined ? waits.main[mode] : waits.of({ ...labels(lobby), mode });
      for (const ms of waitedMs) wait.observe(ms / 1000);
    },
    metAgain: (mode) => meetings.inc({ mode }),
    connected: (afterMs) => connects.observe(afterMs / 1000),
    ended: (reason) => ends.inc({ reason }),
    began: (outcome) => streams.inc({ outcome }),
    signaled: (type) => void (relayed[type] += 1),
    stoodBy: (outcome) => standby.inc({ outcome }),
    messaged: (outcome) => void (messages[outcome] += 1),
    refused: (reason) => refusals.inc({ reason }),
    turnedAway: (because) => turnedAway.inc({ because }),
    hookFailed: (hook) => hookFaults.inc({ hook }),
    eventsLost: (because, count) => eventsLost.inc({ because }, count),
    askedForTurn: (outcome) => turn.inc({ outcome }),
    ...createModerationCounters(registers),
    ...createLevelledCounter(registers),
    lagged: (lateMs) => lag.observe(lateMs / 1000),
    render: async () => [await site.metrics(), await own.metrics()].join("\n"),
  };
}

/** Transferred at each scrape: looking up the label for each signal or message would cost more than counting it. */
function createRelayCounts(registers: Registry[]) {
  const counter = (name: string, help: string, label: string, counts: Record<string, number>) =>
    new Counter({
      name,
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset();
        for (const [value, count] of Object.entries(counts)) this.inc({ [label]: value }, count);
      },
    });
  const relayed = { offer: 0, answer: 0, "add-ice-candidate": 0 };
  counter("peer_stream_signals_total", "Signals relayed", "type", relayed);
  const messages = { delivered: 0, dropped: 0, "too-late": 0 };
  const help = "Texts sent through the server, by what became of them";
  counter("peer_stream_messages_total", help, "outcome", messages);
  return { relayed, messages };
}

function createLevelledCounter(registers: Registry[]): Pick<Metrics, "levelled"> {
  const levelled = new Counter({
    name: "peer_stream_levelled_total",
    help: "Peers that this node asked to reconnect, as it had clearly more than the others",
    registers,
  });
  return { levelled: (peers) => levelled.inc(peers) };
}

function createModerationCounters(
  registers: Registry[],
): Pick<Metrics, "decided" | "evidenceDropped"> {
  const decisions = new Counter({
    name: "peer_stream_decisions_total",
    help: "Warnings, suspensions, and other decisions about peers and reports",
    labelNames: ["decision", "reason", "by"],
    registers,
  });
  const dropped = new Counter({
    name: "peer_stream_evidence_dropped_total",
    help: "Notes and evidence that were dropped before they were told, by cause",
    labelNames: ["because"],
    registers,
  });
  for (const because of evidenceDroppedReasons) dropped.inc({ because }, 0);
  return {
    decided: ({ decision, because: reason, by }) => decisions.inc({ decision, reason, by }),
    evidenceDropped: (because) => dropped.inc({ because }),
  };
}

function createHistograms(registers: Registry[], labels: LobbyLabels) {
  const seconds = (name: string, help: string, labelNames: string[], buckets: number[]) =>
    new Histogram({ name, help, labelNames, buckets, registers });
  const waits = seconds(
    "peer_stream_match_wait_seconds",
    "From entering the lobby to being paired",
    ["mode", "lobby"],
    [0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 60, 300],
  );
  const connects = seconds(
    "peer_stream_connect_seconds",
    "From being paired to flowing media",
    [],
    [0.1, 0.25, 0.5, 1, 2, 5, 10, 20],
  );
  const lag = seconds(
    "peer_stream_event_loop_lag_seconds",
    "How late timers are",
    [],
    [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1],
  );
  return {
    connects,
    lag,
    waits: {
      // Looked up once, as looking up a label costs more than observing a value.
      main: {
        video: waits.labels({ ...labels(undefined), mode: "video" }),
        audio: waits.labels({ ...labels(undefined), mode: "audio" }),
        text: waits.labels({ ...labels(undefined), mode: "text" }),
      },
      of: (labelled: Record<string, string>) => waits.labels(labelled),
    },
  };
}

/** The numbers of the whole site by lobby, read at each scrape. */
function createSiteGauges(
  stats: MetricsOptions["stats"],
  lobbies: readonly string[],
  labels: LobbyLabels,
): Registry {
  const site = new Registry();
  const gauge = (
    name: string,
    help: string,
    labelNames: string[],
    add: (to: Gauge, labelled: Record<string, string>, stats: Stats) => void,
  ) =>
    new Gauge({
      name,
      help,
      labelNames: [...labelNames, "lobby"],
      registers: [site],
      async collect() {
        const now = await stats();
        if (isRejection(now)) return;
        // A lobby that nobody is in any more has no series, and several may have one together.
        this.reset();
        for (const [lobby, counts] of statsByLobby(now, lobbies)) add(this, labels(lobby), counts);
      },
    });
  const addByMode =
    (read: (of: Stats) => Record<Mode, number>) =>
    (to: Gauge, labelled: Record<string, string>, counts: Stats) => {
      for (const mode of modes) to.inc({ ...labelled, mode }, read(counts)[mode]);
    };
  gauge(
    "peer_stream_peers_online",
    "Sessions with an open events stream",
    [],
    (to, labelled, counts) => to.inc(labelled, counts.online),
  );
  const waiting = addByMode((of) => of.waiting);
  gauge("peer_stream_peers_waiting", "Tickets in the lobby", ["mode"], waiting);
  gauge(
    "peer_stream_rooms",
    "Rooms of two",
    ["mode"],
    addByMode((of) => of.rooms),
  );
  return site;
}
