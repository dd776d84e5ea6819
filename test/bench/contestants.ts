/** Who is compared, and how each is started. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { scripts } from "../../package.json";
import { root } from "../support/root.ts";
import type { Program } from "../support/server-process.ts";
import { colyseus } from "./dialects/colyseus.ts";
import type { Dialect } from "./dialects/dialect.ts";
import { peerJs } from "./dialects/peerjs.ts";
import { socketIo } from "./dialects/socket-io.ts";
import { plainTrpc, trpc } from "./dialects/trpc.ts";

type Environment = Record<string, string>;

export interface Contestant {
  name: string;
  /** What makes the program, if that is not there already. It gets the folder of the program to make it in. */
  build?: string[];
  program: Program;
  env: Environment;
  dialect: Dialect;
  /** Set for the server where sessions are resumed; absent if it can't resume any. */
  resuming?: Environment;
  /** Where the server pings: what makes it do so this often. */
  pingingEvery?: (ms: number) => Environment;
}

const here = (file: string) => `test/bench/contestants/${file}`;
const bun = (...args: string[]): Program => ({ command: [process.execPath, ...args], cwd: root });
/** What `bun run start` sets for the runtime: for everything on Bun, so that it favours none of them. */
const runtime = Object.fromEntries(
  scripts.start.matchAll(/(\S+)=(\S+)/g).map((found) => found.slice(1)),
);
const node = (...args: string[]): Program => ({ command: ["node", ...args], cwd: root });

/**
 * Every limit stays in place, only higher than the load, so that what it costs is counted; that all
 * peers come from one address is the load's doing.
 */
const liberal = {
  LIMIT_SIGNALS_PER_S: "100000",
  LIMIT_INTENTS_PER_S: "100000",
  LIMIT_SIGNAL_BYTES_PER_S: "100000000",
  SKIP_BURST: "10000",
  LIMIT_SOCKETS_PER_ADDRESS: "1000000",
  LIMIT_HANDSHAKES_PER_MIN: "1000000",
  ALLOW_NO_ORIGIN: "true",
  SESSION_SECRET: "a secret of the benchmark",
};

/** What ours has as `GRACE_MS` by default. */
const recoveryMs = "15000";

export const ours: Contestant = {
  name: "Peer Stream",
  program: bun("src/main.ts"),
  env: { ...runtime, ...liberal },
  dialect: trpc,
  resuming: {},
};

const { resuming: _, ...oursWithoutResuming } = ours;

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
  pingingEvery: (ms) => ({ PING_INTERVAL_MS: String(ms) }),
  ...(acknowledges && { resuming: { RECOVERY_MS: recoveryMs } }),
});

export const bare: Contestant = {
  name: "bare WebSocket on Bun",
  program: bun(here("bare-bun.mjs")),
  env: runtime,
  dialect: trpc,
};

export const socketIoOnBun = socketIoOn("Bun", bun, true);

/** Where what has to be compiled is put, for as long as this process runs. */
export const buildFolder = join(tmpdir(), `peer-stream-bench-${process.pid}`);
const epollRelay = join(buildFolder, "epoll-relay");

/** The bare socket comes first, since all else is told as a ratio to it. */
export const contestants: readonly Contestant[] = [
  bare,
  ours,
  // The same code in a process of its own: by so much two measurements of one thing differ.
  { ...oursWithoutResuming, name: "Peer Stream, once more" },
  {
    ...oursWithoutResuming,
    name: "Peer Stream as a library",
    program: bun(here("library.ts")),
  },
  {
    ...oursWithoutResuming,
    name: "Peer Stream as a library, with hooks",
    program: bun(here("library.ts"), "hooks"),
  },
  { ...oursWithoutResuming, name: "Peer Stream, plain frames", dialect: plainTrpc },
  socketIoOnBun,
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
  {
    name: "bare WebSocket in C (epoll)",
    build: ["gcc", "-O2", "-o", epollRelay, here("epoll-relay.c")],
    program: { command: [epollRelay], cwd: root },
    env: {},
    dialect: trpc,
  },
  { name: "PeerJS on Node", program: node(here("peerjs.mjs")), env: {}, dialect: peerJs },
  {
    name: "Colyseus on Node",
    program: node(here("colyseus.mjs")),
    env: {},
    dialect: colyseus,
    resuming: { RECOVERY_MS: recoveryMs },
  },
];
