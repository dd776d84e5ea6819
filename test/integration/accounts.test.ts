/** What holds for an account, whatever tab, session, process or restart it comes by. */
import { describe, expect, test } from "bun:test";
import type { PeerStreamOptions } from "../../src/server.ts";
import { ends } from "../support/ends.ts";
import { connect, startHost } from "../support/host.ts";
import { startRedis } from "../support/redis.ts";
import { until } from "../support/until.ts";

/** `account@lobby` */
const authenticate: PeerStreamOptions["authenticate"] = ({ params }) => {
  if (params["auth"] === undefined) return {};
  const [account, lobby] = String(params["auth"]).split("@");
  return { account, lobby };
};

/** Opens a tab of an account; without one of an anonymous peer. */
async function tabOf(ws: string, account?: string) {
  const tab = connect(ws, account === undefined ? {} : { auth: account });
  await tab.next("session");
  return tab;
}

type Tab = Awaited<ReturnType<typeof tabOf>>;
const wishes = { autoRejoin: false };

/** Two that are the only ones waiting meet. */
async function meet(first: Tab, second: Tab): Promise<string> {
  await first.client.join.mutate(wishes);
  expect(await second.client.join.mutate(wishes)).toEqual({ status: "paired" });
  const { roomId } = await first.next("wait-for-offer");
  await second.next("create-offer");
  return roomId;
}

interface Site {
  /** Where tabs connect, each time to another process where there are several. */
  ws(): string;
  strangers: ReturnType<typeof startHost>["strangers"];
}

const limits = { limitIntentsPerS: 1000, skipCooldownMs: 60_000, reportsAfterMs: 0 };

const sites: Record<string, () => Promise<Site>> = {
  async "in memory"() {
    const { ws, strangers } = startHost({ authenticate, ...limits });
    return { ws: () => ws, strangers };
  },
  async "over two processes on Redis"() {
    const redis = await startRedis(["--appendonly", "no"]);
    ends.push(() => redis[Symbol.asyncDispose]());
    const options = { redisUrl: String(redis.url), sessionSecret: "a secret of these two hosts" };
    const hosts = [1, 2].map(() => startHost({ authenticate, ...limits, ...options }));
    for (const { strangers } of hosts)
      await until("the host has Redis", async () => (await strangers.stats()).online === 0);
    let next = 0;
    const [host] = hosts;
    if (!host) throw new Error("there are two");
    return { ws: () => hosts[next++ % 2]?.ws ?? "", strangers: host.strangers };
  },
};

for (const [where, open] of Object.entries(sites))
  describe(`an account, ${where}`, () => {
    test("never meets itself, and its tabs meet others", async () => {
      const { ws } = await open();
      const tabs = [
        await tabOf(ws(), "alice"),
        await tabOf(ws(), "alice"),
        await tabOf(ws(), "alice"),
      ];
      for (const { client } of tabs)
        expect(await client.join.mutate(wishes)).toEqual({ status: "waiting" });
      const bob = await tabOf(ws(), "bob");
      expect(await bob.client.join.mutate(wishes)).toEqual({ status: "paired" });
    }, 20_000);

    test("a block holds for its other tabs and later sessions, against all of the other's", async () => {
      const { ws } = await open();
      const [alice, bob] = [await tabOf(ws(), "alice"), await tabOf(ws(), "bob")];
      const roomId = await meet(alice, bob);
      await alice.client.block.mutate({ roomId });
      alice.socket.close();
      const [again, other] = [await tabOf(ws(), "alice"), await tabOf(ws(), "bob")];
      await bob.client.leave.mutate({});
      expect(await again.client.join.mutate(wishes)).toEqual({ status: "waiting" });
      expect(await other.client.join.mutate(wishes)).toEqual({ status: "waiting" });
      // Neither is barred from anybody else.
      const carol = await tabOf(ws(), "carol");
      expect(await carol.client.join.mutate(wishes)).toEqual({ status: "paired" });
    }, 20_000);

    test("a suspension puts out all its tabs at once, and keeps out new ones until it is lifted", async () => {
      const { ws, strangers } = await open();
      const tabs = [await tabOf(ws(), "alice"), await tabOf(ws(), "alice")];
      const [first, second] = tabs;
      if (!first || !second) throw new Error("there are two");
      const bob = await tabOf(ws(), "bob");
      await meet(first, bob);
      await second.client.join.mutate(wishes);
      await strangers.suspend({ account: "alice" }, Date.now() + 60_000);
      for (const tab of tabs)
        expect(await tab.next("resync")).toMatchObject({ state: { status: "idle" } });
      expect(await bob.next("partner-disconnected")).toMatchObject({ reason: "removed" });
      const later = await tabOf(ws(), "alice");
      for (const { client } of [...tabs, later]) {
        const refused = await client.join
          .mutate(wishes)
          .catch((error: { data: object }) => error.data);
        expect(refused).toMatchObject({ reason: "suspended" });
      }
      expect(await strangers.suspensions()).toMatchObject([
        { subject: { kind: "account", id: "alice" } },
      ]);
      expect(await strangers.lift({ account: "alice" })).toBe(true);
      await until(
        "another node has heard of it",
        async () => (await later.client.join.mutate(wishes)).status === "waiting",
      );
    }, 20_000);

    test("without an account all of that holds for the session alone", async () => {
      const { ws } = await open();
      const [alice, bob] = [await tabOf(ws()), await tabOf(ws())];
      const roomId = await meet(alice, bob);
      await alice.client.block.mutate({ roomId });
      await bob.client.leave.mutate({});
      const another = await tabOf(ws());
      await another.client.join.mutate(wishes);
      expect(await bob.client.join.mutate(wishes)).toEqual({ status: "paired" });
    }, 20_000);
  });

test("a block outlives the restart of every process, on Redis", async () => {
  const redis = await startRedis(["--appendonly", "no"]);
  ends.push(() => redis[Symbol.asyncDispose]());
  const options = { redisUrl: String(redis.url), sessionSecret: "a secret of these hosts" };
  const start = async () => {
    const host = startHost({ authenticate, ...limits, ...options });
    await until("the host has Redis", async () => (await host.strangers.stats()).online === 0);
    return host;
  };
  const before = await start();
  const [alice, bob] = [await tabOf(before.ws, "alice"), await tabOf(before.ws, "bob")];
  await alice.client.block.mutate({ roomId: await meet(alice, bob) });
  for (const { socket } of [alice, bob]) void socket.close();
  await until("both have gone", async () => (await before.strangers.stats()).online === 0);
  await before.strangers.stop();
  const after = await start();
  const [again, other] = [await tabOf(after.ws, "alice"), await tabOf(after.ws, "bob")];
  expect(await again.client.join.mutate(wishes)).toEqual({ status: "waiting" });
  expect(await other.client.join.mutate(wishes)).toEqual({ status: "waiting" });
}, 30_000);

test("the rate of its intents holds over two processes on Redis, and after both were started again", async () => {
  const redis = await startRedis(["--appendonly", "no"]);
  ends.push(() => redis[Symbol.asyncDispose]());
  const [perS, burst] = [1, 5];
  const start = async () => {
    const host = startHost({
      authenticate,
      ...limits,
      limitIntentsPerS: perS,
      redisUrl: String(redis.url),
      sessionSecret: "a secret of these hosts",
    });
    await until("the host has Redis", async () => (await host.strangers.stats()).online === 0);
    return host;
  };
  const startedAt = Date.now();
  let carriedOut = 0;
  /** Each tab joins more often than a process alone would let it. */
  async function exceed(...tabs: Tab[]) {
    const refusals: object[] = [];
    for (let n = 0; n <= burst; n++)
      for (const { client } of tabs)
        await client.join.mutate(wishes).then(
          () => void (carriedOut += 1),
          (error: { data: object }) => void refusals.push(error.data),
        );
    const allowed = burst + (perS * (Date.now() - startedAt)) / 1000;
    expect(carriedOut).toBeLessThanOrEqual(allowed);
    expect(refusals).not.toEqual([]);
    for (const refused of refusals) {
      expect(refused).toMatchObject({ reason: "rate-limited" });
      const { retryAfterMs } = refused as { retryAfterMs: number };
      expect(retryAfterMs).toBeGreaterThan(0);
      expect(retryAfterMs).toBeLessThanOrEqual(1000 / perS);
    }
  }

  const before = [await start(), await start()];
  const tabs = await Promise.all(before.map(({ ws }) => tabOf(ws, "alice")));
  await exceed(...tabs);
  expect(carriedOut).toBeGreaterThanOrEqual(burst);
  // Nobody else is disturbed, on either process.
  for (const { ws } of before)
    for (const other of [await tabOf(ws, `neighbour at ${ws}`), await tabOf(ws)]) {
      const { status } = await other.client.join.mutate(wishes);
      expect(["waiting", "paired"]).toContain(status);
      await other.client.leave.mutate({});
      void other.socket.close();
    }
  for (const { socket } of tabs) void socket.close();
  for (const { strangers } of before) {
    await until("all have gone", async () => (await strangers.stats()).online === 0);
    await strangers.stop();
  }
  const after = await start();
  await exceed(await tabOf(after.ws, "alice"));
}, 30_000);

for (const [where, open] of Object.entries(sites))
  test(`peers of two lobbies never meet, whatever they wish for and however they enter, ${where}`, async () => {
    const { ws } = await open();
    const inLobby = async (account: string) => tabOf(ws(), account);
    const [adult, minor] = [await inLobby("adult@adults"), await inLobby("minor@minors")];
    const words = { ...wishes, interests: ["chess"], languages: ["en"] };
    expect(await adult.client.join.mutate(words)).toEqual({ status: "waiting" });
    expect(await minor.client.join.mutate(words)).toEqual({ status: "waiting" });
    const skipping = await inLobby("another@minors");
    // Skipping without ever having joined enters the lobby, too: that of the peer.
    await minor.client.leave.mutate({});
    expect(await skipping.client.skip.mutate({})).toEqual({ status: "waiting" });
    const nowhere = await inLobby("nowhere");
    expect(await nowhere.client.join.mutate(wishes)).toEqual({ status: "waiting" });
    expect(await (await inLobby("second@minors")).client.join.mutate(wishes)).toEqual({
      status: "paired",
    });
    await skipping.next("wait-for-offer");
  }, 20_000);
