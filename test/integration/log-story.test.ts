/** What the log tells of a room and a session on all nodes, how many lines that takes, and what strangers can make of it. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { startCluster, unlimited } from "../support/cluster.ts";
import { root } from "../support/root.ts";
import { connectPeer, type TestPeer } from "../support/server.ts";
import { startServer, type ServerProcess } from "../support/server-process.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(60_000);

interface Line {
  time: number;
  msg: string;
  room?: string;
  sessions?: string[];
  unlogged?: number;
  [field: string]: unknown;
}

const linesOf = (...nodes: ServerProcess[]): Line[] =>
  nodes
    .flatMap(({ output }) => output.split("\n"))
    .flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as Line] : []))
    .sort((a, b) => a.time - b.time);

const said = (lines: Line[]) => lines.map(({ msg }) => msg);

/** Waits until a message has come so often. */
const untilSaid = (nodes: ServerProcess[], msg: string, times = 1) =>
  until(
    `${times} of "${msg}"`,
    () => said(linesOf(...nodes)).filter((one) => one === msg).length >= times,
  );

async function confirm(roomId: string, ...peers: TestPeer[]): Promise<void> {
  for (const peer of peers) await peer.client.connected.mutate({ roomId });
}

test("a room and a session are followed through the logs of two nodes by one field each", async () => {
  await using cluster = await startCluster(2, { LOG_LEVEL: "debug" });
  const { nodes } = cluster;
  await using alice = await connectPeer(cluster.at(0));
  await alice.client.join.mutate();
  await untilSaid(nodes, "joined");
  const [ofAlice = "?"] = linesOf(...nodes).find(({ msg }) => msg === "joined")?.sessions ?? [];
  await using bob = await connectPeer(cluster.at(1));
  await bob.client.join.mutate();
  const { roomId } = await alice.next("wait-for-offer");
  await confirm(roomId, bob, alice);
  alice.cut();
  await alice.next("session");
  await alice.client.report.mutate({ roomId, reason: "spam" });
  await bob.next("partner-disconnected");
  await untilSaid(nodes, "ended");
  alice.unsubscribe();
  await untilSaid(nodes, "stream ended", 2);

  const lines = linesOf(...nodes);
  const ofRoom = lines.filter(({ room }) => room === roomId);
  expect(said(ofRoom)).toEqual(["paired", "connected", "reported", "ended"]);
  for (const { sessions } of ofRoom) expect(sessions).toHaveLength(2);
  const ofSession = lines.filter(({ sessions }) => sessions?.includes(ofAlice));
  expect(said(ofSession)).toEqual([
    "stream began",
    "joined",
    "paired",
    "connected",
    "stream ended",
    "stream began",
    "reported",
    "ended",
    "stream ended",
  ]);
  // It was paired on Bob's node, and the rest happened on Alice's.
  for (const node of nodes)
    expect(linesOf(node).filter(({ sessions }) => sessions?.includes(ofAlice))).not.toEqual([]);
  // No line tells of a room or a session under another name.
  for (const line of lines)
    for (const [name, value] of Object.entries(line))
      if (value === roomId) expect(name).toBe("room");
      else if (value === ofAlice) expect(["reporter", "reported"]).toContain(name);
});

/** The table of the documentation: lines by level, for each peer, join and room. */
async function statedVolume(): Promise<Record<string, Record<string, number>>> {
  const text = await Bun.file(join(root, "src/app/README.md")).text();
  const rows = text.matchAll(/^\| `(debug|info|warn)` +\| (\d+) +\| (\d+) +\| (\d+) +\|$/gm);
  return Object.fromEntries(
    [...rows].map(([, level = "", peer, join, room]) => [
      level,
      { peer: Number(peer), join: Number(join), room: Number(room) },
    ]),
  );
}

test("a call has as many lines at each level as the documentation states", async () => {
  const stated = await statedVolume();
  expect(Object.keys(stated).sort()).toEqual(["debug", "info", "warn"]);
  for (const [level, { peer = 0, join: joins = 0, room = 0 }] of Object.entries(stated)) {
    await using server = await startServer({
      ...unlimited,
      LOG_LEVEL: level,
      // More than may be opened would be a line of its own.
      LIMIT_PEERS: "100",
      METRICS_TOKEN: token,
    });
    const at = { ws: server.origin.replace("http", "ws") };
    const calls = 3;
    for (let n = 0; n < calls; n++) {
      await using one = await connectPeer(at);
      await using two = await connectPeer(at);
      await one.client.join.mutate();
      await two.client.join.mutate();
      const { roomId } = await one.next("wait-for-offer");
      await confirm(roomId, one, two);
      await one.client.leave.mutate();
      await two.next("partner-disconnected");
      await two.client.leave.mutate();
    }
    await until("all peers have gone", async () => (await online(server)) === 0);
    // The partner looks for somebody again, which is no call of its own.
    const expected = calls * (2 * peer + 2 * joins + room);
    const ofCalls = () => linesOf(server).filter(({ msg }) => msg !== "started").length;
    await until(`${expected} lines`, () => ofCalls() >= expected);
    expect(ofCalls()).toBe(expected);
  }
});

const token = "the token of this file's operator";
const bearing = { authorization: `Bearer ${token}` };

async function online({ origin }: ServerProcess): Promise<number> {
  const text = await (await fetch(`${origin}/metrics`, { headers: bearing })).text();
  return Number(/^peer_stream\w*_peers_online (\d+)/m.exec(text)?.[1]);
}

/** What strangers do, each with something of its own each time. */
const floods: Record<string, (origin: string, n: number) => Promise<unknown>> = {
  "an origin was refused": (origin, n) =>
    fetch(`${origin}/trpc/stats`, { headers: { origin: `http://${n}.example` } }),
  "the page was requested by an unknown host name": (origin, n) =>
    fetch(`${origin}/`, { headers: { host: `${n}.example` } }),
  "a wrong operator's token": (origin, n) =>
    fetch(`${origin}/metrics`, {
      headers: { authorization: "Bearer wrong", "x-forwarded-for": `10.0.${n >> 8}.${n & 255}` },
    }),
  "forwarding headers contradict each other": (origin, n) =>
    fetch(`${origin}/trpc/stats`, {
      headers: { forwarded: `for=10.0.0.${n % 250}`, "x-forwarded-for": "10.1.1.1" },
    }),
  "a token was refused": (origin, n) =>
    fetch(`${origin}/trpc/stats`, { headers: { "x-peer-stream-auth": "x".repeat(n * 100) } }),
  refused: (origin) => fetch(`${origin}/trpc/join`, { method: "POST", body: "no JSON" }),
};

test("whatever strangers do, of each kind there is at most one line a second", async () => {
  await using server = await startServer({
    ...unlimited,
    LOG_LEVEL: "debug",
    METRICS_TOKEN: token,
    PUBLIC_URL: "http://chat.example",
    TRUSTED_PROXIES: "127.0.0.1",
    AUTH_JWT_SECRET: "a secret of those who sign tokens in these tests",
  });
  const began = performance.now();
  for (let n = 0; performance.now() - began < 3500; n++)
    for (const flood of Object.values(floods)) await flood(server.origin, n);
  const lines = linesOf(server);
  for (const kind of Object.keys(floods)) expect(said(lines)).toContain(kind);
  const lastOf = new Map<string, number>();
  for (const { msg, reason, time } of lines) {
    const kind = `${msg} ${String(reason)}`;
    // The clock of the lines is that of the wall, in whole milliseconds.
    expect(time - (lastOf.get(kind) ?? 0)).toBeGreaterThanOrEqual(990);
    lastOf.set(kind, time);
  }
  expect(lines.some(({ unlogged = 0 }) => unlogged > 0)).toBe(true);
  const text = await (await fetch(`${server.origin}/metrics`, { headers: bearing })).text();
  const dropped = /log_lines_dropped_total\{[^}]*because="rate"[^}]*\} (\d+)/.exec(text)?.[1];
  expect(Number(dropped)).toBeGreaterThan(50);
});

test("at info many rooms have sixty lines of a kind at once, and then one a second", async () => {
  await using server = await startServer({
    ...unlimited,
    SKIP_COOLDOWN_MS: "0",
    SKIP_BURST: "10000",
    LOG_LEVEL: "info",
  });
  const at = { ws: server.origin.replace("http", "ws") };
  await using one = await connectPeer(at);
  await using two = await connectPeer(at);
  await one.client.join.mutate();
  await two.client.join.mutate();
  const began = performance.now();
  for (let n = 0; n < 500; n++) await one.client.skip.mutate();
  const seconds = (performance.now() - began) / 1000;
  await untilSaid([server], "ended", 60);
  for (const kind of ["paired", "ended"])
    expect(said(linesOf(server)).filter((msg) => msg === kind).length).toBeLessThanOrEqual(
      61 + seconds,
    );
});
