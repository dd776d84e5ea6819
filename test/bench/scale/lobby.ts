/**
 * A lobby of several shards through a day: births, pairings, calls and leavings on virtual time, by the rules of openings.ts and moves.ts.
 * Only that is simulated which these rules decide: who is in which shard, and how long anybody waits for somebody.
 */
import { seededRandom } from "../../support/virtual-system.ts";
import { quantile } from "./redis-queue.ts";

export interface LobbyLoad {
  /** Peers online at the peak, and the share of them at the beginning and at the end of the day. */
  peers: number;
  quiet: number;
  /** Of the compressed day. */
  seconds: number;
  callS: number;
  /** Whether somebody whose call is over looks for another partner. */
  staying: number;
  /** Share of the peers by mode; the rare ones are alone in their shard now and then. */
  modes: Readonly<Record<string, number>>;
  shards: number;
  openAbove: number;
  closeBelow: number;
  heartbeatS: number;
  seekAfterS: number;
  /** A shard's Redis is gone from when to when; nobody there is paired meanwhile. */
  outage: { shard: number; fromS: number; toS: number } | undefined;
  seed: number;
}

export interface LobbyReport {
  born: number;
  gone: number;
  online: number;
  pairings: number;
  /** Waits until paired (seconds) by mode, without those of the shard that was gone. */
  waits: Record<string, { median: number; p99: number; longest: number; count: number }>;
  moves: number;
  /** How many shards were open at most and in the end, the largest shard, and sessions in closed shards in the end. */
  openMost: number;
  openLast: number;
  largest: number;
  inClosed: number;
}

interface Peer {
  shard: number;
  mode: string;
  since: number;
  state: "waiting" | "paired" | "gone";
  /** Whether it came from a shard that was gone while it waited. */
  isExcused: boolean;
}

interface Due {
  at: number;
  run: () => void;
}

/** The earliest first. */
class Agenda {
  readonly #heap: Due[] = [];

  add(due: Due): void {
    const heap = this.#heap;
    let n = heap.push(due) - 1;
    while (n > 0) {
      const up = (n - 1) >> 1;
      const above = heap[up];
      if (!above || above.at <= due.at) break;
      heap[n] = above;
      heap[up] = due;
      n = up;
    }
  }

  take(): Due | undefined {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    let n = 0;
    for (;;) {
      let down = 2 * n + 1;
      const right = heap[down + 1];
      if (right && right.at < (heap[down]?.at ?? 0)) down += 1;
      const below = heap[down];
      if (!below || below.at >= last.at) break;
      heap[n] = below;
      n = down;
    }
    heap[n] = last;
    return first;
  }
}

/** How many are to be online at a time of the day, from 0 to 1: a cosine from quiet to full and back. */
const targetAt = ({ peers, quiet }: LobbyLoad, day: number) =>
  peers * (quiet + (1 - quiet) * (0.5 - 0.5 * Math.cos(2 * Math.PI * day)));

export function simulateLobby(load: LobbyLoad): LobbyReport {
  const random = seededRandom(load.seed);
  const agenda = new Agenda();
  const online: number[] = Array.from({ length: load.shards }, () => 0);
  /** As the nodes know it: at the last heartbeat, and the births since. */
  const known = [...online];
  const queues: Map<string, Peer[]>[] = online.map(() => new Map());
  const waits = new Map<string, number[]>();
  let [now, open, born, gone, pairings, moves] = [0, 1, 0, 0, 0, 0];
  let [openMost, largest] = [1, 0];

  const isDown = (shard: number) =>
    load.outage?.shard === shard && now >= load.outage.fromS && now < load.outage.toS;
  /** Whether it waited while its shard was gone. */
  const hasSeenOutage = ({ shard, since }: Peer) =>
    load.outage?.shard === shard && since < load.outage.toS && now >= load.outage.fromS;
  const after = (seconds: number, run: () => void) => agenda.add({ at: now + seconds, run });
  const change = (shard: number, by: number) => (online[shard] = (online[shard] ?? 0) + by);

  function leastCrowded(count: number): number {
    let best = 0;
    for (let shard = 0; shard < count; shard++) {
      if (isDown(shard)) continue;
      if (isDown(best) || (known[shard] ?? 0) < (known[best] ?? 0)) best = shard;
    }
    return best;
  }

  function wait(peer: Peer): void {
    peer.state = "waiting";
    peer.since = now;
    peer.isExcused = false;
    enter(peer);
  }

  /** Into its shard: pairs it with the longest waiting one of its mode, if there is any. */
  function enter(peer: Peer): void {
    const queue = queues[peer.shard]?.get(peer.mode) ?? [];
    queues[peer.shard]?.set(peer.mode, queue);
    if (isDown(peer.shard)) return after((load.outage?.toS ?? now) - now, () => enter(peer));
    let other = queue.shift();
    while (other && (other.state !== "waiting" || other.shard !== peer.shard))
      other = queue.shift();
    if (!other) return void queue.push(peer);
    pairings += 1;
    for (const one of [peer, other]) {
      one.state = "paired";
      if (!one.isExcused && !hasSeenOutage(one)) {
        const all = waits.get(one.mode) ?? [];
        all.push(now - one.since);
        waits.set(one.mode, all);
      }
    }
    const partner = other;
    after(-Math.log(1 - random()) * load.callS, () => {
      for (const one of [peer, partner]) {
        if (random() < load.staying) wait(one);
        else {
          one.state = "gone";
          gone += 1;
          change(one.shard, -1);
        }
      }
    });
  }

  function move(peer: Peer, to: number): void {
    peer.isExcused ||= hasSeenOutage(peer);
    change(peer.shard, -1);
    change(to, 1);
    peer.shard = to;
    moves += 1;
    enter(peer);
  }

  function heartbeat(): void {
    for (const [shard, count] of online.entries()) if (!isDown(shard)) known[shard] = count;
    const all = online.reduce((sum, count) => sum + count, 0);
    if (open < load.shards && all / open > load.openAbove) open += 1;
    else if (open > 1 && all / (open - 1) < load.closeBelow) open -= 1;
    openMost = Math.max(openMost, open);
    largest = Math.max(largest, ...online);
    for (let shard = 1; shard < load.shards; shard++) {
      if (isDown(shard)) continue;
      for (const queue of queues[shard]?.values() ?? []) {
        const seeking = queue.filter(
          (peer) =>
            peer.state === "waiting" &&
            peer.shard === shard &&
            (shard >= open || now - peer.since >= load.seekAfterS),
        );
        for (const peer of seeking) move(peer, shard >= open ? leastCrowded(open) : 0);
      }
    }
    const target = targetAt(load, now / load.seconds);
    let missing = Math.round(target - all);
    for (; missing > 0; missing--) {
      const shard = leastCrowded(open);
      known[shard] = (known[shard] ?? 0) + 1;
      change(shard, 1);
      born += 1;
      let share = random();
      let mode = "";
      for (const [name, of] of Object.entries(load.modes)) {
        mode = name;
        share -= of;
        if (share < 0) break;
      }
      const peer: Peer = { shard, mode, since: now, state: "waiting", isExcused: false };
      // Births are spread over the time to the next heartbeat.
      after(random() * load.heartbeatS, () => wait(peer));
    }
    if (now < load.seconds) after(load.heartbeatS, heartbeat);
  }

  heartbeat();
  for (let due = agenda.take(); due && due.at <= load.seconds; due = agenda.take()) {
    now = due.at;
    due.run();
  }
  const report: LobbyReport["waits"] = {};
  for (const [mode, all] of waits)
    report[mode] = {
      median: quantile(all, 0.5),
      p99: quantile(all, 0.99),
      longest: quantile(all, 1),
      count: all.length,
    };
  const rest = online.reduce((sum, count) => sum + count, 0);
  const inClosed = online.slice(open).reduce((sum, count) => sum + count, 0);
  return {
    born,
    gone,
    online: rest,
    pairings,
    waits: report,
    moves,
    openMost,
    openLast: open,
    largest,
    inClosed,
  };
}
