/**
 * Some hours of a site on virtual time on which a share of the peers behave badly: they skip nearly everybody at once, and those with whom
 * they stay report some of them. Seeded, so that a day with lanes can be compared with the same one without.
 */
import { createDimensions } from "../../src/domain/facts.ts";
import { laneDimension, laneName } from "../../src/domain/lanes.ts";
import { createFairPolicy, type Policy } from "../../src/domain/matchmaker.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { createMemoryEngine } from "../../src/engine/memory/memory-engine.ts";
import { override } from "./override.ts";
import { seededRandom } from "./virtual-system.ts";
import { createWorld, type Peer } from "./world.ts";

export interface LanesDayOptions {
  seed: number;
  peers: number;
  hours: number;
  /** Of the peers, those who behave badly. */
  badShare: number;
  /** 0: no lanes. */
  laneAfterMs: number;
}

export const manners = ["good", "bad"] as const;
type Manners = (typeof manners)[number];

export interface LanesDay {
  /** Milliseconds from entering the lobby to being paired, sorted. */
  waits: Record<Manners, number[]>;
  /** Rooms that peers were in, counted for each of the two; those of them whose other member behaves badly. */
  rooms: Record<Manners, number>;
  withBad: Record<Manners, number>;
  /** Rooms that they were paired into while they were in the lane for bad conduct. */
  inBadLane: Record<Manners, number>;
  reportsCounted: number;
  suspended: number;
  /** The mean number of peers that are there. */
  present: number;
}

const secondMs = 1000;
const minuteMs = 60 * secondMs;
const stayMs = 20 * minuteMs;

export async function simulateLanes(options: LanesDayOptions): Promise<LanesDay> {
  const random = seededRandom(options.seed);
  const exponential = (mean: number) => Math.ceil(-Math.log(1 - random()) * mean);
  const dayMs = options.hours * 60 * minuteMs;
  const day: LanesDay = {
    waits: { good: [], bad: [] },
    rooms: { good: 0, bad: 0 },
    withBad: { good: 0, bad: 0 },
    inBadLane: { good: 0, bad: 0 },
    reportsCounted: 0,
    suspended: 0,
    present: 0,
  };
  const mannersOf = new Map<string, Manners>();
  const partnerOf = new Map<string, string>();

  const fair = createFairPolicy({ patienceMs: 30_000, windowMs: 2000 });
  const policy: Policy = (ticket, eligible, moment) => {
    const chosen = fair(ticket, eligible, moment);
    for (const { sessionId, wishes } of chosen ? [ticket, chosen] : [])
      if (wishes.facts?.[laneName] === "1") day.inBadLane[mannersOf.get(sessionId) ?? "good"] += 1;
    return chosen;
  };

  /** The engine, with each peer on a network of its own, and every pairing and report seen. */
  const witnessed = (engine: Engine): Engine =>
    override(engine, {
      attach: (request) =>
        engine.attach({
          ...request,
          addressHash: request.sessionId.replace(/\D/g, "").padStart(8, "0"),
        }),
      async pair(request) {
        const paired = await engine.pair(request);
        const [a, b] = [request.impolite.sessionId, request.polite.sessionId];
        if (paired) for (const [one, other] of [[a, b] as const, [b, a] as const]) meet(one, other);
        return paired;
      },
      async report(...args) {
        const reported = await engine.report(...args);
        if ("counted" in reported && reported.counted) day.reportsCounted += 1;
        if ("suspended" in reported) day.suspended += reported.suspended.length > 0 ? 1 : 0;
        return reported;
      },
    });

  function meet(one: string, other: string) {
    const own = mannersOf.get(one) ?? "good";
    partnerOf.set(one, other);
    day.rooms[own] += 1;
    if (mannersOf.get(other) === "bad") day.withBad[own] += 1;
  }

  const { laneAfterMs } = options;
  const world = createWorld({
    seed: options.seed,
    policy,
    laneAfterMs,
    ...(laneAfterMs > 0 && { dimensions: createDimensions({ [laneName]: laneDimension }) }),
    open: (system, engineOptions) => witnessed(createMemoryEngine(system, engineOptions)),
  });

  /** What a peer does next in its room, and after how long. */
  function plan(id: string): { afterMs: number; reports: boolean } {
    if (mannersOf.get(id) === "bad")
      return { afterMs: random() < 0.8 ? 500 + random() * 1500 : 60_000, reports: false };
    if (mannersOf.get(partnerOf.get(id) ?? "") === "bad")
      return { afterMs: 6000 + exponential(6000), reports: random() < 0.1 };
    return {
      afterMs: random() < 0.25 ? 1000 + random() * 4000 : exponential(90_000),
      reports: false,
    };
  }

  async function live(peer: Peer, until: number) {
    const { system, signaling } = world;
    const { sessionId } = peer.caller;
    const own = mannersOf.get(sessionId) ?? "good";
    let read = 0;
    let enteredAt = 0;
    let roomId: string | undefined;
    while (system.now() < until) {
      const before = roomId;
      for (const { event } of peer.told.slice(read)) {
        if (event.type === "lobby") enteredAt = system.now();
        if (["lobby", "partner-disconnected", "resync"].includes(event.type)) roomId = undefined;
        if (event.type !== "create-offer" && event.type !== "wait-for-offer") continue;
        ({ roomId } = event);
        day.waits[own].push(system.now() - enteredAt);
      }
      read = peer.told.length;
      if (roomId === undefined || roomId !== before) {
        if (roomId !== undefined) await signaling.connected(peer.caller, roomId);
        const { afterMs, reports } = roomId === undefined ? waiting : plan(sessionId);
        const isTold = await told(peer, read, Math.min(afterMs, until - system.now()));
        if (isTold || roomId === undefined) continue;
        if (reports) await signaling.report(peer.caller, roomId, { reason: "harassment" });
      }
      const answer = await peer.skip(roomId);
      if (answer === "suspended") break;
      // One who has skipped too often tries again a little later.
      if (answer === "rate-limited") await told(peer, read, secondMs);
    }
    await peer.leave();
    await peer.drop();
  }

  /** Until the peer is told something new, or `ms` have passed; whether it was. */
  function told(peer: Peer, read: number, ms: number): Promise<boolean> {
    if (peer.told.length > read) return Promise.resolve(true);
    return new Promise((resolve) => {
      let cancel = () => {};
      const stop = peer.onTold(() => {
        if (peer.told.length <= read) return;
        stop();
        cancel();
        resolve(true);
      });
      cancel = world.system.schedule(Math.max(1, Math.ceil(ms)), () => {
        stop();
        resolve(false);
      });
    });
  }

  let arrivesAt = 0;
  for (let n = 0; n < options.peers; n++) {
    arrivesAt += exponential(dayMs / options.peers);
    const own = random() < options.badShare ? "bad" : "good";
    const stays = exponential(stayMs);
    day.present += Math.max(0, Math.min(stays, dayMs - arrivesAt)) / dayMs;
    world.system.schedule(arrivesAt, () => {
      void (async () => {
        const peer = await world.connect(`peer ${n}`);
        mannersOf.set(peer.caller.sessionId, own);
        const lives = live(peer, world.system.now() + stays);
        await peer.join();
        await lives;
      })();
    });
  }
  await world.advance(arrivesAt + 4 * 60 * minuteMs);
  const stats = await world.engine.stats();
  if ("rejected" in stats || stats.online !== 0) throw new Error("peers stayed behind");
  for (const one of manners) day.waits[one].sort((a, b) => a - b);
  return day;
}

/** For as long as it lasts; then it makes sure by a call that it still waits. */
const waiting = { afterMs: 10 * minuteMs, reports: false };
