/** Many nodes, one lobby: real processes on a real Redis, which die, sleep, leave and come back. */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { hostname } from "node:os";
import { describe, expect, test } from "bun:test";
import { operating } from "../support/documents.ts";
import { startCluster } from "../support/cluster.ts";
import { startRedis } from "../support/redis.ts";
import {
  connectPeer,
  httpClient,
  refusalOf,
  signalsOf,
  tallySignals,
  type TestPeer,
} from "../support/server.ts";
import { until as untilWithin } from "../support/until.ts";

/** How long a node that says nothing is believed to live, as `engine/redis.ts` has it. */
const leaseMs = 6000;

async function roomOf(one: TestPeer, other: TestPeer): Promise<string> {
  const interests = [crypto.randomUUID().slice(0, 8)];
  await one.client.join.mutate({ interests });
  await other.client.join.mutate({ interests });
  return (await one.next("wait-for-offer")).roomId;
}

/** @throws after 30 s, with the condition. */
const until = (holds: () => unknown | Promise<unknown>) =>
  untilWithin(String(holds), holds, 30_000);

test("A15, D12 a session secret is rotated as documented, node by node: no session and no suspension is lost", async () => {
  const steps = [...operating.matchAll(/^ *\d\. `SESSION_SECRET=([a-z,]+)`/gm)].map(
    ([, step]) => step,
  );
  expect(steps).toEqual(["old", "old,new", "new,old", "new"]);
  const secrets = {
    old: "the secret of all nodes until today",
    new: "the secret from tomorrow on",
  };
  const envOf = (step = "") => ({
    SESSION_SECRET: step.replace(/old|new/g, (name) => secrets[name as "old" | "new"]),
  });
  const [first, ...later] = steps;
  const ADMIN_TOKEN = "the token of the tests' operator";
  const env = { ADMIN_TOKEN, TRUSTED_PROXIES: "127.0.0.1" };
  await using cluster = await startCluster(2, { ...env, ...envOf(first) });
  const address = "203.0.113.7";
  await fetch(`${cluster.at(0).http}/admin/suspend`, {
    method: "POST",
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" },
    body: JSON.stringify({ subject: { kind: "address", id: address }, until: Date.now() + 1e8 }),
  });
  let token = "";
  const sessions = new Set<string>();
  /** Comes back on each node in turn, each time with the token that the last one gave. */
  async function comeBack() {
    for (const node of [0, 1]) {
      await using peer = await connectPeer(cluster.at(node), token === "" ? {} : { token });
      ({ token } = peer);
      sessions.add(token.split(".")[0] ?? "");
      expect(await peer.client.join.mutate()).toMatchObject({ status: "waiting" });
      await using suspended = await connectPeer(cluster.at(node), { address });
      expect(await refusalOf(suspended.client.join.mutate())).toMatchObject({
        reason: "suspended",
      });
    }
  }
  await comeBack();
  for (const step of later)
    for (const index of [0, 1]) {
      await cluster.nodes[index]?.stop();
      await cluster.replace(index, envOf(step));
      // While the nodes run with different lists, too.
      await comeBack();
    }
  expect(sessions.size).toBe(1);
}, 60_000);

test("D13 nodes whose wall clocks are wrong, and step, keep graces and cooldowns as if they were right", async () => {
  const graceMs = 3000;
  const cooldownMs = 2500;
  const env = { GRACE_MS: String(graceMs), SKIP_COOLDOWN_MS: String(cooldownMs) };
  const clocks = [
    { WALL_CLOCK_AHEAD_MS: "30000" },
    { WALL_CLOCK_AHEAD_MS: "-60000", WALL_CLOCK_STEPS_MS: "30000" },
  ];
  await using cluster = await startCluster(2, env, undefined, (index) => clocks[index] ?? {});
  await using alice = await connectPeer(cluster.at(0));
  const bob = await connectPeer(cluster.at(1));
  await roomOf(alice, bob);
  await bob[Symbol.asyncDispose]();
  const goneAt = performance.now();
  const { deadline } = await alice.next("partner-reconnecting");
  // What is told is the time of Redis, which is right here.
  expect(Math.abs(deadline - graceMs - Date.now())).toBeLessThan(1500);
  expect((await alice.next("partner-disconnected")).reason).toBe("lost");
  const graceLasted = performance.now() - goneAt;
  expect(graceLasted).toBeGreaterThan(graceMs - 300);
  expect(graceLasted).toBeLessThan(graceMs + 2500);

  await using carol = await connectPeer(cluster.at(1));
  await alice.client.leave.mutate();
  const again = await roomOf(carol, alice);
  const pairings = () => alice.types.filter((type) => /^(create|wait-for)-offer$/.test(type));
  const before = pairings().length;
  await alice.client.skip.mutate({ roomId: again });
  const skippedAt = performance.now();
  await until(() => pairings().length > before);
  const cooldownLasted = performance.now() - skippedAt;
  expect(cooldownLasted).toBeGreaterThan(cooldownMs - 300);
  expect(cooldownLasted).toBeLessThan(cooldownMs + 2500);
}, 30_000);

test("A17 no answer comes before the events that it presupposes, whatever is asked and answered", async () => {
  await using wire = await createSilencer();
  const urlOf = (redis: { port: number }) => wire.before(redis.port);
  await using cluster = await startCluster(2, { SKIP_COOLDOWN_MS: "0" }, urlOf);
  await using alice = await connectPeer(cluster.at(0));
  await using bob = await connectPeer(cluster.at(1));
  const calls: Record<string, (roomId: string) => Promise<unknown>> = {
    leave: () => bob.client.leave.mutate(),
    skip: (roomId) => bob.client.skip.mutate({ roomId }),
    failed: (roomId) => bob.client.failed.mutate({ roomId }),
    connected: (roomId) => bob.client.connected.mutate({ roomId }),
    offer: (roomId) => bob.client.offer.mutate({ roomId, sdp: "late" }),
  };
  for (const [name, call] of Object.entries(calls)) {
    await bob.client.leave.mutate();
    await alice.client.join.mutate({ autoRejoin: false });
    await bob.client.join.mutate({ autoRejoin: false });
    const { roomId } = await bob.next("create-offer");
    const isTold = () =>
      bob.told.some(
        ({ event }) => event.type === "partner-disconnected" && event.roomId === roomId,
      );
    wire.delay(150);
    // She waits for her own news as well, so his call is made while his are on their way.
    const left = alice.client.leave.mutate();
    const stats = async () => (await httpClient(cluster.at(1)).stats.query()).rooms.video;
    await until(async () => (await stats()) === 0);
    await refusalOf(call(roomId));
    expect({ name, told: isTold() }).toEqual({ name, told: true });
    await left;
    wire.delay(0);
  }
}, 30_000);

describe("two nodes", () => {
  test("pair their peers with each other, carry signals both ways, and count as one", async () => {
    const METRICS_TOKEN = "the token of the tests' operator";
    await using cluster = await startCluster(2, { METRICS_TOKEN });
    await using alice = await connectPeer(cluster.at(0));
    await using bob = await connectPeer(cluster.at(1));
    const roomId = await roomOf(alice, bob);
    await bob.client.offer.mutate({ roomId, sdp: "from bob" });
    expect((await alice.next("offer")).sdp).toBe("from bob");
    await alice.client.answer.mutate({ roomId, sdp: "from alice" });
    expect((await bob.next("answer")).sdp).toBe("from alice");
    for (const node of [0, 1])
      expect(await httpClient(cluster.at(node)).stats.query()).toEqual({
        online: 2,
        waiting: { video: 0, audio: 0, text: 0 },
        rooms: { video: 1, audio: 0, text: 0 },
      });
    const headers = { authorization: `Bearer ${METRICS_TOKEN}` };
    const told = await Promise.all(
      [0, 1].map(async (node) =>
        (await fetch(`${cluster.at(node).http}/metrics`, { headers })).text(),
      ),
    );
    // The lobby's numbers are everybody's; what a node counts bears its name.
    for (const text of told) expect(text).toContain("\npeer_stream_site_peers_online 2\n");
    const counted = told.map(
      (text) => /peer_stream_signals_total\{.*node="([^"]+)"\} 1$/m.exec(text)?.[1],
    );
    expect(new Set(counted).size).toBe(2);
    expect(counted).not.toContain(undefined);
    await alice.client.skip.mutate({ roomId });
    expect(await bob.next("partner-disconnected")).toMatchObject({ roomId, reason: "skipped" });
  }, 30_000);

  test("a join sent in one breath with the subscription is made for the session that this begins", async () => {
    await using cluster = await startCluster(1);
    const socket = new WebSocket(`${cluster.at(0).ws}/trpc`);
    const answered = new Promise((resolve) => {
      socket.onmessage = ({ data }) => {
        const { id, result, error } = JSON.parse(String(data));
        if (id === 2) resolve(error?.data ?? result.data);
      };
    });
    await new Promise((resolve) => (socket.onopen = resolve));
    const params = (path: string) => ({ path, input: {} });
    socket.send(JSON.stringify({ id: 1, method: "subscription", params: params("events") }));
    socket.send(JSON.stringify({ id: 2, method: "mutation", params: params("join") }));
    expect(await answered).toEqual({ status: "waiting" });
    socket.close();
  }, 30_000);

  test("hold one address' limits together", async () => {
    await using cluster = await startCluster(2, { LIMIT_SOCKETS_PER_ADDRESS: "3" });
    await using stack = new AsyncDisposableStack();
    const upgrade = (node: number) =>
      fetch(`${cluster.at(node).http}/trpc`, { headers: { upgrade: "websocket" } });
    for (let n = 0; n < 3; n++) stack.use(await connectPeer(cluster.at(n % 2)));
    for (const node of [0, 1]) expect((await upgrade(node)).status).toBe(503);
    await stack.disposeAsync();
    // A refused upgrade that is no upgrade says so only once there is a place.
    await until(async () => (await upgrade(1)).status !== 503);
  }, 30_000);

  test("count one address' handshakes together", async () => {
    await using cluster = await startCluster(2, { LIMIT_HANDSHAKES_PER_MIN: "4" });
    const knock = async (node: number) =>
      (await fetch(`${cluster.at(node).http}/trpc`, { headers: { upgrade: "websocket" } })).status;
    // Each is let in, and is then found to be no WebSocket.
    for (const node of [0, 1, 0, 1]) expect(await knock(node)).toBe(426);
    for (const node of [0, 1]) expect(await knock(node)).toBe(429);
  }, 30_000);

  test("know each other's suspensions", async () => {
    const ADMIN_TOKEN = "the token of the tests' operator";
    await using cluster = await startCluster(2, { ADMIN_TOKEN });
    await using alice = await connectPeer(cluster.at(0));
    await using bob = await connectPeer(cluster.at(1));
    await roomOf(alice, bob);
    const subject = { kind: "session", id: alice.token.split(".")[0] };
    await fetch(`${cluster.at(1).http}/admin/suspend`, {
      method: "POST",
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" },
      body: JSON.stringify({ subject, until: Date.now() + 60_000 }),
    });
    expect(await bob.next("partner-disconnected")).toMatchObject({ reason: "removed" });
    expect(await alice.next("resync")).toMatchObject({ state: { status: "idle" } });
    expect(await refusalOf(alice.client.join.mutate())).toMatchObject({ reason: "suspended" });
  }, 30_000);
});

describe("connections that are cut", () => {
  const rooms = Number(process.env["SOAK_ROOMS"] ?? 50);
  const signalsPerRoom = 200;

  test(`${rooms} rooms, ${signalsPerRoom} signals each, every peer back on another node five times: none lost, none twice, none out of order`, async () => {
    await using cluster = await startCluster(3, { GRACE_MS: "60000" });
    await using stack = new AsyncDisposableStack();
    const pairs: { alice: TestPeer; bob: TestPeer; roomId: string }[] = [];
    for (let n = 0; n < rooms; n++) {
      const alice = stack.use(await connectPeer(cluster.site));
      const bob = stack.use(await connectPeer(cluster.site));
      pairs.push({ alice, bob, roomId: await roomOf(alice, bob) });
    }
    await Promise.all(
      pairs.map(async ({ alice, bob, roomId }) => {
        for (let n = 0; n < signalsPerRoom; n++) {
          // Each cut hits a signal on its way; both sides in turn.
          if (n % 40 === 20) alice.cut();
          if (n % 40 === 39) bob.cut();
          const input = { id: `signal ${n}`, roomId, candidate: { candidate: `${n}` } };
          for (;;) {
            const answer = await refusalOf(alice.client.addIceCandidate.mutate(input));
            if ("answered" in answer) break;
            expect(answer).toEqual({});
          }
        }
      }),
    );
    const tally = { lost: 0, twice: 0, outOfOrder: 0 };
    for (const { bob } of pairs) {
      await tallySignals(bob, signalsPerRoom, tally);
      expect(bob.types).not.toContain("resync");
      expect(bob.types).not.toContain("partner-disconnected");
    }
    console.log(
      `  3 nodes, ${rooms} rooms, ${rooms * signalsPerRoom} signals: ${tally.lost} lost, ${tally.twice} twice, ${tally.outOfOrder} rooms out of order`,
    );
    expect(tally).toEqual({ lost: 0, twice: 0, outOfOrder: 0 });
  }, 600_000);
});

describe("a node that dies", () => {
  test("takes nobody with it: whoever comes back in time was never away, and of the others the partner hears", async () => {
    const graceMs = 10_000;
    await using cluster = await startCluster(2, { GRACE_MS: String(graceMs) });
    await using alice = await connectPeer(cluster.at(0));
    await using bob = await connectPeer(cluster.at(1));
    await using carol = await connectPeer(cluster.at(1));
    let doomed = 0;
    // Alice comes back on the other node; Dave never does, and Erin waits for ever after.
    const dave = await connectPeer({ ws: () => cluster.at(doomed).ws });
    const erin = await connectPeer({ ws: () => cluster.at(doomed).ws });
    const roomId = await roomOf(alice, bob);
    await roomOf(dave, carol);
    await erin.client.join.mutate({ interests: ["nobody else's"] });
    doomed = 9;
    await cluster.nodes[0]?.kill();
    const killedAt = performance.now();
    const lastEventId = alice.told.at(-1)?.id ?? "";
    await using back = await connectPeer(cluster.at(1), { token: alice.token, lastEventId });
    expect(back.told[0]?.event).toMatchObject({
      resumed: true,
      state: { status: "paired", roomId },
    });

    expect(await carol.next("partner-reconnecting")).toBeDefined();
    expect(await carol.next("partner-disconnected")).toMatchObject({ reason: "lost" });
    const tookMs = performance.now() - killedAt;
    console.log(`  told \`lost\` ${(tookMs / 1000).toFixed(1)} s after the kill`);
    expect(tookMs).toBeLessThan(leaseMs + 15_000);
    const [noticed = ""] = /^.*"a node is gone.*$/m.exec(cluster.nodes[1]?.output ?? "") ?? [];
    expect(JSON.parse(noticed)).toMatchObject({
      level: 40,
      gone: `${hostname()}:${cluster.nodes[0]?.pid}`,
      peers: expect.any(Number),
      silentMs: expect.any(Number),
    });
    await until(async () => (await httpClient(cluster.at(1)).stats.query()).online === 3);
    expect(await httpClient(cluster.at(1)).stats.query()).toMatchObject({
      // Carol waits again; Erin's ticket is gone.
      waiting: { video: 1 },
      rooms: { video: 1 },
    });
    expect(bob.types).not.toContain("partner-reconnecting");
    expect(bob.types).not.toContain("partner-disconnected");
    await bob.client.offer.mutate({ roomId, sdp: "still here" });
    expect((await back.next("offer")).sdp).toBe("still here");
    expect(await cluster.redis.cli("--scan", "--pattern", "peer-stream:2:{0}:ns:*")).toBe(
      `peer-stream:2:{0}:ns:${await livingNode(cluster.redis)}\n`,
    );
    for (const gone of [dave, erin, alice]) gone.unsubscribe();
  }, 60_000);

  test("and one that was only paused past its lease finds itself fenced off, and begins anew", async () => {
    await using cluster = await startCluster(2, { GRACE_MS: "1000" });
    await using alice = await connectPeer(cluster.at(0));
    await using bob = await connectPeer(cluster.at(1));
    await alice.client.join.mutate();
    await bob.client.join.mutate();
    const { roomId } = await alice.next("wait-for-offer");
    cluster.nodes[0]?.pause();
    expect(await bob.next("partner-disconnected")).toMatchObject({ roomId, reason: "lost" });
    cluster.nodes[0]?.resume();
    // On the same socket: what it missed can't be replayed, and it is told so.
    expect(await alice.next("resync")).toMatchObject({ state: { status: "idle" } });
    expect(await alice.client.offer.mutate({ roomId, sdp: "late" })).toEqual({ delivered: false });
    expect(bob.types.filter((type) => type === "partner-disconnected")).toHaveLength(1);
    expect(await alice.client.join.mutate()).toMatchObject({ status: "paired" });
    expect(alice.errors).toEqual([]);
  }, 60_000);
});

async function livingNode(redis: { cli(...args: string[]): Promise<string> }): Promise<string> {
  return (await redis.cli("zrange", "peer-stream:2:{0}:nodes", "0", "-1")).trim();
}

describe("a rolling deploy", () => {
  test("over three nodes loses no signal and ends no room", async () => {
    await using cluster = await startCluster(3, { DRAIN_MS: "2000" });
    await using stack = new AsyncDisposableStack();
    const rooms: { alice: TestPeer; bob: TestPeer; roomId: string; sent: number }[] = [];
    for (let n = 0; n < 20; n++) {
      const alice = stack.use(await connectPeer(cluster.site));
      const bob = stack.use(await connectPeer(cluster.site));
      rooms.push({ alice, bob, roomId: await roomOf(alice, bob), sent: 0 });
    }
    let deploying = true;
    const talking = rooms.map(async (room) => {
      while (deploying) {
        const candidate = { candidate: String(room.sent) };
        const input = { id: `signal ${room.sent}`, roomId: room.roomId, candidate };
        const answer = await refusalOf(room.alice.client.addIceCandidate.mutate(input));
        if ("answered" in answer) room.sent += 1;
        else {
          // The others stop as well, or they would fail the tests that follow.
          deploying = false;
          expect(answer).toEqual({});
        }
        await Bun.sleep(5);
      }
    });
    const deploy = async () => {
      for (const index of [0, 1, 2]) {
        cluster.up[index] = false;
        await cluster.nodes[index]?.stop();
        await cluster.replace(index);
      }
      deploying = false;
    };
    await Promise.all([...talking, deploy()]);
    for (const { bob, sent } of rooms) {
      await until(() => signalsOf(bob).length >= sent);
      expect(signalsOf(bob)).toEqual(Array.from({ length: sent }, (_, n) => n));
      expect(bob.types).not.toContain("partner-disconnected");
      expect(bob.types).not.toContain("resync");
    }
    const sum = rooms.reduce((all, { sent }) => all + sent, 0);
    console.log(`  ${sum} signals while three nodes were replaced: none lost, no room ended`);
  }, 120_000);
});

describe("Redis", () => {
  /** Two nodes, a room across them, and signals that flow until it is told to stop. */
  async function underLoad(wire?: Silencer) {
    const stack = new AsyncDisposableStack();
    const cluster = stack.use(
      await startCluster(2, { GRACE_MS: "10000" }, wire && ((redis) => wire.before(redis.port))),
    );
    const alice = stack.use(await connectPeer(cluster.at(0)));
    const bob = stack.use(await connectPeer(cluster.at(1)));
    const roomId = await roomOf(alice, bob);
    let flowing = true;
    let delivered = 0;
    const refusals: Record<string, unknown>[] = [];
    let slowestMs = 0;
    const load = (async () => {
      for (let n = 0; flowing;) {
        const input = { id: `signal ${n}`, roomId, candidate: { candidate: String(n) } };
        const askedAt = performance.now();
        const answer = await refusalOf(alice.client.addIceCandidate.mutate(input));
        slowestMs = Math.max(slowestMs, performance.now() - askedAt);
        if ("answered" in answer) {
          n += 1;
          delivered = n;
        } else refusals.push(answer);
        await Bun.sleep(10);
      }
    })();
    const answers = (node: number) => fetch(`${cluster.at(node).http}/readyz`);
    return {
      cluster,
      alice,
      bob,
      roomId,
      refusals,
      answers,
      get delivered() {
        return delivered;
      },
      get slowestMs() {
        return slowestMs;
      },
      async stop() {
        flowing = false;
        await load;
        return delivered;
      },
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  }

  /** Everything that was answered has come, each once, in order, and nobody was told of anything else. */
  async function nothingLost({ bob, alice }: { bob: TestPeer; alice: TestPeer }, sent: number) {
    await until(() => signalsOf(bob).length >= sent);
    expect(signalsOf(bob)).toEqual(Array.from({ length: sent }, (_, n) => n));
    nobodyEnded({ alice, bob });
  }

  /** Nobody was told that the room had ended, nor refused its events. */
  function nobodyEnded({ alice, bob }: { bob: TestPeer; alice: TestPeer }) {
    for (const peer of [alice, bob]) {
      expect(peer.types).not.toContain("partner-disconnected");
      expect(peer.errors).toEqual([]);
    }
  }

  /** What they missed can't be replayed, but they are where they were. */
  async function bothToldOfTheirRoom(site: { bob: TestPeer; alice: TestPeer; roomId: string }) {
    for (const peer of [site.alice, site.bob])
      expect(await peer.next("resync")).toMatchObject({
        state: { status: "paired", roomId: site.roomId },
      });
  }

  test("frozen: calls go on, mutations fail by name within a second, and all comes back within five", async () => {
    await using site = await underLoad();
    await until(() => site.delivered > 20);
    site.cluster.redis.freeze();
    await until(() => site.refusals.length > 3);
    expect(site.refusals[0]).toMatchObject({ reason: "unavailable", retryAfterMs: 1000 });
    await until(
      async () => (await site.answers(0)).status === 503 && (await site.answers(1)).status === 503,
    );
    expect(site.slowestMs).toBeLessThan(1500);
    const before = site.delivered;
    site.cluster.redis.thaw();
    const thawedAt = performance.now();
    await until(() => site.delivered > before);
    await until(async () => (await site.answers(0)).ok && (await site.answers(1)).ok);
    expect(performance.now() - thawedAt).toBeLessThan(5000);
    await nothingLost(site, await site.stop());
  }, 60_000);

  test("frozen for longer than every lease: nobody is lost by that", async () => {
    await using site = await underLoad();
    await until(() => site.delivered > 20);
    site.cluster.redis.freeze();
    await Bun.sleep(leaseMs + 1000);
    site.cluster.redis.thaw();
    const before = site.delivered;
    await until(() => site.delivered > before + 5);
    await nothingLost(site, await site.stop());
  }, 60_000);

  test("its connections reset: nothing is lost", async () => {
    await using site = await underLoad();
    for (let n = 0; n < 5; n++) {
      const before = site.delivered;
      await until(() => site.delivered > before + 10);
      await site.cluster.redis.cli("client", "kill", "type", "normal");
      await site.cluster.redis.cli("client", "kill", "type", "pubsub");
    }
    // Nothing more is sent: what was missed must come by itself.
    await nothingLost(site, await site.stop());
  }, 60_000);

  test("killed, and started again with what it had: everybody is told where they stand, rooms go on", async () => {
    await using site = await underLoad();
    await until(() => site.delivered > 20);
    await site.cluster.redis.kill();
    await until(() => site.refusals.length > 3);
    expect((await site.answers(0)).status).toBe(503);
    await site.cluster.redis.start();
    const startedAt = performance.now();
    await bothToldOfTheirRoom(site);
    expect(performance.now() - startedAt).toBeLessThan(5000);
    const before = site.delivered;
    await until(() => site.delivered > before + 5);
    await site.stop();
    nobodyEnded(site);
  }, 60_000);

  test("killed, and a replica takes over: everybody is told where they stand, rooms go on", async () => {
    await using wire = await createSilencer();
    await using site = await underLoad(wire);
    const { redis } = site.cluster;
    await using replica = await startRedis(["--replicaof", "127.0.0.1", String(redis.port)]);
    await until(async () =>
      (await replica.cli("info", "replication")).includes("master_link_status:up"),
    );
    await until(() => site.delivered > 20);
    await redis.kill();
    await replica.cli("replicaof", "no", "one");
    wire.before(replica.port);
    await bothToldOfTheirRoom(site);
    const before = site.delivered;
    await until(() => site.delivered > before + 5);
    await site.stop();
    nobodyEnded(site);
  }, 60_000);

  test("killed, and started again with nothing: nobody is left in a room that is no more", async () => {
    await using site = await underLoad();
    await until(() => site.delivered > 20);
    await site.cluster.redis.kill();
    await until(() => site.refusals.length > 3);
    await site.cluster.redis.start({ forget: true });
    for (const peer of [site.alice, site.bob])
      expect(await peer.next("resync")).toEqual({ type: "resync", state: { status: "idle" } });
    await site.stop();
    await roomOf(site.alice, site.bob);
  }, 60_000);

  test("flushed under load: the same", async () => {
    await using site = await underLoad();
    await until(() => site.delivered > 20);
    await site.cluster.redis.cli("flushall");
    for (const peer of [site.alice, site.bob])
      expect(await peer.next("resync")).toEqual({ type: "resync", state: { status: "idle" } });
    await site.stop();
    await roomOf(site.alice, site.bob);
  }, 60_000);

  test("a subscription that fell silent without an error is found and laid anew", async () => {
    await using wire = await createSilencer();
    await using site = await underLoad(wire);
    await until(() => site.delivered > 20);
    wire.silence();
    const before = site.delivered;
    await until(() => site.delivered > before + 10);
    await nothingLost(site, await site.stop());
    expect(wire.swallowed).toBeGreaterThan(10);
  }, 60_000);
});

interface Silencer extends AsyncDisposable {
  /** Answers the URL under which this Redis is reached through here. */
  before(port: number): string;
  /** From now on nothing reaches those who have subscribed on a connection that is open now. */
  silence(): void;
  /** From now on what is published comes so much later (milliseconds), and in its order. */
  delay(ms: number): void;
  readonly swallowed: number;
}

/** Between nodes and their Redis: can hold back what is published, and leaves the connections open. */
async function createSilencer(): Promise<Silencer> {
  const connections = new Set<{ subscribed: boolean; silent: boolean; ends: Socket[] }>();
  let target = 0;
  let swallowed = 0;
  let delayMs = 0;
  const server = createServer((near) => {
    const far = connect(target, "127.0.0.1");
    const connection = { subscribed: false, silent: false, ends: [near, far] };
    connections.add(connection);
    near.on("data", (chunk) => {
      if (/subscribe/i.test(chunk.toString("latin1"))) connection.subscribed = true;
      far.write(chunk);
    });
    far.on("data", (chunk) => {
      if (connection.silent) swallowed += 1;
      else if (connection.subscribed && delayMs > 0) setTimeout(() => near.write(chunk), delayMs);
      else near.write(chunk);
    });
    for (const end of connection.ends) {
      end.on("error", () => {});
      end.on("close", () => {
        connections.delete(connection);
        for (const each of connection.ends) each.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    before(port) {
      target = port;
      return `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
    },
    silence() {
      for (const connection of connections) connection.silent = connection.subscribed;
    },
    delay(ms) {
      delayMs = ms;
    },
    get swallowed() {
      return swallowed;
    },
    async [Symbol.asyncDispose]() {
      for (const { ends } of connections) for (const end of ends) end.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
