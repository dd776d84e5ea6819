/** A Redis that is not what it should be: from the start, after a failover, or because it is full. */
import { layoutVersion } from "../../src/engine/redis/keys.ts";
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { freePort } from "../support/ports.ts";
import { startRedis } from "../support/redis.ts";
import { startServer, type ServerProcess } from "../support/server-process.ts";
import { connectPeer, refusalOf } from "../support/server.ts";
import { createTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(40_000);

const secret = { SESSION_SECRET: "the same secret on every node", ALLOW_NO_ORIGIN: "true" };
const wsOf = ({ origin }: ServerProcess) => ({ ws: origin.replace("http", "ws") });

const statusOf = async (server: ServerProcess, path: string) =>
  (await fetch(`${server.origin}/${path}`)).status;

interface Line {
  level: number;
  msg: string;
  fault?: string;
  cure?: string;
}
const linesOf = (server: ServerProcess): Line[] =>
  server.output.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []));

describe("D5 a start with a Redis that is not fit", () => {
  const warn = 40;
  const error = 50;

  test("D5 says why at once, whether that can pass, and answers probes and signals meanwhile", async () => {
    await using stack = new AsyncDisposableStack();
    const redis = stack.use(await startRedis(["--requirepass", "right"]));
    const master = stack.use(await startRedis());
    const replica = stack.use(await startRedis(["--replicaof", "127.0.0.1", String(master.port)]));
    await master.cli("ACL", "SETUSER", "narrow", "on", ">right", "~other:*", "&*", "+@all");
    const narrow = `redis://narrow:right@127.0.0.1:${master.port}`;
    const nobody = `redis://127.0.0.1:${await freePort()}`;
    const cases: [url: string, fault: string, level: number][] = [
      [redis.url.replace("//", "//:wrong@"), "login", error],
      [redis.url, "login", error],
      [`${master.url}/99`, "database", error],
      [narrow, "permission", error],
      [replica.url, "replica", warn],
      [nobody, "unreachable", warn],
      ["redis://no-such-host.invalid:6379", "unreachable", warn],
    ];
    await Promise.all(
      cases.map(async ([url, fault, level]) => {
        const server = await startServer({ ...secret, REDIS_URL: url }, undefined, false);
        stack.use(server);
        const told = () => linesOf(server).filter((line) => line.msg.startsWith("Redis is un"));
        await until(`${url}: it says why`, () => told().length > 0, 5000);
        expect(told()).toMatchObject([{ level, fault }]);
        expect(told()[0]?.cure).toBeString();
        expect(server.output).not.toContain("right");
        expect([await statusOf(server, "livez"), await statusOf(server, "readyz")]).toEqual([
          200, 503,
        ]);
        const socket = await fetch(`${server.origin}/trpc`, { headers: { upgrade: "websocket" } });
        expect([socket.status, socket.headers.get("retry-after")]).toEqual([503, "1"]);
        const before = performance.now();
        await server.stop();
        expect(performance.now() - before).toBeLessThan(5000);
        // Told once, however often it was tried.
        expect(told()).toHaveLength(1);
        expect(server.output).toContain('"leaving"');
      }),
    );
  });

  test("D5 goes on by itself where that can pass", async () => {
    const redis = await startRedis();
    await using _ = redis;
    await redis.kill();
    await using server = await startServer({ ...secret, REDIS_URL: redis.url }, undefined, false);
    await until("it says why", () => linesOf(server).some(({ fault }) => fault === "unreachable"));
    await redis.start();
    await until("it is ready", async () => (await statusOf(server, "readyz")) === 200);
    await using alice = await connectPeer(wsOf(server));
    expect(await alice.client.join.mutate()).toEqual({ status: "waiting" });
  });
});

test("D1 a failover behind one name: the old master lives on as a replica, and all is well within 5 s", async () => {
  await using stack = new AsyncDisposableStack();
  const first = stack.use(await startRedis());
  const second = stack.use(await startRedis(["--replicaof", "127.0.0.1", String(first.port)]));
  const name = stack.use(await createTcpProxy(new URL(first.url)));
  const REDIS_URL = name.http.replace("http:", "redis:");
  const nodes = await Promise.all([0, 1].map(() => startServer({ ...secret, REDIS_URL })));
  for (const node of nodes) stack.use(node);
  const [one, other] = nodes as [ServerProcess, ServerProcess];
  const alice = stack.use(await connectPeer(wsOf(one)));
  expect(await alice.client.join.mutate({ interests: ["chess"] })).toEqual({ status: "waiting" });

  await until("the second one has all", async () =>
    (await second.cli("INFO", "replication")).includes("master_link_status:up"),
  );
  name.retarget(new URL(second.url));
  await second.cli("REPLICAOF", "NO", "ONE");
  await first.cli("REPLICAOF", "127.0.0.1", String(second.port));
  const since = performance.now();
  // The connections of before are open all the while, and lead to a replica.
  await until("both nodes have noticed", () =>
    nodes.every((node) => linesOf(node).some(({ fault }) => fault === "replica")),
  );
  for (const node of nodes)
    await until("the node is ready", async () => (await statusOf(node, "readyz")) === 200, 5000);
  const bob = stack.use(await connectPeer(wsOf(other)));
  await until(
    "somebody is paired across the nodes",
    async () => (await bob.client.join.mutate({ interests: ["chess"] })).status === "paired",
    5000,
  );
  expect(performance.now() - since).toBeLessThan(5000);
});

test("D8 a Redis that is full: refused by name, logged, not ready, and well again when there is room", async () => {
  await using redis = await startRedis(["--maxmemory-policy", "noeviction"]);
  await using server = await startServer({
    ...secret,
    REDIS_URL: redis.url,
    LIMIT_SOCKETS_PER_ADDRESS: "0",
    LIMIT_HANDSHAKES_PER_MIN: "0",
  });
  await using alice = await connectPeer(wsOf(server));
  expect(await alice.client.join.mutate()).toEqual({ status: "waiting" });
  await redis.cli("CONFIG", "SET", "maxmemory", "1mb");
  const refused = await refusalOf(alice.client.join.mutate({ interests: ["chess"] }));
  expect(refused).toMatchObject({ reason: "unavailable", retryAfterMs: 1000 });
  expect(await statusOf(server, "readyz")).toBe(503);
  expect(await statusOf(server, "livez")).toBe(200);
  const told = () => linesOf(server).filter(({ fault }) => fault === "memory");
  expect(told()).toMatchObject([{ level: 40, cure: expect.stringContaining("maxmemory") }]);

  // Whoever comes now is told, and holds no socket in silence.
  const newcomers = await Promise.all(
    Array.from({ length: 50 }, async () => {
      const socket = new WebSocket(`${wsOf(server).ws}/trpc`);
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onerror = () => reject(new Error("no socket"));
      });
      const answer = new Promise<string>((resolve) => {
        socket.onmessage = ({ data }) => String(data).includes("error") && resolve(String(data));
      });
      socket.send(JSON.stringify({ id: 1, method: "subscription", params: { path: "events" } }));
      const text = await answer;
      socket.close();
      return text;
    }),
  );
  expect(newcomers.every((text) => text.includes('"reason":"unavailable"'))).toBe(true);

  await redis.cli("CONFIG", "SET", "maxmemory", "0");
  await until("it is ready", async () => (await statusOf(server, "readyz")) === 200, 5000);
  await using bob = await connectPeer(wsOf(server));
  await until(
    "the two are paired",
    async () => (await bob.client.join.mutate()).status === "paired",
  );
  // Alice, who was there before, has lost nothing but that one call.
  await alice.next("wait-for-offer");
  expect(told()).toHaveLength(1);
});

test("a node refuses to start while nodes with another layout of the data run, and says so", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const layout = () => redis.cli("get", "peer-stream:{0}:layout");
  // As a node of another release would keep it.
  await redis.cli("set", "peer-stream:{0}:layout", "0", "px", "60000");
  const start = () => startServer({ ...secret, REDIS_URL: redis.url });
  const refusal = await start().catch((error: unknown) => String(error));
  expect(refusal).toContain("nodes with version 0 of the data's layout are running");
  expect(refusal).toContain("stop all nodes of the other release");
  expect(refusal).toContain("ended with code 1");
  expect(await layout()).toBe("0\n");
  // Once they have stopped, nothing renews it.
  await redis.cli("del", "peer-stream:{0}:layout");
  await using server = await start();
  expect(await statusOf(server, "readyz")).toBe(200);
  expect(await layout()).toBe(`${layoutVersion}\n`);
  expect(Number(await redis.cli("pttl", "peer-stream:{0}:layout"))).toBeGreaterThan(0);
});
