/** Asks peers of a node that has clearly more than the others to reconnect, as a drain does, until it has about as many: see domain/levelling.ts. */
import { level, notLevelling, noteAsked, rankOf, type Activity } from "../domain/levelling.ts";
import type { Marks } from "../engine/marks.ts";
import type { NodeLoads } from "../engine/node-loads.ts";
import type { Log } from "../observe/log.ts";
import type { LogFields } from "../observe/log-fields.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Context } from "../rpc/context.ts";
import type { System } from "../system.ts";
import type { Socket } from "../trpc-ws/socket.ts";
import { askToReconnect } from "../trpc-ws/trpc-web-socket.ts";

export interface LevellingParts {
  loads?: NodeLoads | undefined;
  /** Peers that are asked in any minute at most; 0: none. */
  levelPerMinute?: number;
  sockets: { contexts(): Iterable<{ context: Context; socket: Socket }> };
  isDraining: () => boolean;
  marks: Marks;
  system: Pick<System, "elapsed" | "random" | "schedule">;
  log: Log;
  metrics: Pick<Metrics, "levelled">;
}

const everyMs = 1000;
/** See `LevellingLimits`. */
const sustainedMs = 10_000;
/** No peer is asked twice in this time, on no node (milliseconds). */
const restMs = 600_000;
/** A peer that was asked and has not reconnected by then does not (milliseconds). */
const answerMs = 30_000;
/** So many sessions are looked at for each that is to be asked, and at least each time: among them are some that lose least. */
const lookedAtPerPeer = 4;
const lookedAtMin = 16;

/** A peer that can be asked. */
interface Candidate {
  sessionId: string;
  socket: Socket;
}

/** @returns what ends it. Without other nodes, or with 0 a minute, nothing begins. */
export function startLevelling(parts: LevellingParts): () => void {
  const { loads, levelPerMinute = 0, system, log } = parts;
  if (!loads || levelPerMinute === 0) return () => {};
  const leveller = new Leveller({ ...parts, loads, levelPerMinute });
  let cancel = () => {};
  const repeat = () => {
    cancel = system.schedule(everyMs, () => {
      leveller
        .tick()
        .catch((bug) => log.bug(bug, "levelling"))
        .finally(() => leveller.isStopped || repeat());
    });
  };
  repeat();
  return () => {
    leveller.isStopped = true;
    cancel();
  };
}

class Leveller {
  isStopped = false;
  readonly #parts: LevellingParts & { loads: NodeLoads; levelPerMinute: number };
  #state = notLevelling;
  /** Session → the socket by which it was asked, and when. */
  readonly #pending = new Map<string, { socket: Socket; at: number }>();

  constructor(parts: LevellingParts & { loads: NodeLoads; levelPerMinute: number }) {
    this.#parts = parts;
  }

  async tick(): Promise<void> {
    const { loads, levelPerMinute: perMinute, isDraining, system, metrics } = this.#parts;
    const known = isDraining() ? undefined : loads.list();
    if (!known) {
      const { asked, uselessAmong } = this.#state;
      this.#state = { ...notLevelling, asked, uselessAmong };
      this.#pending.clear();
      return;
    }
    const { own } = known;
    const staying = known.others.filter(({ draining }) => !draining);
    const others = staying.map(({ peers }) => peers);
    const nodes = [own, ...staying].map(({ id }) => id);
    const now = system.elapsed();
    const settled = this.#settle(now);
    const { next, ask, changed } = level(
      this.#state,
      {
        now,
        own: own.peers,
        others,
        nodes: nodes.sort().join(),
        pending: this.#pending.size,
        ...settled,
      },
      { perMinute, sustainedMs },
    );
    this.#state = next;
    this.#tell(changed, { peers: own.peers, onOthers: others });
    if (ask === 0) return;
    const asked = await this.#ask(ask);
    this.#state = noteAsked(this.#state, now, asked);
    metrics.levelled(asked);
  }

  #tell(changed: "begun" | "level" | "useless" | undefined, fields: LogFields): void {
    const { log } = this.#parts;
    if (changed === "begun") log.info("levelling: peers are asked to reconnect", fields);
    if (changed === "level") log.info("levelling: it has ended", fields);
    if (changed === "useless")
      log.warn("levelling: peers that were asked to reconnect came back to this node", {
        ...fields,
        effect: "none is asked until a node begins or ends",
        cure: "let the proxy choose a node at each connection, as least_conn does, or set LEVEL_PEERS_PER_MINUTE=0",
      });
  }

  /** What has become of those that were asked. */
  #settle(now: number): { gone: number; cameBack: number } {
    const found = { gone: 0, cameBack: 0 };
    if (this.#pending.size === 0) return found;
    const here = new Map<string, Socket[]>();
    for (const { context, socket } of this.#parts.sockets.contexts()) {
      const { session = "" } = context;
      if (this.#pending.has(session)) here.set(session, [...(here.get(session) ?? []), socket]);
    }
    for (const [sessionId, { socket, at }] of this.#pending) {
      const sockets = here.get(sessionId) ?? [];
      if (sockets.includes(socket)) {
        if (now - at >= answerMs) this.#pending.delete(sessionId);
        continue;
      }
      this.#pending.delete(sessionId);
      found.gone += 1;
      if (sockets.length > 0) found.cameBack += 1;
    }
    return found;
  }

  /** How many were asked: fewer, where too few can be. */
  async #ask(count: number): Promise<number> {
    const { loads, sockets, marks, isDraining, system } = this.#parts;
    const chosen = sample(
      sockets.contexts(),
      Math.max(lookedAtMin, count * lookedAtPerPeer),
      system.random,
    );
    const looked = await Promise.all(
      chosen.map(async (candidate): Promise<[Candidate, Activity | undefined]> => {
        return [candidate, await loads.activityOf(candidate.sessionId)];
      }),
    );
    const movable = looked
      .flatMap(([candidate, activity]) => (activity ? [{ candidate, rank: rankOf(activity) }] : []))
      .sort((a, b) => a.rank - b.rank);
    let asked = 0;
    for (const { candidate } of movable) {
      if (asked === count || this.isStopped || isDraining()) break;
      const { sessionId, socket } = candidate;
      if (this.#pending.has(sessionId)) continue;
      // Also a rejection, as Redis is away, means that it is not asked.
      if ((await marks.claim(`levelled:${sessionId}`, restMs)) !== true) continue;
      this.#pending.set(sessionId, { socket, at: system.elapsed() });
      askToReconnect(socket);
      asked += 1;
    }
    return asked;
  }
}

/** Up to `count` sockets with a session, chosen by chance (reservoir sampling). */
function sample(
  sockets: ReturnType<LevellingParts["sockets"]["contexts"]>,
  count: number,
  random: () => number,
): Candidate[] {
  const chosen: Candidate[] = [];
  let seen = 0;
  for (const { context, socket } of sockets) {
    const { session: sessionId, connection } = context;
    if (sessionId === undefined || connection.subscriptions === 0) continue;
    seen += 1;
    if (chosen.length < count) chosen.push({ sessionId, socket });
    else {
      const place = Math.floor(random() * seen);
      if (place < count) chosen[place] = { sessionId, socket };
    }
  }
  return chosen;
}
