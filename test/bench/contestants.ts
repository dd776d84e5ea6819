/** Who is compared, how each is started, and the words each speaks. */
import { scripts } from "../../package.json";
import type { Program } from "../support/server-process.ts";
import { root } from "../support/root.ts";

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

/** As the browsers' own clients would word it, byte for byte, over a WebSocket from the start. */
export interface Dialect {
  path: string;
  /** What is said first, if the client speaks first. */
  greeting: string | undefined;
  /** Whether each signal is acknowledged. */
  acknowledges: boolean;
  join: string;
  leave: string;
  signal(kind: SignalKind, n: number, roomId: string): string;
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

/** The marks apart, as `JSON.stringify` words them. */
const initOf = (n: number) =>
  JSON.stringify({
    candidate: candidateOf(n),
    sdpMid: "0",
    sdpMLineIndex: 0,
    usernameFragment: "abcd",
  });

const call = (id: number, path: string, input: string) =>
  `{"id":${id},"method":"mutation","params":{"input":${input},"path":"${path}"}}`;

const trpc: Dialect = {
  path: "/trpc",
  greeting: '{"id":1,"method":"subscription","params":{"path":"events"}}',
  acknowledges: true,
  join: call(2, "join", '{"autoRejoin":false}'),
  leave: call(3, "leave", "{}"),
  signal: (kind, n, roomId) =>
    kind === "candidate"
      ? call(n + 10, "addIceCandidate", `{"roomId":"${roomId}","candidate":${initOf(n)}}`)
      : call(n + 10, "offer", `{"roomId":"${roomId}","sdp":${JSON.stringify(sdpOf(n))}}`),
  hear(text) {
    if (text === "PING") return { kind: "reply", text: "PONG" };
    if (text.startsWith('{"id":1,')) {
      const n = numberIn(text);
      if (n >= 0) return { kind: "signal", n };
      if (text.includes('-offer"')) return { kind: "paired", roomId: roomIdIn(text) };
      return text.includes('"session"') ? { kind: "ready" } : undefined;
    }
    if (text.includes('"error"')) throw new Error(text);
    const id = Number(text.slice(6, text.indexOf(",", 6)));
    return id >= 10 ? { kind: "taken", n: id - 10 } : undefined;
  },
};

const socketIo = (acknowledges: boolean): Dialect => ({
  path: "/socket.io/?EIO=4&transport=websocket",
  greeting: undefined,
  acknowledges,
  join: acknowledges ? '420["join"]' : '42["join"]',
  leave: '42["leave"]',
  signal(kind, n, roomId) {
    const id = acknowledges ? n + 10 : "";
    return kind === "candidate"
      ? `42${id}["add-ice-candidate",{"roomId":"${roomId}","candidate":${initOf(n)}}]`
      : `42${id}["offer",{"roomId":"${roomId}","sdp":${JSON.stringify(sdpOf(n))}}]`;
  },
  hear(text) {
    if (text === "2") return { kind: "reply", text: "3" };
    if (text.startsWith("0")) return { kind: "reply", text: "40" };
    if (text.startsWith("40")) return { kind: "ready" };
    if (text.startsWith("43")) {
      if (text.includes('"error"')) throw new Error(text);
      const id = Number(text.slice(2, text.indexOf("[")));
      return id >= 10 ? { kind: "taken", n: id - 10 } : undefined;
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

/** The floor comes first, since all else is told as a ratio to it. */
export const contestants: readonly Contestant[] = [
  {
    name: "bare Bun WebSocket (floor)",
    program: bun(here("floor.ts")),
    env: runtime,
    dialect: trpc,
  },
  ours,
  { name: "stock tRPC on Bun", program: bun(here("stock.ts")), env: runtime, dialect: trpc },
  {
    name: "Socket.IO, fire and forget",
    program: node(here("socket-io.mjs")),
    env: {},
    dialect: socketIo(false),
  },
  {
    name: "Socket.IO, checked and acknowledged",
    program: node(here("socket-io.mjs"), "acknowledged"),
    env: {},
    dialect: socketIo(true),
  },
];
