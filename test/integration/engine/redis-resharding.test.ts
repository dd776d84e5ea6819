/** What is called while half of the keys have been moved to another master: refused as a whole, and nothing is written. */
import { expect, test } from "bun:test";
import { isRejection } from "../../../src/domain/rejection.ts";
import { defaultWishes } from "../../../src/domain/ticket.ts";
import type { Stream } from "../../../src/engine/engine.ts";
import { absentKey } from "../../../src/engine/redis/keys.ts";
import { createRedisEngine, type RedisEngine } from "../../../src/engine/redis/redis-engine.ts";
import { createSystem } from "../../../src/system.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { startRedisCluster } from "../../support/redis-cluster.ts";
import { until } from "../../support/until.ts";

const prefix = "resharding:";
const alice = { sessionId: "alice", generation: 1 };
const signal = JSON.stringify({ type: "offer", roomId: "room", sdp: "v=0" });

const attach = async (engine: RedisEngine, sessionId: string): Promise<Stream> => {
  const request = { sessionId, generation: 0, addressHash: "an address", wake() {} };
  const attached = await engine.attach(request);
  if (isRejection(attached)) throw new Error(attached.reason);
  return attached.stream;
};

const verbs: Record<string, (engine: RedisEngine) => unknown> = {
  attach: (engine) =>
    engine.attach({ sessionId: "carol", generation: 0, addressHash: "", wake() {} }),
  status: (engine) => engine.status(alice),
  enqueue: (engine) => engine.enqueue(alice, defaultWishes),
  send: (engine) => engine.send(alice, "room", signal),
  confirm: (engine) => engine.confirm(alice, "room"),
  end: (engine) => engine.end(alice, { ending: "leave" }),
  avoid: (engine) => engine.avoid(alice, "room"),
  report: (engine) => engine.report(alice, "room"),
  suspend: (engine) => engine.suspend({ kind: "session", id: "alice" }, Date.now() + 1e6),
  lift: (engine) => engine.lift({ kind: "session", id: "alice" }),
  stats: (engine) => engine.stats(),
};

test("each verb is unavailable, no key is changed on either master, and afterwards all is as it was", async () => {
  await using cluster = await startRedisCluster({ settings: ["--enable-debug-command", "yes"] });
  const system = createSystem();
  const open = () =>
    createRedisEngine(system, engineOptions, {
      locations: [cluster.location],
      prefix,
      clock: system,
      // Nothing of a node may be due meanwhile.
      leaseMs: 600_000,
    });
  const engine = open();
  await engine.opened();
  for (const sessionId of ["alice", "bob"]) {
    await attach(engine, sessionId);
    await engine.enqueue({ sessionId, generation: 1 }, defaultWishes);
  }
  const offer = await engine.matchOptions("bob");
  const [polite] = offer?.eligible ?? [];
  if (!offer || !polite) throw new Error("alice must be on offer");
  const terms = { roomId: "room", relayOnly: false, sharedInterests: [] };
  expect(await engine.pair({ ...terms, impolite: offer.ticket, polite })).toBe(true);

  // One node for each verb: once refused, a node asks Redis no more until it is available again.
  const asking = Object.entries(verbs).map(([name, verb]) => ({ name, verb, node: open() }));
  const sweeping = open();
  await Promise.all([sweeping, ...asking.map(({ node }) => node)].map((node) => node.opened()));
  const key = absentKey(prefix);
  const from = await cluster.ownerOf(key);
  const to = cluster.masters.find((master) => master !== from);
  if (!to) throw new Error("there are three masters");
  const digests = () => Promise.all([from, to].map((redis) => redis.cli("debug", "digest")));
  const outcomes: Record<string, unknown> = {};
  await cluster.moveSlot(key, to, async () => {
    const before = await digests();
    expect(new Set([...before, `${"0".repeat(40)}\n`]).size).toBe(3);
    for (const { name, verb, node } of asking) {
      expect([name, node.available()]).toEqual([name, true]);
      outcomes[name] = ((await verb(node)) as { reason?: string }).reason;
    }
    expect(await sweeping.sweep()).toMatchObject({ newlyWaiting: [] });
    expect(await digests()).toEqual(before);
  });
  expect(outcomes).toEqual(
    Object.fromEntries(Object.keys(verbs).map((name) => [name, "unavailable"])),
  );
  await until("it finds the keys at the other one", async () => {
    const status = await engine.status(alice);
    return !isRejection(status) && status.status === "paired" && status.roomId === "room";
  });
  expect(await engine.send(alice, "room", signal)).toBe(true);
  expect(await engine.stats()).toMatchObject({ online: 2, rooms: { video: 1 } });
  for (const node of [engine, sweeping, ...asking.map((one) => one.node)]) await node.close();
}, 40_000);
