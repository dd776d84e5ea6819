/** A Redis that is far away or full: what it costs, and that nothing is done by halves. */
import { expect, test } from "bun:test";
import { startCluster } from "../support/cluster.ts";
import { connectPeer, refusalOf, type TestPeer } from "../support/server.ts";
import { createTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { startRedis } from "../support/redis.ts";

/** The room that a peer was told of last, once it was told of one. */
async function roomOf({ told }: TestPeer): Promise<string> {
  let roomId = "";
  await until("a peer is paired", () => {
    for (const { event } of told)
      if (event.type === "create-offer" || event.type === "wait-for-offer") roomId = event.roomId;
    return roomId !== "";
  });
  return roomId;
}

const signalsOf = ({ told }: TestPeer) =>
  told.flatMap(({ event }) => (event.type === "offer" ? Number(event.sdp) : []));

for (const lagMs of [50, 200])
  test(`a Redis that is ${lagMs} ms away each way: a join that pairs takes two rounds, signals are in order, no node gives up`, async () => {
    await using use = new AsyncDisposableStack();
    const redis = use.use(await startRedis(["--appendonly", "no"]));
    const line = use.use(await createTcpProxy(new URL(redis.url)));
    const cluster = use.use(await startCluster(2, {}, () => line.http.replace("http:", "redis:")));
    line.lag(lagMs);
    const alice = use.use(await connectPeer(cluster.at(0)));
    const bob = use.use(await connectPeer(cluster.at(1)));
    expect(await alice.client.join.mutate({})).toEqual({ status: "waiting" });
    const before = performance.now();
    expect(await bob.client.join.mutate({})).toEqual({ status: "paired" });
    // Two rounds, and less than a third beside them.
    expect(performance.now() - before).toBeLessThan(2.9 * 2 * lagMs + 50);
    const roomId = await roomOf(alice);
    const count = 40;
    const numbers = Array.from({ length: count }, (_, n) => n);
    const answers = await Promise.all(
      numbers.map((n) => alice.client.offer.mutate({ roomId, sdp: `${n}`, id: `${n}` })),
    );
    expect(answers).toEqual(numbers.map(() => ({ delivered: true })));
    await until("bob has received all", () => signalsOf(bob).length === count);
    expect(signalsOf(bob)).toEqual(numbers);
    // Longer than a lease: nobody's ends because its heartbeats take their time.
    await Bun.sleep(7000);
    expect(await bob.client.offer.mutate({ roomId, sdp: "40" })).toEqual({ delivered: true });
    for (const peer of [alice, bob]) expect(peer.types).not.toContain("resync");
    for (const node of cluster.nodes) expect(node.output).not.toContain("unavailable");
  }, 40_000);

test("signals while Redis is full are refused by name, and each is delivered once when it is sent again", async () => {
  await using use = new AsyncDisposableStack();
  const cluster = use.use(await startCluster(2));
  const { redis } = cluster;
  const alice = use.use(await connectPeer(cluster.at(0)));
  const bob = use.use(await connectPeer(cluster.at(1)));
  await alice.client.join.mutate({});
  await bob.client.join.mutate({});
  const roomId = await roomOf(alice);
  const send = (n: number) => alice.client.offer.mutate({ roomId, sdp: `${n}`, id: `${n}` });
  expect(await send(0)).toEqual({ delivered: true });
  await redis.cli("config", "set", "maxmemory", "1mb");
  for (const n of [0, 1, 2]) {
    const answer = await refusalOf(send(n));
    // What was delivered before is known.
    if (n === 0) expect(answer).toEqual({ answered: { delivered: true } });
    else expect(answer).toMatchObject({ reason: "unavailable", retryAfterMs: 1000 });
  }
  // For longer than a lease: nobody is fenced off for want of memory.
  await Bun.sleep(8000);
  await redis.cli("config", "set", "maxmemory", "0");
  for (const n of [0, 1, 2, 3])
    await until(`signal ${n} is delivered`, async () => (await send(n)).delivered);
  await until("bob has received all", () => signalsOf(bob).length >= 4);
  expect(signalsOf(bob)).toEqual([0, 1, 2, 3]);
  for (const peer of [alice, bob]) expect(peer.types).not.toContain("resync");
}, 40_000);
