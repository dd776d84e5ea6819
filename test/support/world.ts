/**
 * A whole site without sockets: signaling over an engine on virtual time, and peers with names who join,
 * skip and are told things.
 */
import { createLobby } from "../../src/app/peer-stream.ts";
import type { Dimensions } from "../../src/domain/facts.ts";
import type { Policy } from "../../src/domain/matchmaker.ts";
import { lobbyNamed } from "../../src/domain/lobby.ts";
import { isRejection } from "../../src/domain/rejection.ts";
import type { Caller, Engine, EngineOptions } from "../../src/engine/engine.ts";
import { createMemoryEngine } from "../../src/engine/memory/memory-engine.ts";
import type { IceConfig } from "../../src/ice.ts";
import type { Log } from "../../src/observe/log.ts";
import type { Chat, PeerEvent } from "../../src/protocol.ts";
import type { Signaling } from "../../src/signaling/signaling.ts";
import { createVirtualSystem, type VirtualSystem } from "./virtual-system.ts";
import { engineOptions } from "./engine-options.ts";

export type OpenEngine = (system: VirtualSystem, options: EngineOptions) => Engine;

export interface WorldOptions {
  seed?: number;
  open?: OpenEngine;
  skipCooldownMs?: number;
  graceMs?: number;
  /** With it members are sent the proofs of their rooms, as JSON. Default: no calls are kept. */
  callKeepMs?: number;
  relaxAfterMs?: number;
  /** With it the dimensions must have that of lanes. Default: no lanes. */
  laneAfterMs?: number;
  /** Skips that cost nothing; 0: none ever does. */
  skipBurst?: number;
  policy?: Policy;
  /** Of facts. */
  dimensions?: Dimensions;
  /** Bugs are noted, not thrown. */
  tolerateBugs?: boolean;
  ice?: Partial<IceConfig>;
  /** Which way the words of rooms for video and audio take. Default: `direct`. */
  chat?: Chat;
}

export interface Told {
  id: string;
  event: PeerEvent<unknown>;
}

/** What a peer may ask for in `join`, all of it optional. */
export type Asked = Partial<Parameters<Signaling["join"]>[1]> & {
  lobby?: string | undefined;
  /** As the operator names it. */
  lane?: number | undefined;
};

export interface Peer {
  readonly name: string;
  readonly account: string | undefined;
  readonly caller: Caller;
  /** Everything this peer was told, on all its streams, each event once. */
  readonly told: Told[];
  /** The types of what it was told, in order, from the `from`-th on. */
  types(from?: number): string[];
  /** The last event of this type. */
  last<Type extends PeerEvent["type"]>(
    type: Type,
  ): Extract<PeerEvent<unknown>, { type: Type }> | undefined;
  roomId(): string;
  join(asked?: Asked): Promise<string>;
  skip(roomId?: string): Promise<string>;
  again(roomId: string): Promise<string>;
  leave(): Promise<string>;
  /** Its connection drops. */
  drop(): Promise<void>;
  /** It comes back with its token, and with its last event id unless `lastEventId` says otherwise. */
  comeBack(options?: { lastEventId?: string | undefined }): Promise<void>;
  /** Calls `listener` after each thing it is told, until the answer is called. */
  onTold(listener: () => void): () => void;
  readonly end: "open" | "closed" | "overflow" | "taken-over" | "other";
}

export interface World {
  readonly system: VirtualSystem;
  readonly engine: Engine;
  readonly signaling: Signaling;
  readonly logged: { what: string; fields: object }[];
  /** Everybody who ever connected. */
  readonly peers: Peer[];
  /** @param account that of the peer's session, if any. */
  connect(name: string, account?: string): Promise<Peer>;
  advance(ms: number): Promise<void>;
}

export function createWorld(options: WorldOptions = {}): World {
  const system = createVirtualSystem(options.seed);
  const peers: Peer[] = [];
  const logged: { what: string; fields: object }[] = [];
  const note = (what: string, fields: object = {}) => void logged.push({ what, fields });
  const log: Log = {
    debug: note,
    info: note,
    warn: note,
    error: note,
    bug(error, where) {
      if (!options.tolerateBugs) throw error;
      note("bug", { where });
    },
  };
  const relaxAfterMs = options.relaxAfterMs ?? 10_000;
  const open = options.open ?? createMemoryEngine;
  const engine = open(system, {
    ...engineOptions,
    graceMs: options.graceMs ?? engineOptions.graceMs,
    skipCooldownMs: options.skipCooldownMs ?? engineOptions.skipCooldownMs,
    ...(options.callKeepMs !== undefined && {
      callKeepMs: options.callKeepMs,
      seal: (proof) => JSON.stringify(proof),
    }),
    skipping: { ...engineOptions.skipping, burst: options.skipBurst ?? 20 },
    relax: {
      languageAfterMs: relaxAfterMs / 2,
      anybodyAfterMs: relaxAfterMs,
      laneAfterMs: options.laneAfterMs,
    },
    dimensions: options.dimensions,
  });
  const { signaling } = createLobby({
    engine,
    system,
    policy: options.policy,
    chat: options.chat,
    ice: { stunUrls: ["stun:stun.example"], turnUrls: [], turnTtlS: 300, ...options.ice },
    log,
  });

  return {
    system,
    engine,
    signaling,
    logged,
    peers,
    advance: (ms) => system.advance(ms),
    async connect(name, account) {
      const peer = createPeer(name, account, signaling, system);
      peers.push(peer);
      await peer.comeBack({ lastEventId: undefined });
      return peer;
    },
  };
}

function createPeer(
  name: string,
  account: string | undefined,
  signaling: Signaling,
  system: VirtualSystem,
): Peer {
  const told: Told[] = [];
  const seen = new Set<string>();
  const listeners = new Set<() => void>();
  let caller: Caller | undefined;
  let connection = new AbortController();
  let end: Peer["end"] = "closed";

  const known = () => {
    if (!caller) throw new Error(`${name} is not connected yet`);
    return caller;
  };
  const status = async (answer: ReturnType<Signaling["skip"]>) => {
    const settledAnswer = await answer;
    await system.settled();
    return isRejection(settledAnswer) ? settledAnswer.reason : settledAnswer.status;
  };

  return {
    name,
    account,
    told,
    get caller() {
      return known();
    },
    get end() {
      return end;
    },
    types: (from = 0) => told.slice(from).map(({ event }) => event.type),
    onTold(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    last: (type) => told.findLast(({ event }) => event.type === type)?.event as never,
    roomId() {
      const paired = told.findLast(
        ({ event }) => event.type === "create-offer" || event.type === "wait-for-offer",
      )?.event;
      if (!paired || !("roomId" in paired)) throw new Error(`${name} was never paired`);
      return paired.roomId;
    },
    join: ({ lobby, lane, ...asked } = {}) =>
      status(
        signaling.join(
          known(),
          {
            mode: "video",
            interests: [],
            languages: [],
            relayOnly: false,
            autoRejoin: true,
            ...asked,
          },
          lobbyNamed(lobby),
          lane,
          `address of ${name}`,
        ),
      ),
    skip: (roomId) => status(signaling.skip(known(), roomId)),
    again: (roomId) => status(signaling.again(known(), roomId)),
    leave: () => status(signaling.leave(known())),
    async drop() {
      connection.abort();
      await system.settled();
    },
    async comeBack(options) {
      connection = new AbortController();
      end = "open";
      const { signal } = connection;
      const stream = signaling.events({
        known: caller,
        newSessionId: name.padEnd(22, "_"),
        graceMsMax: () => Number.POSITIVE_INFINITY,
        addressHash: `address of ${name}`,
        account,
        lastEventId: options ? options.lastEventId : told.at(-1)?.id,
        onIdentified: (claimed) => (caller = claimed),
        deliver(delivery) {
          if ("bug" in delivery) throw delivery.bug;
          if ("end" in delivery) {
            const reason = isRejection(delivery.end) ? delivery.end.reason : delivery.end;
            end = reason === "overflow" || reason === "taken-over" ? reason : "other";
          } else if (!seen.has(delivery.id)) {
            const { id } = delivery;
            seen.add(id);
            const event = "json" in delivery ? JSON.parse(delivery.json) : delivery.event;
            told.push({ id, event });
            for (const listener of listeners) listener();
          }
        },
      });
      signal.addEventListener("abort", () => {
        stream.close();
        if (end === "open" && signal === connection.signal) end = "closed";
      });
      await system.settled();
    },
  };
}

/** The memory engine behind random delays: whoever relies on its being synchronous is found out. */
export function delayed(open: OpenEngine, random: () => number): OpenEngine {
  return (system, options) =>
    new Proxy(open(system, options), {
      get(engine, verb: keyof Engine) {
        if (verb === "operator") return engine.operator;
        const call = (engine[verb] as (...args: never[]) => unknown).bind(engine);
        if (/^(on[A-Z].*|available|now)$/.test(verb)) return call;
        return async (...args: never[]) => {
          for (let turns = Math.floor(random() * 4); turns > 0; turns--) await Promise.resolve();
          const answer = await call(...args);
          for (let turns = Math.floor(random() * 4); turns > 0; turns--) await Promise.resolve();
          return answer;
        };
      },
    });
}
