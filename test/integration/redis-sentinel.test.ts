/** Nodes that find their Redis through Sentinels, when the master dies, is replaced, or is not known. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { startRedis, untilReplicated } from "../support/redis.ts";
import { expectBothToldOfTheirRoom, startLoad, type Load } from "../support/redis-load.ts";
import { startSentinels, type Sentinels } from "../support/sentinels.ts";
import { startServer } from "../support/server-process.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(60_000);

const auth = ["--no-auth-warning", "-a", "right"];
const settings = { name: "mymaster", password: "theirs" };

/** A master with a replica and three Sentinels, and what nodes are told of them. */
async function startSite(stack: AsyncDisposableStack) {
  const own = "--requirepass right --masterauth right --repl-diskless-sync-delay 0".split(" ");
  const master = stack.use(await startRedis(own));
  const replica = stack.use(
    await startRedis([...own, "--replicaof", "127.0.0.1", String(master.port)]),
  );
  await until("the replica has loaded the data", async () =>
    (await replica.cli(...auth, "info", "replication")).includes("master_link_status:up"),
  );
  const sentinels = stack.use(await startSentinels(master, 1, { ...settings, auth: "right" }));
  const env = {
    REDIS_URL: "redis://:right@mymaster",
    REDIS_SENTINELS: sentinels.addresses,
    REDIS_SENTINEL_PASSWORD: settings.password,
  };
  return { master, replica, sentinels, env };
}

/** Waits until the Sentinels have promoted the replica, then until the nodes work with it, within the bound. */
async function expectToFollow(
  load: Load,
  sentinels: Sentinels,
  replica: { port: number },
  since: number,
) {
  await until(
    "the Sentinels name the replica",
    async () => (await sentinels.masterPort()) === replica.port,
    20_000,
  );
  const promotedAt = performance.now();
  await expectBothToldOfTheirRoom(load);
  await until("both nodes are ready", () => load.areReady());
  const readyMs = performance.now() - promotedAt;
  console.log(
    `  promoted ${Math.round(promotedAt - since)} ms after, ready ${Math.round(readyMs)} ms later`,
  );
  expect(readyMs).toBeLessThan(5000);
  await load.goesOn(10_000);
  await load.stop();
  expect(load.wrongs).toEqual([]);
  for (const peer of [load.alice, load.bob]) {
    expect(peer.types).not.toContain("partner-disconnected");
    expect(peer.errors).toEqual([]);
  }
}

describe("a failover by Sentinels under load", () => {
  test("of a master that has died, with one Sentinel gone as well", async () => {
    await using stack = new AsyncDisposableStack();
    const { master, replica, sentinels, env } = await startSite(stack);
    const load = stack.use(await startLoad(env, true));
    await load.goesOn(10_000);
    await untilReplicated(master, replica, auth);
    await sentinels.kill(0);
    const since = performance.now();
    await master.kill();
    await expectToFollow(load, sentinels, replica, since);
  });

  test("of a master that is frozen, and lives on as if nothing had happened when it thaws", async () => {
    await using stack = new AsyncDisposableStack();
    const { master, replica, sentinels, env } = await startSite(stack);
    const load = stack.use(await startLoad(env, true));
    await load.goesOn(10_000);
    await untilReplicated(master, replica, auth);
    const since = performance.now();
    master.freeze();
    stack.defer(() => master.thaw());
    await expectToFollow(load, sentinels, replica, since);
    master.thaw();
    // The Sentinels take some ten seconds for that.
    await until(
      "the old one is a replica",
      async () => (await master.cli(...auth, "role")).startsWith("slave"),
      20_000,
    );
    expect(await load.areReady()).toBe(true);
  });

  test("of a master that lives, by hand (SENTINEL FAILOVER)", async () => {
    await using stack = new AsyncDisposableStack();
    const { master, replica, sentinels, env } = await startSite(stack);
    const load = stack.use(await startLoad(env, true));
    await load.goesOn(10_000);
    await untilReplicated(master, replica, auth);
    const since = performance.now();
    await sentinels.cli(1, "sentinel", "failover", settings.name);
    await expectToFollow(load, sentinels, replica, since);
  });
});

test("a node whose Sentinels do not answer, refuse it, or know no such master says which", async () => {
  await using stack = new AsyncDisposableStack();
  const { sentinels, env } = await startSite(stack);
  await sentinels.kill(2);
  const [first = "", , dead = ""] = sentinels.addresses.split(",");
  const cases: [env: Record<string, string>, fault: string, level: number][] = [
    [{ REDIS_URL: "redis://:right@unknown" }, "sentinel", 50],
    [{ REDIS_URL: "redis://:wrong@mymaster" }, "login", 50],
    [{ REDIS_SENTINEL_PASSWORD: "wrong", REDIS_SENTINELS: first }, "login", 50],
    [{ REDIS_SENTINELS: dead }, "unreachable", 40],
  ];
  await Promise.all(
    cases.map(async ([change, fault, level]) => {
      const common = { SESSION_SECRET: "the same secret on every node" };
      const server = stack.use(
        await startServer({ ...common, ...env, ...change }, undefined, false),
      );
      await until(`${fault}: it says why`, () => server.output.includes('"fault"'));
      const line = server.output.split("\n").find((text) => text.includes('"fault"')) ?? "";
      expect(JSON.parse(line)).toMatchObject({ fault, level, cure: expect.any(String) });
      expect(server.output).not.toContain("theirs");
      expect((await fetch(`${server.origin}/readyz`)).status).toBe(503);
    }),
  );
});
