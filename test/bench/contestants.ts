/** Who is compared, how each is started, and the words each speaks. */
import { scripts } from "../../package.json";
import type { Program } from "../support/server-process.ts";
import { root } from "../support/root.ts";
import * as frames from "./frames.ts";

/** What a frame of the server's means to the load. */
export type Heard =
  | { kind: "ready" }
  | { kind: "paired"; roomId: string }
  /** A signal of the partner's, by its number. */
  | { kind: "signal"; n: number }
  /** The server's word that it took one. */
  | { kind: "taken"; n: number }
  | { kind: "reply"; text: string }
  | undefined;

/** As the client of each would word it, byte for byte, over a WebSocket from the start. */
export interface Dialect {
  path: string;
  /** What is said first, if the client speaks first. */
  greeting: readonly string[];
  /** Whether each signal is acknowledged. */
  acknowledges: boolean;
  /** What an idle client sends, and how often (milliseconds); the others answer the server's pings. */
  ping?: { text: string; everyMs: number };
  join: string;
  leave: string;
  /** The frames in which the client sends these signals at one moment. */
  signals(kind: SignalKind, numbers: readonly number[], roomId: string): string[];
  hear(text: string): Heard;
}

export type SignalKind = "candidate" | "sdp";

export interface Contestant {
  name: string;
  program: Program;
  env: Record<string, string>;
  dialect: Dialect;
}

/** A candidate's line of 150 bytes, with the signal's number in it. */
function candidateOf(n: number): string {
  const line = `candidate:842163049 1 udp 1677729535 203.0.113.77 46154 typ srflx raddr 192.0.2.24 rport 46154 generation 0 ufrag #${n}# network-id 1`;
  return line.padEnd(150, " ");
}

const mediaLines = Array.from(
  { length: 180 },
  (_, n) => `a=rtpmap:${n} VP8/90000 nack pli\r\n`,
).join("");
/** 6 KB, as browsers make with video. */
const sdpOf = (n: number) =>
  `v=0\r\no=- 4611731400430051336 #${n}# IN IP4 127.0.0.1\r\n${mediaLines}`.slice(0, 6144);

/** The number between the marks. */
function numberIn(text: string): number {
  const from = text.indexOf("#");
  return from < 0 ? -1 : Number(text.slice(from + 1, text.indexOf("#", from + 1)));
}

const roomIdIn = (text: string) => /"roomId":"([^"]+)"/.exec(text)?.[1] ?? "";

/** In the order in which browsers serialize it. */
const initOf = (n: number) => ({
  candidate: candidateOf(n),
  sdpMid: "0",
  sdpMLineIndex: 0,
  usernameFragment: "abcd",
});

const wishes = {
  interests: [],
  languages: ["en-US"],
  mode: "video",
  relayOnly: false,
  autoRejoin: false,
};
/** Ids of calls; those of signals follow. */
const [eventsId, joinId, leaveId, signalId] = [1, 2, 3, 10];
let mutations = 0;
const newMutationId = () => frames.mutationId(mutations++);

const trpc: Dialect = {
  path: "/trpc?connectionParams=1",
  greeting: [frames.connectionParams(), frames.events(eventsId)],
  acknowledges: true,
  ping: { text: frames.ping, everyMs: 5000 },
  get join() {
    return frames.join(joinId, wishes, newMutationId());
  },
  get leave() {
    return frames.leave(leaveId, newMutationId());
  },
  signals(kind, numbers, roomId) {
    const calls = numbers.map((n) =>
      kind === "candidate"
        ? frames.candidate(n + signalId, roomId, initOf(n), newMutationId())
        : frames.description(n + signalId, "offer", roomId, sdpOf(n), newMutationId()),
    );
    return [frames.frameOf(calls)];
  },
  hear(text) {
    if (text === "PING") return { kind: "reply", text: "PONG" };
    if (text === "PONG") return undefined;
    if (text.startsWith(`{"id":${eventsId},`)) {
      const n = numberIn(text);
      if (n >= 0) return { kind: "signal", n };
      if (text.includes('-offer"')) return { kind: "paired", roomId: roomIdIn(text) };
      return text.includes('"session"') ? { kind: "ready" } : undefined;
    }
    if (text.includes('"error"')) throw new Error(text);
    const id = Number(text.slice(6, text.indexOf(",", 6)));
    return id >= signalId ? { kind: "taken", n: id - signalId } : undefined;
  },
};

/** The same frames, one call in each, without ids of mutations: what a simple client of the protocol sends. */
const plainTrpc: Dialect = {
  ...trpc,
  path: "/trpc",
  greeting: [frames.events(eventsId)],
  signals: (kind, numbers, roomId) =>
    numbers.flatMap((n) => trpc.signals(kind, [n], roomId).map(withoutMutationId)),
};
const withoutMutationId = (frame: string) => frame.replace(/,"id":"[0-9a-f]{32}"\}/, "}");

const socketIo = (acknowledges: boolean): Dialect => ({
  path: "/socket.io/?EIO=4&transport=websocket",
  greeting: [],
  acknowledges,
  join: acknowledges ? '420["join"]' : '42["join"]',
  leave: '42["leave"]',
  signals: (kind, numbers, roomId) =>
    numbers.map((n) => {
      const id = acknowledges ? n + signalId : "";
      return kind === "candidate"
        ? `42${id}["add-ice-candidate",{"roomId":"${roomId}","candidate":${JSON.stringify(initOf(n))}}]`
        : `42${id}["offer",{"roomId":"${roomId}","sdp":${JSON.stringify(sdpOf(n))}}]`;
    }),
  hear(text) {
    if (text === "2") return { kind: "reply", text: "3" };
    if (text.startsWith("0")) return { kind: "reply", text: "40" };
    if (text.startsWith("40")) return { kind: "ready" };
    if (text.startsWith("43")) {
      if (text.includes('"error"')) throw new Error(text);
      const id = Number(text.slice(2, text.indexOf("[")));
      return id >= signalId ? { kind: "taken", n: id - signalId } : undefined;
    }
    const n = numberIn(text);
    if (n >= 0) return { kind: "signal", n };
    return text.includes("-offer") ? { kind: "paired", roomId: roomIdIn(text) } : undefined;
  },
});

const here = (file: string) => `test/bench/contestants/${file}`;
const bun = (...args: string[]): Program => ({ command: [process.execPath, ...args], cwd: root });
/** What `bun run start` sets for the runtime: for everything on Bun, so that it favours none of them. */
const runtime = Object.fromEntries(
  scripts.start.matchAll(/(\S+)=(\S+)/g).map((found) => found.slice(1)),
);
const node = (...args: string[]): Program => ({ command: ["node", ...args], cwd: root });

/**
 * Every limit on calls stays in place, only higher than the load, so that what it costs is counted; that all
 * peers come from one address is the load's doing.
 */
const liberal = {
  LIMIT_SIGNALS_PER_S: "100000",
  LIMIT_INTENTS_PER_S: "100000",
  LIMIT_SIGNAL_BYTES_PER_S: "0",
  SKIP_BURST: "10000",
  LIMIT_SOCKETS_PER_ADDRESS: "0",
  LIMIT_HANDSHAKES_PER_MIN: "0",
  ALLOW_NO_ORIGIN: "true",
  SESSION_SECRET: "a secret of the benchmark",
};

export const ours: Contestant = {
  name: "Peer Stream",
  program: bun("src/main.ts"),
  env: { ...runtime, ...liberal },
  dialect: trpc,
};

const socketIoOn = (
  runtimeName: "Node" | "Bun",
  program: (...args: string[]) => Program,
  acknowledges: boolean,
): Contestant => ({
  name: `Socket.IO on ${runtimeName}, ${acknowledges ? "checked and acknowledged" : "fire and forget"}`,
  program: program(
    here(`socket-io-${runtimeName.toLowerCase()}.mjs`),
    ...(acknowledges ? ["acknowledged"] : []),
  ),
  env: runtimeName === "Bun" ? runtime : {},
  dialect: socketIo(acknowledges),
});

const bare: Contestant = {
  name: "bare WebSocket on Bun",
  program: bun(here("bare-bun.mjs")),
  env: runtime,
  dialect: trpc,
};

/** The bare socket comes first, since all else is told as a ratio to it. */
export const contestants: readonly Contestant[] = [
  bare,
  ours,
  { ...ours, name: "Peer Stream, plain frames", dialect: plainTrpc },
  socketIoOn("Bun", bun, true),
  socketIoOn("Bun", bun, false),
  {
    name: "bare WebSocket on Node (ws)",
    program: node(here("bare-node.mjs")),
    env: {},
    dialect: trpc,
  },
  socketIoOn("Node", node, true),
  socketIoOn("Node", node, false),
  { name: "stock tRPC on Bun", program: bun(here("stock.ts")), env: runtime, dialect: trpc },
];
