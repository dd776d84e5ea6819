/** Nodes are killed one after the other while peers meet and part: every lifecycle event is told, at least once and in order. */
import { createHmac } from "node:crypto";
import { expect, test } from "bun:test";
import { startCluster } from "../support/cluster.ts";
import { connectPeer, type TestPeer } from "../support/server.ts";
import { answerWithin, until } from "../support/until.ts";

const kills = Number(process.env["LIFECYCLE_KILLS"] ?? 6);
const nodeCount = 3;
const peerCount = 16;
const secret = "shared with the receiver";
/** Of answers with 500. */
const refusedShare = 0.01;

/** A webhook's receiver that is slow, and refuses now and then. It notes each event that it has accepted. */
function startReceiver() {
  const told: { id: string; type: string; roomId?: string }[] = [];
  const forged: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const body = await request.text();
      const signature = `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
      if (request.headers.get("x-peer-stream-signature") !== signature) forged.push(body);
      await Bun.sleep(30 * Math.random());
      if (Math.random() < refusedShare) return new Response(null, { status: 500 });
      told.push(JSON.parse(body));
      return new Response();
    },
  });
  return { told, forged, url: server.url.href, [Symbol.dispose]: () => void server.stop(true) };
}

/** The ids of all events that are written to Redis, or have to be after what is, as Redis' own MONITOR shows it. */
async function watchWrites(port: number) {
  const child = Bun.spawn(["redis-cli", "-p", String(port), "monitor"], { stdout: "pipe" });
  const expected = new Set<string>();
  let rest = "";
  const reading = (async () => {
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) note(line);
    }
  })();
  function note(line: string) {
    const [, name, quoted] = /"XADD" .*"(event|entry)" "((?:[^"\\]|\\.)*)"$/.exec(line) ?? [];
    if (quoted === undefined) return;
    const entry = JSON.parse(JSON.parse(`"${quoted}"`));
    expected.add(
      name === "entry" ? `reported:${entry.roomId}:${entry.reporter.sessionId}` : entry.id,
    );
  }
  await Bun.sleep(100);
  return {
    expected,
    async [Symbol.asyncDispose]() {
      child.kill();
      await reading;
    },
  };
}

const sleepUpTo = (ms: number) => Bun.sleep(ms * Math.random());

/** Meets and parts in all ways, until `goesOn` says no. Returns the rooms that it was told of. */
async function live(peer: TestPeer, goesOn: () => boolean): Promise<Set<string>> {
  const rooms = new Set<string>();
  let roomId: string | undefined;
  peer.onTold((event) => {
    if (event.type === "create-offer" || event.type === "wait-for-offer") ({ roomId } = event);
    if (event.type === "partner-disconnected" || event.type === "resync") roomId = undefined;
    if (roomId !== undefined) rooms.add(roomId);
  });
  const { client } = peer;
  while (goesOn()) {
    try {
      await answerWithin(3000, client.join.mutate());
      await sleepUpTo(200);
      const room = roomId;
      if (room === undefined) continue;
      if (Math.random() < 0.7) await answerWithin(3000, client.connected.mutate({ roomId: room }));
      await sleepUpTo(200);
      const ways: (() => Promise<unknown>)[] = [
        () => client.leave.mutate(),
        () => client.skip.mutate({ roomId: room }),
        () => client.failed.mutate({ roomId: room }),
        () => client.report.mutate({ roomId: room, reason: "spam" }),
      ];
      const way = ways[Math.floor(ways.length * Math.random())];
      if (way) await answerWithin(3000, way());
      await sleepUpTo(100);
    } catch {
      // Its node has died: the connection is made again by itself, on another one.
      await sleepUpTo(200);
    }
  }
  return rooms;
}

test(
  `${kills} kills of random nodes under load: every lifecycle event is told at least once`,
  async () => {
    using receiver = startReceiver();
    await using cluster = await startCluster(nodeCount, {
      EVENTS_WEBHOOK: receiver.url,
      EVENTS_SECRET: secret,
      GRACE_MS: "2000",
      SKIP_COOLDOWN_MS: "0",
      SKIP_BURST: "0",
      REPORTS_AFTER_MS: "0",
      REPORTS_PER_HOUR: "0",
      REPORTS_TO_SUSPEND: "0",
      REPORTS_TO_SUSPEND_ADDRESS: "0",
    });
    await using writes = await watchWrites(cluster.redis.port);
    await using stack = new AsyncDisposableStack();
    let living = true;
    const lives: Promise<Set<string>>[] = [];
    for (let n = 0; n < peerCount; n++)
      lives.push(live(stack.use(await connectPeer(cluster.site)), () => living));

    for (let n = 0; n < kills; n++) {
      await sleepUpTo(1000);
      // Two at a time now and then.
      const count = Math.random() < 0.2 ? 2 : 1;
      const victims = new Set(
        Array.from({ length: count }, () => Math.floor(nodeCount * Math.random())),
      );
      for (const index of victims) cluster.up[index] = false;
      await Promise.all([...victims].map((index) => cluster.nodes[index]?.kill()));
      await sleepUpTo(500);
      await Promise.all([...victims].map((index) => cluster.replace(index)));
    }
    living = false;
    const seen = new Set((await Promise.all(lives)).flatMap((rooms) => [...rooms]));
    const told = new Set<string>();
    const missing = () => {
      for (const { id } of receiver.told) told.add(id);
      return [...writes.expected].filter((id) => !told.has(id));
    };
    // The last lease ends, then the grace of the last peers; a refused post is made again after a second.
    await until("all is told", () => missing().length === 0, 60_000).catch(() => {});

    const duplicates = receiver.told.length - told.size;
    console.log(
      `  ${kills} kills, ${peerCount} peers, ${seen.size} rooms: ${told.size - missing().length} told of ` +
        `${writes.expected.size} expected, ${duplicates} duplicates, ${missing().length} missing`,
    );
    expect(missing()).toEqual([]);
    expect(writes.expected.size).toBeGreaterThan(10 * kills);
    expect(receiver.forged).toEqual([]);
    // What peers were told has been told to the operator, too.
    expect([...seen].filter((roomId) => !told.has(`paired:${roomId}`))).toEqual([]);
    const order = ["paired", "connected", "ended"];
    const latest = new Map<string, number>();
    const firsts = new Set<string>();
    for (const { id, type, roomId = "" } of receiver.told) {
      if (firsts.has(id) || !order.includes(type)) continue;
      firsts.add(id);
      const at = order.indexOf(type);
      expect(`${roomId} ${latest.get(roomId) ?? -1} before ${at}`).toBe(
        `${roomId} ${Math.min(latest.get(roomId) ?? -1, at - 1)} before ${at}`,
      );
      latest.set(roomId, at);
    }
  },
  60_000 + 10_000 * kills,
);
