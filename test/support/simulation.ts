/** A day of a site on virtual time: peers arrive, talk, skip, lose their connection, and go. Seeded. */
import { createDimensions, meets, type Stated } from "../../src/domain/facts.ts";
import { createFairPolicy, type Policy } from "../../src/domain/matchmaker.ts";
import type { Engine, PairRequest } from "../../src/engine/engine.ts";
import { createMemoryEngine } from "../../src/engine/memory/memory-engine.ts";
import { override } from "./override.ts";
import { declaration, somebody } from "./population.ts";
import { seededRandom } from "./virtual-system.ts";
import { createWorld, type OpenEngine, type Peer } from "./world.ts";

export interface SimulationOptions {
  seed: number;
  peers: number;
  hours: number;
  open?: OpenEngine;
  /** Peers state facts and want some of others, in the shares of population.ts. */
  withFacts?: boolean;
}

/** One wait in the lobby. */
export interface Wait {
  /** What its peer states and wants. */
  stated: Stated;
  /** Until it was paired, or had enough. */
  ms: number;
  isPaired: boolean;
}

export interface Day {
  pairings: number;
  /** Milliseconds from entering the lobby to being paired, of everybody, sorted. */
  waits: number[];
  /** Of the pairings in which both named interests, those that shared one. */
  sharedInterestRate: number;
  /** Pairs that met again within the cooldown of either. */
  rematchesInCooldown: number;
  /** Choices in which the policy passed over one that had waited past all patience. */
  passedOverPastPatience: number;
  skips: number;
  drops: number;
  refusedSkips: number;
  /** All waits of those who state facts. */
  factWaits: Wait[];
  /** Soft wants of those who were paired, and how many of them the partner met. */
  softWants: number;
  softWantsMet: number;
  /** Pairings against a hard want of either. */
  againstHardWants: number;
}

const skipCooldownMs = 300_000;
const patienceMs = 30_000;
const minuteMs = 60_000;

/** A few interests are everybody's, many are rare: the n-th is named in proportion to 1/n. */
const vocabulary = Array.from({ length: 200 }, (_, n) => `interest ${n}`);

export async function simulateDay(options: SimulationOptions): Promise<Day> {
  const random = seededRandom(options.seed);
  const exponential = (mean: number) => Math.ceil(-Math.log(1 - random()) * mean);
  const day: Day = {
    pairings: 0,
    waits: [],
    sharedInterestRate: 0,
    rematchesInCooldown: 0,
    passedOverPastPatience: 0,
    skips: 0,
    drops: 0,
    refusedSkips: 0,
    factWaits: [],
    softWants: 0,
    softWantsMet: 0,
    againstHardWants: 0,
  };

  const fair = createFairPolicy({ patienceMs, windowMs: 2000 });
  const policy: Policy = (ticket, candidates, moment) => {
    const chosen = fair(ticket, candidates, moment);
    const [oldest] = candidates;
    if (oldest && moment.now - oldest.queuedSince >= patienceMs && chosen !== oldest)
      day.passedOverPastPatience += 1;
    return chosen;
  };

  const avoids = new Map<string, number>();
  const wished = new Map<string, string[]>();
  const stated = new Map<string, Stated>();
  const open = options.open ?? createMemoryEngine;
  const world = createWorld({
    seed: options.seed,
    policy,
    skipCooldownMs,
    ...(options.withFacts && { dimensions: createDimensions(declaration) }),
    open: (system, engineOptions) => witnessed(open(system, engineOptions), system.now),
  });
  let bothWished = 0;
  let shared = 0;

  function interests(): string[] {
    if (random() < 0.4) return [];
    const named = new Set<string>();
    for (let n = 1 + Math.floor(random() * 3); n > 0; n--)
      named.add(vocabulary[Math.floor(vocabulary.length ** random()) - 1] ?? "interest 0");
    return [...named];
  }

  /** The engine, with every pairing and every skip seen at the moment it happens. */
  function witnessed(engine: Engine, now: () => number): Engine {
    return override(engine, {
      onEnded(listener) {
        engine.onEnded((end) => {
          listener(end);
          if (end.ending !== "skip") return;
          day.skips += 1;
          avoids.set(`${end.sessionId}>${end.partnerId}`, now() + skipCooldownMs);
        });
      },
      async pair(request) {
        // Looked up before: one of the two may skip while the other one is still being sent its event.
        const isRematch = avoidEachOther(request, now());
        const paired = await engine.pair(request);
        if (paired) meet(request, isRematch);
        return paired;
      },
      async end(caller, request) {
        const answer = await engine.end(caller, request);
        if ("rejected" in answer) day.refusedSkips += 1;
        return answer;
      },
    });
  }

  function avoidEachOther({ impolite, polite }: PairRequest, now: number): boolean {
    const [a, b] = [impolite.sessionId, polite.sessionId];
    return [`${a}>${b}`, `${b}>${a}`].some((pair) => (avoids.get(pair) ?? 0) > now);
  }

  function meet({ impolite, polite, sharedInterests }: PairRequest, isRematch: boolean) {
    const [a, b] = [impolite.sessionId, polite.sessionId];
    day.pairings += 1;
    if (isRematch) day.rematchesInCooldown += 1;
    compareFacts(stated.get(a), stated.get(b));
    compareFacts(stated.get(b), stated.get(a));
    if ((wished.get(a) ?? []).length === 0 || (wished.get(b) ?? []).length === 0) return;
    bothWished += 1;
    if (sharedInterests.length > 0) shared += 1;
  }

  function compareFacts(one: Stated = {}, other: Stated = {}) {
    for (const want of one.wants ?? []) {
      const isMet = meets(other.facts, want);
      if (want.softAfterMs === undefined) {
        if (!isMet) day.againstHardWants += 1;
        continue;
      }
      day.softWants += 1;
      if (isMet) day.softWantsMet += 1;
    }
  }

  /** Waits for what it is told, and does this or that. */
  async function live(peer: Peer, until: number) {
    let read = 0;
    let enteredAt: number | undefined;
    let away = false;
    const note = (isPaired: boolean) => {
      if (enteredAt === undefined) return;
      const ms = world.system.now() - enteredAt;
      if (isPaired) day.waits.push(ms);
      const own = stated.get(peer.caller.sessionId);
      if (own) day.factWaits.push({ stated: own, ms, isPaired });
      enteredAt = undefined;
    };
    for (;;) {
      for (const { event } of peer.told.slice(read)) {
        if (event.type === "lobby") enteredAt = world.system.now();
        if (event.type !== "create-offer" && event.type !== "wait-for-offer") continue;
        note(true);
      }
      read = peer.told.length;
      if (world.system.now() >= until) break;
      const roomId = currentRoom(peer);
      if (away) {
        away = false;
        await peer.comeBack();
      } else if (random() < 0.02) {
        away = true;
        day.drops += 1;
        await peer.drop();
      } else if (roomId !== undefined && random() < 0.3) {
        await peer.skip(roomId);
      } else if (roomId !== undefined) {
        await world.signaling.connected(peer.caller, roomId);
      }
      await told(peer, read, away ? exponential(8000) : exponential(minuteMs));
    }
    note(false);
    await peer.leave();
    await peer.drop();
  }

  function currentRoom(peer: Peer): string | undefined {
    const last = peer.told.findLast(({ event }) =>
      ["create-offer", "wait-for-offer", "partner-disconnected", "lobby"].includes(event.type),
    )?.event;
    return last?.type === "create-offer" || last?.type === "wait-for-offer"
      ? last.roomId
      : undefined;
  }

  /** Until the peer is told something new, or `ms` have passed. */
  function told(peer: Peer, read: number, ms: number): Promise<void> {
    return new Promise((resolve) => {
      let cancel = () => {};
      const stop = peer.onTold(() => {
        if (peer.told.length <= read) return;
        stop();
        cancel();
        resolve();
      });
      cancel = world.system.schedule(ms, () => {
        stop();
        resolve();
      });
    });
  }

  const dayMs = options.hours * 60 * minuteMs;
  let now = 0;
  for (let n = 0; n < options.peers; n++) {
    const arrivesAt = (now += exponential(dayMs / options.peers));
    world.system.schedule(arrivesAt, () => {
      void (async () => {
        const peer = await world.connect(`peer ${n}`);
        const mine = interests();
        wished.set(peer.caller.sessionId, mine);
        const lives = live(peer, world.system.now() + exponential(15 * minuteMs));
        const own = options.withFacts ? somebody(random) : undefined;
        if (own) stated.set(peer.caller.sessionId, own);
        await peer.join({ interests: mine, ...own });
        await lives;
      })();
    });
  }
  await world.advance(now + 4 * 60 * minuteMs);

  day.waits.sort((a, b) => a - b);
  day.sharedInterestRate = bothWished === 0 ? 0 : shared / bothWished;
  const stats = await world.engine.stats();
  if (!("online" in stats)) throw new Error(stats.reason);
  if (stats.online !== 0) throw new Error(`${stats.online} peers stayed behind`);
  return day;
}
