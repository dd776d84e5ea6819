/** What is told to whom when Redis is frozen for long, or replaced by one that has missed something. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { startCluster } from "../support/cluster.ts";
import { expectBothToldOfTheirRoom, startLoad } from "../support/redis-load.ts";
import { startRedis, type Redis } from "../support/redis.ts";
import { connectPeer, refusalOf, signalsOf, type TestPeer } from "../support/server.ts";
import { createTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(60_000);

/** When Redis is back everything works again within this (milliseconds), as the documents have it. */
const backWithinMs = 5000;

const manual = { autoRejoin: false };

/** Two peers in a room of their own. */
async function meet(one: TestPeer, other: TestPeer): Promise<string> {
  const wishes = { ...manual, interests: [crypto.randomUUID().slice(0, 8)] };
  await one.client.join.mutate(wishes);
  await until("they are paired", async () => {
    const { status } = await other.client.join.mutate(wishes);
    return status === "paired";
  });
  return (await one.next("wait-for-offer")).roomId;
}

/** Resolves when the replica has everything that the master has now. */
async function caughtUp(master: Redis, replica: Redis): Promise<void> {
  const marker = crypto.randomUUID();
  await master.cli("set", "marker", marker);
  await until("the replica has all", async () =>
    (await replica.cli("get", "marker")).includes(marker),
  );
}

const graceMs = 10_000;

for (const clockAheadMs of [30_000, -30_000])
  test(`a replica that had fallen behind takes over, with a clock ${clockAheadMs / 1000} s ahead: both members of a room are told the same, and graces last as long as they do`, async () => {
    await using use = new AsyncDisposableStack();
    const master = use.use(await startRedis(["--repl-diskless-sync-delay", "0"]));
    const feed = use.use(await createTcpProxy(new URL(master.url)));
    const replica = use.use(
      await startRedis(["--replicaof", "127.0.0.1", new URL(feed.http).port]),
    );
    const name = use.use(await createTcpProxy(new URL(master.url)));
    const REDIS_URL = name.http.replace("http:", "redis:");
    const load = use.use(await startLoad({ REDIS_URL, GRACE_MS: String(graceMs) }, true));
    const connect = async (node: number) =>
      use.use(await connectPeer({ ws: (load.nodes[node]?.origin ?? "").replace("http", "ws") }));
    const [carol, dave] = [await connect(0), await connect(1)];
    const roomId = await meet(carol, dave);
    await load.goesOn(10_000);
    // Away when it happens: one comes back in time, by the clock that ran when she went, and one never does.
    const away = [await connect(0), await connect(0)] as const;
    const left = [await connect(1), await connect(1)] as const;
    const rooms = [await meet(left[0], away[0]), await meet(left[1], away[1])];
    const lastEventId = away[0].told.at(-1)?.id ?? "";
    const goneAt = performance.now();
    for (const peer of away) await peer[Symbol.asyncDispose]();
    for (const peer of left) await peer.next("partner-reconnecting");
    await caughtUp(master, replica);

    // What happens from here on, the replica never hears of.
    feed.freeze();
    await carol.client.leave.mutate();
    expect(await dave.next("partner-disconnected")).toMatchObject({ roomId, reason: "left" });
    const [erin, frank] = [await connect(0), await connect(1)];
    await meet(erin, frank);
    await load.goesOn(10_000);

    const before = signalsOf(load.bob).length;
    await master.kill();
    name.setClockAhead(clockAheadMs);
    name.retarget(new URL(replica.url));
    await replica.cli("replicaof", "no", "one");
    const promotedAt = performance.now();
    await expectBothToldOfTheirRoom(load);
    // Their room is back, for both of them.
    for (const peer of [carol, dave])
      expect(await peer.next("resync")).toMatchObject({ state: { status: "paired", roomId } });
    // Theirs has never been, for both of them.
    for (const peer of [erin, frank])
      expect(await peer.next("resync")).toMatchObject({ state: { status: "idle" } });
    await until("both nodes are ready", () => load.areReady(), backWithinMs);
    expect(performance.now() - promotedAt).toBeLessThan(backWithinMs);
    const ws = (load.nodes[1]?.origin ?? "").replace("http", "ws");
    const back = use.use(await connectPeer({ ws }, { token: away[0].token, lastEventId }));
    expect(await back.next("resync")).toMatchObject({
      state: { status: "paired", roomId: rooms[0] },
    });
    expect(performance.now() - goneAt).toBeLessThan(graceMs);

    await meet(erin, frank);
    await carol.client.leave.mutate();
    const leftAt = performance.now();
    expect(await dave.next("partner-disconnected")).toMatchObject({ roomId, reason: "left" });
    expect(performance.now() - leftAt).toBeLessThan(1000);
    await load.goesOn(10_000);
    const lost = { roomId: rooms[1], reason: "lost" };
    expect(await left[1].next("partner-disconnected")).toMatchObject(lost);
    const graceLasted = performance.now() - goneAt;
    expect(graceLasted).toBeGreaterThan(graceMs - 1000);
    expect(graceLasted).toBeLessThan(graceMs + 3000);
    await load.stop();
    expect(load.wrongs).toEqual([]);
    expect(left[0].types).not.toContain("partner-disconnected");
    await until(
      "the last signal has come",
      () => signalsOf(load.bob).at(-1) === load.delivered - 1,
    );
    // In order; one that was on its way when the master died may be missing, or come on either side of it.
    const come = signalsOf(load.bob);
    const steps = come.slice(1).map((n, index) => n - Number(come[index]));
    expect(come.slice(0, before)).toEqual(Array.from({ length: before }, (_, n) => n));
    expect(steps.every((step) => step >= 0 && step <= 2)).toBe(true);
    expect(steps.filter((step) => step !== 1).length).toBeLessThanOrEqual(1);
    for (const peer of [load.alice, load.bob, carol, dave, erin, frank]) {
      expect(peer.types).not.toContain("partner-reconnecting");
      expect(peer.errors).toEqual([]);
    }
    for (const peer of [load.alice, load.bob])
      expect(peer.types).not.toContain("partner-disconnected");
  });

test("frozen for longer than every lease and every grace: only who was absent before is lost, and the partner is told once", async () => {
  await using use = new AsyncDisposableStack();
  const cluster = use.use(await startCluster(2, { GRACE_MS: "4000" }));
  const { redis } = cluster;
  const connect = async (node: number) => use.use(await connectPeer(cluster.at(node)));
  const pairs: { one: TestPeer; other: TestPeer; roomId: string }[] = [];
  for (let n = 0; n < 10; n++) {
    const [one, other] = [await connect(0), await connect(1)];
    pairs.push({ one, other, roomId: await meet(one, other) });
  }
  const carol = await connectPeer(cluster.at(0));
  const dave = await connect(1);
  const ended = await meet(carol, dave);
  await carol[Symbol.asyncDispose]();
  await dave.next("partner-reconnecting");

  redis.freeze();
  await Bun.sleep(10_000);
  redis.thaw();
  const thawedAt = performance.now();
  expect(await dave.next("partner-disconnected")).toMatchObject({ roomId: ended, reason: "lost" });
  expect(performance.now() - thawedAt).toBeLessThan(backWithinMs);
  // Longer than it takes until the sessions of the nodes' former leases are taken over.
  const keysOf = async () => (await redis.cli("zcard", "peer-stream:2:{0}:nodes")).trim();
  await until("the former leases are gone", async () => (await keysOf()) === "2", 20_000);
  for (const { one, other, roomId } of pairs) {
    const { status } = await one.client.join.mutate(manual);
    expect(status).toBe("paired");
    const candidate = { candidate: "7" };
    expect(await one.client.addIceCandidate.mutate({ roomId, candidate })).toEqual({
      delivered: true,
    });
    await until("it has come", () => signalsOf(other).length > 0);
    expect(signalsOf(other)).toEqual([7]);
    for (const peer of [one, other]) {
      expect(peer.types).not.toContain("partner-reconnecting");
      expect(peer.types).not.toContain("partner-disconnected");
      expect(peer.errors).toEqual([]);
    }
  }
  expect(dave.types.filter((type) => type === "partner-disconnected")).toHaveLength(1);
  const erin = await connect(0);
  await meet(erin, dave);
});

test("frozen for 3 s while a node dies: whoever comes back through the other one has lost nothing", async () => {
  await using use = new AsyncDisposableStack();
  const cluster = use.use(await startCluster(2, { GRACE_MS: "20000" }));
  const { redis } = cluster;
  let home = 0;
  const alice = use.use(await connectPeer({ ws: () => cluster.at(home).ws }));
  const bob = use.use(await connectPeer(cluster.at(1)));
  const roomId = await meet(alice, bob);
  const send = (from: TestPeer, n: number) =>
    refusalOf(
      from.client.addIceCandidate.mutate({
        id: `signal ${n}`,
        roomId,
        candidate: { candidate: `${n}` },
      }),
    );
  for (let n = 0; n < 10; n++)
    expect(await send(alice, n)).toEqual({ answered: { delivered: true } });
  redis.freeze();
  // On its way: nobody knows whether it was delivered.
  const lost = send(alice, 10);
  await Bun.sleep(300);
  home = 1;
  await cluster.nodes[0]?.kill();
  expect(await lost).toEqual({});
  await Bun.sleep(2700);
  redis.thaw();
  const thawedAt = performance.now();
  const lastEventId = alice.told.at(-1)?.id ?? "";
  const isReady = async () => (await fetch(`${cluster.at(1).http}/readyz`)).ok;
  await until("the other node is ready", isReady, backWithinMs);
  const back = use.use(await connectPeer(cluster.at(1), { token: alice.token, lastEventId }));
  expect(back.told[0]?.event).toMatchObject({
    resumed: true,
    state: { status: "paired", roomId },
  });
  expect(performance.now() - thawedAt).toBeLessThan(backWithinMs);
  for (let n = 10; n < 20; n++)
    await until(`signal ${n} is answered`, async () => "answered" in (await send(back, n)));
  await until("bob has all", () => signalsOf(bob).length >= 20);
  expect(signalsOf(bob)).toEqual(Array.from({ length: 20 }, (_, n) => n));
  for (const peer of [back, bob]) {
    expect(peer.types).not.toContain("resync");
    expect(peer.types).not.toContain("partner-disconnected");
  }
});
