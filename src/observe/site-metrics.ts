/** What is true of the whole site, and so the same on each node: read at each scrape, within a bound. */
import { Registry, type Gauge } from "prom-client";
import { isRejection } from "../domain/rejection.ts";
import type { Engine } from "../engine/engine.ts";
import { statsByLobby, type SiteStats } from "../domain/stats.ts";
import { modes, type Mode } from "../protocol.ts";
import type { System } from "../system.ts";
import type { LobbyLabels } from "./lobby-labels.ts";
import { MetricMakers } from "./metric-makers.ts";

export interface SiteReadings {
  engine: Pick<Engine, "stats" | "suspensions">;
  /** The names of the lobbies that peers can choose. */
  lobbies: readonly string[];
  schedule: System["schedule"];
  /** Reading has thrown what it should not. */
  onBug?: (bug: unknown) => void;
}

export interface SiteMetrics {
  readonly registry: Registry;
  /**
   * Reads everything again. `false` if the storage is away, does not answer in time, or fails: then there are no series, as old ones would
   * lie.
   */
  read(): Promise<boolean>;
}

/** How long a scrape waits for the storage (milliseconds). Redis has 800 ms for a command; Prometheus has 10 s by default. */
const waitMs = 2000;

/** Of peers' counts in a lobby, whose series have that label. */
type Add = (labelled: Record<string, string>, count: number) => void;

export function createSiteMetrics(readings: SiteReadings, labels: LobbyLabels): SiteMetrics {
  const registry = new Registry();
  const make = new MetricMakers(registry);
  const sameOnAll = "in the whole site, the same on each node";
  const online = make.gauge(
    "peer_stream_site_peers_online",
    `Sessions with an open stream of events ${sameOnAll}`,
    ["lobby"],
  );
  const waiting = make.gauge(
    "peer_stream_site_peers_waiting",
    `Peers that wait for a partner ${sameOnAll}`,
    ["mode", "lobby"],
  );
  const rooms = make.gauge("peer_stream_site_rooms", `Rooms of two ${sameOnAll}`, [
    "mode",
    "lobby",
  ]);
  let suspensions: number | undefined;
  make.reading(
    "peer_stream_site_suspensions",
    `Suspensions in force ${sameOnAll}`,
    () => suspensions,
  );

  function show(site: SiteStats): void {
    // Several lobbies may have one label together.
    const addTo = (gauge: Gauge): Add => gauge.inc.bind(gauge);
    const addModes = (to: Add, labelled: Record<string, string>, counts: Record<Mode, number>) => {
      for (const mode of modes) to({ ...labelled, mode }, counts[mode]);
    };
    for (const [lobby, counts] of statsByLobby(site, readings.lobbies)) {
      const labelled = labels(lobby);
      addTo(online)(labelled, counts.online);
      addModes(addTo(waiting), labelled, counts.waiting);
      addModes(addTo(rooms), labelled, counts.rooms);
    }
  }

  /** A lobby that nobody is in any more has no series either. */
  function clear(): void {
    for (const gauge of [online, waiting, rooms]) gauge.reset();
    suspensions = undefined;
  }

  return {
    registry,
    async read() {
      const { engine, schedule, onBug } = readings;
      try {
        const reading = Promise.all([engine.stats(), engine.suspensions()]);
        const [stats, suspended] = (await inTime(reading, schedule)) ?? [];
        clear();
        if (!stats || isRejection(stats)) return false;
        show(stats);
        suspensions = suspended?.length;
        return true;
      } catch (bug) {
        // The numbers of this node say what is wrong.
        clear();
        onBug?.(bug);
        return false;
      }
    },
  };
}

/** What is read; `undefined` once it is late. */
function inTime<T>(reading: Promise<T>, schedule: System["schedule"]): Promise<T | undefined> {
  const late = Promise.withResolvers<undefined>();
  const cancel = schedule(waitMs, () => late.resolve(undefined));
  return Promise.race([reading, late.promise]).finally(cancel);
}
