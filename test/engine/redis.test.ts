import { expect, test } from "bun:test";
import { defaultWishes } from "../../src/domain/ticket.ts";
import { isRejection } from "../../src/domain/rejection.ts";
import type { Engine, Stream } from "../../src/engine/engine.ts";
import { engineOptions } from "../support/engine-options.ts";
import { everyEngine } from "../support/engines.ts";
import { enginesOn, startRedis } from "../support/redis.ts";
import { createVirtualSystem, type VirtualSystem } from "../support/virtual-system.ts";
import { describeEngine } from "./contract.ts";
import { expectForgottenToBeAttributed } from "./forgotten.ts";
import { describeProperties } from "./properties.ts";

/** A history takes a thousand round trips and more. */
const runs = Number(process.env["REDIS_HISTORIES"] ?? 150);

const { "in Redis": open } = await everyEngine(1);
if (!open) throw new Error("there must be an engine in Redis");

describeEngine("in Redis", open);
describeProperties("in Redis", open, runs);

test("a signal is one round trip to Redis, its acknowledgement and its way to the partner included", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const engines = enginesOn(redis);
  const engine = engines.open(createVirtualSystem(), engineOptions);
  const streams: Stream[] = [];
  for (const sessionId of ["alice", "bob"]) {
    const attached = await engine.attach({ sessionId, claim: 0, addressHash: "", wake() {} });
    if (isRejection(attached)) throw new Error(attached.reason);
    streams.push(attached.stream);
    await engine.enqueue({ sessionId, claim: 1 }, defaultWishes);
  }
  const offer = await engine.candidates("bob");
  const [polite] = offer?.candidates ?? [];
  if (!offer || !polite) throw new Error("alice must be on offer");
  const terms = { roomId: "room", relayOnly: false, sharedInterests: [] };
  expect(await engine.pair({ ...terms, impolite: offer.ticket, polite })).toBe(true);
  const callsOf = async (command: string) =>
    Number(
      new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(
        await redis.cli("info", "commandstats"),
      )?.[1] ?? 0,
    );
  const signal = JSON.stringify({ type: "offer", roomId: "room", sdp: "v=0" });
  const send = async () =>
    isRejection(await engine.send({ sessionId: "bob", claim: 1 }, "room", signal));
  // The first one brings the script along.
  expect(await send()).toBe(false);
  await redis.cli("config", "resetstat");
  for (let n = 0; n < 50; n++) expect(await send()).toBe(false);
  const [ofAlice] = streams;
  const told = ofAlice && (await engine.read(ofAlice, 0));
  if (!Array.isArray(told)) throw new Error("alice must be able to read");
  expect(told.filter(({ json }) => json === signal)).toHaveLength(51);
  expect(await callsOf("evalsha")).toBe(50);
  expect(await callsOf("eval")).toBe(0);
  await engines.close();
});

test("A16 a report about a session that was forgotten counts against that session, and against no address", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const engines = enginesOn(redis);
  await expectForgottenToBeAttributed(engines.open, async () => {
    // What its expiry does: that goes by Redis' own clock.
    const keys = (await redis.cli("keys", "*s:bob")).split("\n").filter(Boolean);
    expect(keys).not.toBeEmpty();
    await redis.cli("del", ...keys);
  });
  await engines.close();
});

/** Two sessions of one address that meet, one of which blocks the other, and both go for good. */
async function blockAndGo(
  engine: Engine,
  system: VirtualSystem,
  [one, other]: [string, string],
  addressHash: string,
) {
  const streams: Stream[] = [];
  for (const sessionId of [one, other]) {
    const attached = await engine.attach({ sessionId, claim: 0, addressHash, wake() {} });
    if (isRejection(attached)) throw new Error(attached.reason);
    streams.push(attached.stream);
    await engine.enqueue({ sessionId, claim: 1 }, defaultWishes);
  }
  const offer = await engine.candidates(other);
  const [polite] = offer?.candidates ?? [];
  if (!offer || !polite) throw new Error("they must be on offer to each other");
  const terms = { roomId: `of ${one}`, relayOnly: false, sharedInterests: [] };
  expect(await engine.pair({ ...terms, impolite: offer.ticket, polite })).toBe(true);
  await engine.avoid({ sessionId: one, claim: 1 }, `of ${one}`);
  await engine.end({ sessionId: one, claim: 1 }, { ending: "block" });
  for (const sessionId of [one, other])
    await engine.end({ sessionId, claim: 1 }, { ending: "leave" });
  for (const stream of streams) await engine.detach(stream);
  await system.advance(engineOptions.graceMs + 1000);
  await engine.sweep();
}

test("A2, A12 a block is kept in Redis as long as a token lives, within bounds by number and by address", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const engines = enginesOn(redis);
  const system = createVirtualSystem();
  const blocks = { blockersMax: 4, blockersPerAddressMax: 2 };
  const engine = engines.open(system, { ...engineOptions, blocks });
  const dayS = 86_400;
  const lifeS = async (sessionId: string) => {
    const keys = (await redis.cli("keys", `*:[sv]:${sessionId}`)).split("\n").filter(Boolean);
    return Promise.all(keys.map(async (key) => Number(await redis.cli("ttl", key))));
  };
  const isKept = async (sessionId: string) =>
    (await lifeS(sessionId)).every((seconds) => seconds > 6.9 * dayS);

  await blockAndGo(engine, system, ["alice", "bob"], "a household");
  expect(await lifeS("alice")).toHaveLength(2);
  expect(await isKept("alice")).toBe(true);
  // Whoever was only blocked is remembered as any other: the word is the blocker's.
  expect(Math.max(...(await lifeS("bob")))).toBeLessThanOrEqual(600);

  for (const n of [0, 1, 2])
    await blockAndGo(engine, system, [`flood ${n}`, `x ${n}`], "a flooder");
  expect(await Promise.all([0, 1, 2].map((n) => isKept(`flood ${n}`)))).toEqual([
    false,
    true,
    true,
  ]);
  expect(await isKept("alice")).toBe(true);
  for (const n of [0, 1]) await blockAndGo(engine, system, [`anybody ${n}`, `y ${n}`], `home ${n}`);
  expect(await isKept("anybody 1")).toBe(true);
  expect(await isKept("alice")).toBe(false);
  await engines.close();
});

test("A9 votes that do not count are not written, and those that do push no suspension out for a new node", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const engines = enginesOn(redis, { prefix: "one-site:" });
  const system = createVirtualSystem();
  const engine = engines.open(system, engineOptions);
  const until = system.now() + 86_400_000;
  await engine.suspend({ kind: "session", id: "mallory" }, until);
  await engine.suspend({ kind: "session", id: "lifted" }, until);
  expect(await engine.lift({ kind: "session", id: "lifted" })).toBe(true);
  await engine.suspend({ kind: "session", id: "over" }, system.now() + 1);

  for (const sessionId of ["alice", "bob"]) {
    const address = `${sessionId}'s home`;
    await engine.attach({ sessionId, claim: 0, addressHash: address, wake() {} });
    await engine.enqueue({ sessionId, claim: 1 }, defaultWishes);
  }
  const offer = await engine.candidates("bob");
  const [polite] = offer?.candidates ?? [];
  if (!offer || !polite) throw new Error("alice must be on offer");
  const terms = { roomId: "room", relayOnly: false, sharedInterests: [] };
  await engine.pair({ ...terms, impolite: offer.ticket, polite });
  const words = async () => Number(await redis.cli("xlen", "one-site:mod"));
  const before = await words();
  const report = () => engine.report({ sessionId: "alice", claim: 1 }, "room");
  expect(await report()).toMatchObject({ first: true, counted: false });
  expect(await words()).toBe(before);
  await system.advance(5000);
  for (let n = 0; n < 20; n++) expect(await report()).toMatchObject({ first: false });
  expect(await words()).toBe(before);

  // As if a flood of votes had pushed all older words out.
  await redis.cli("xtrim", "one-site:mod", "maxlen", "0");
  const another = engines.open(system, engineOptions);
  // Asks Redis, so it waits until the node is there.
  await another.stats();
  const known = await another.suspensions();
  if (isRejection(known)) throw new Error(known.reason);
  expect(known.map(({ subject, by }) => [subject.id, by])).toEqual([["mallory", "operator"]]);
  expect(await redis.cli("hkeys", "one-site:suspended")).toBe("session mallory\n");
  await engines.close();
});
