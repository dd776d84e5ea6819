import { expect, test } from "bun:test";
import { defaultWishes } from "../../src/domain/ticket.ts";
import { isRejection } from "../../src/domain/rejection.ts";
import type { Stream } from "../../src/engine/engine.ts";
import { engineOptions } from "../support/engine-options.ts";
import { everyEngine } from "../support/engines.ts";
import { enginesOn, startRedis } from "../support/redis.ts";
import { createVirtualSystem } from "../support/virtual-system.ts";
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
