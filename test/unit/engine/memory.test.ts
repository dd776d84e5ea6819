import { expect, test } from "bun:test";
import { isRejection } from "../../../src/domain/rejection.ts";
import { defaultWishes } from "../../../src/domain/ticket.ts";
import { createMemoryEngine } from "../../../src/engine/memory/memory-engine.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { createVirtualSystem, seededRandom } from "../../support/virtual-system.ts";
import { lobbyVerbs } from "../../support/lobby-contract.ts";
import { accountVerbs } from "../../support/account-contract.ts";
import { delayed } from "../../support/world.ts";
import type { EngineOptions } from "../../../src/engine/engine.ts";
import { describeFacts } from "../../support/facts-contract.ts";
import { describeEngine } from "../../support/engine-contract.ts";
import { describeLaneMeetings, describeLanes } from "../../support/lane-contract.ts";
import { expectForgottenToBeAttributed } from "../../support/forgotten.ts";

describeEngine("in memory", createMemoryEngine);
describeLanes("in memory", createMemoryEngine);
describeLaneMeetings("in memory", createMemoryEngine);
describeFacts("in memory", createMemoryEngine);
describeFacts("in memory, behind random delays", delayed(createMemoryEngine, seededRandom(4)));
describeEngine("in memory, behind random delays", delayed(createMemoryEngine, seededRandom(3)));
test("A16 a report about a session that was forgotten counts against that session, and against no address", () =>
  expectForgottenToBeAttributed(createMemoryEngine, async (engine, system) => {
    // The first sweep ends bob's grace, the second one his retention.
    for (let sweeps = 0; sweeps < 2; sweeps++) {
      await system.advance(3_600_000);
      await engine.sweep();
    }
  }));

test("A12 sessions that block each other and go are kept within the bounds, those that went last", async () => {
  const system = createVirtualSystem();
  const blocks = { blockersMax: 40, blockersPerAddressMax: 10 };
  const engine = createMemoryEngine(system, { ...engineOptions, blocks });
  async function attach(sessionId: string, addressHash: string) {
    const attached = await engine.attach({ sessionId, generation: 0, addressHash, wake() {} });
    if (isRejection(attached)) throw new Error(attached.reason);
    await engine.enqueue({ sessionId, generation: attached.stream.generation }, defaultWishes);
    return attached.stream;
  }
  /** Two sessions of one address that meet, block each other, and go. */
  async function couple(name: string, addressHash: string) {
    const names = [`${name} one`, `${name} two`];
    const streams = [];
    for (const one of names) streams.push(await attach(one, addressHash));
    const offer = await engine.matchOptions(names[1] ?? "");
    const [polite] = offer?.eligible ?? [];
    if (!offer || !polite) throw new Error("the two must find each other");
    const terms = { roomId: name, relayOnly: false, sharedInterests: [] };
    await engine.pair({ ...terms, impolite: offer.ticket, polite });
    for (const sessionId of names) await engine.avoid({ sessionId, generation: 1 }, name);
    await engine.end({ sessionId: names[0] ?? "", generation: 1 }, { ending: "block" });
    for (const sessionId of names)
      await engine.end({ sessionId, generation: 1 }, { ending: "leave" });
    for (const stream of streams) await engine.detach(stream);
    await system.advance(1000);
  }
  async function passTime(ms: number) {
    for (let sweeps = 0; sweeps < 3; sweeps++) {
      await system.advance(ms / 3);
      await engine.sweep();
    }
  }
  /** Whether the two would be paired again. */
  async function meet(name: string, addressHash: string) {
    const streams = [
      await attach(`${name} one`, addressHash),
      await attach(`${name} two`, addressHash),
    ];
    const found = await engine.matchOptions(`${name} two`);
    for (const { sessionId, generation } of streams)
      await engine.end({ sessionId, generation }, { ending: "leave" });
    for (const stream of streams) await engine.detach(stream);
    return (found?.eligible.length ?? 0) > 0;
  }

  for (let n = 0; n < 20; n++) await couple(`flood ${n}`, "of a flooder");
  await couple("alice and bob", "of a household");
  await passTime(3_600_000);
  // Of one address: five couples of ten sessions, and nobody else's.
  const met = async (numbers: number[]) =>
    Promise.all(numbers.map((n) => meet(`flood ${n}`, "of a flooder")));
  expect(await met([0])).toEqual([true]);
  expect(await met([19])).toEqual([false]);
  expect(await meet("alice and bob", "of a household")).toBe(false);
  // In all: whoever comes from anywhere pushes out those that went first.
  await passTime(3_600_000);
  for (let n = 0; n < 30; n++) await couple(`everywhere ${n}`, `address ${n}`);
  await passTime(3_600_000);
  expect(await meet("everywhere 29", "address 29")).toBe(false);
  expect(await meet("everywhere 0", "address 0")).toBe(true);
});

/** An engine whose peers have accounts, and a way to let so much time pass that all is forgotten that need not be kept. */
function accounts(options: Partial<EngineOptions>) {
  const system = createVirtualSystem();
  const engine = createMemoryEngine(system, { ...engineOptions, ...options });
  const passTime = async (ms = 3_600_000) => {
    for (let sweeps = 0; sweeps < 3; sweeps++) {
      await system.advance(ms / 3);
      await engine.sweep();
    }
  };
  return { system, engine, passTime, ...accountVerbs(engine) };
}

test("nothing is left of accounts whose sessions are gone and who have not blocked anybody", async () => {
  const skipping = { burst: 1, forgetMs: 1e9, delayMs: 1e9, delayMsMax: 1e9 };
  const { engine, enter, pair, attach, leave, passTime } = accounts({ skipping });
  for (const n of [1, 2]) {
    const [tab, other] = [await enter(`tab ${n}`, "ann"), await enter(`other ${n}`, "bob")];
    expect(await pair(tab, other)).toBe(true);
    await leave(tab);
    await leave(other);
    for (const { stream } of [tab, other]) await engine.detach(stream);
  }
  const tab = await attach("tab 3", "ann");
  expect(await engine.enqueue(tab)).toMatchObject({ reason: "rate-limited" });
  await engine.detach(tab.stream);
  await passTime();
  expect((await engine.sweep()).nextAt).toBeUndefined();
  expect(await engine.enqueue(await attach("tab 4", "ann"))).toMatchObject({ status: "waiting" });
});

test("accounts that have blocked somebody and are gone are kept within the bounds, those that went last", async () => {
  const blocks = { blockersMax: 3, blockersPerAddressMax: 2 };
  const { engine, enter, pair, candidatesOf, leave, passTime } = accounts({ blocks });
  const bob = await enter("bob", "bob");
  for (const n of [1, 2, 3, 4, 5]) {
    const network = n < 4 ? "crowded~ address" : undefined;
    const tab = await enter(`tab ${n}`, `ann ${n}`, { network });
    await engine.enqueue(bob);
    expect(await pair(tab, bob, `room ${n}`)).toBe(true);
    await engine.avoid(tab, `room ${n}`);
    await engine.end(tab, { ending: "block" });
    await leave(tab);
    await leave(bob);
    await engine.detach(tab.stream);
    await passTime();
  }
  await engine.enqueue(bob);
  const meet: number[] = [];
  for (const n of [1, 2, 3, 4, 5]) {
    const tab = await enter(`tab ${n} later`, `ann ${n}`);
    if ((await candidatesOf(tab))?.includes("bob")) meet.push(n);
    await leave(tab);
    await engine.detach(tab.stream);
  }
  expect(meet).toEqual([1, 2]);
  await passTime(8 * 86_400_000);
  await leave(bob);
  await engine.detach(bob.stream);
  await passTime();
  await passTime(8 * 86_400_000);
  expect((await engine.sweep()).nextAt).toBeUndefined();
});

test("nothing is kept of a lobby that nobody is in, not even how long peers have waited there", async () => {
  const system = createVirtualSystem();
  const engine = createMemoryEngine(system, engineOptions);
  const { enter, pair, end, lastLobby, lobbies } = lobbyVerbs(engine);
  async function fill() {
    const peers = [];
    for (let n = 0; n < 3; n++) {
      const pairOf = [
        await enter(`one ${n}`, "berlin"),
        await enter(`two ${n}`, "berlin"),
      ] as const;
      await pair(...pairOf);
      peers.push(...pairOf);
    }
    return peers;
  }
  const peers = await fill();
  await system.advance(2000);
  const newcomer = await enter("newcomer", "berlin");
  expect(await lastLobby(newcomer)).toMatchObject({ estimateMs: 0 });
  for (const peer of [...peers, newcomer]) await end(peer, "leave");
  for (const { stream } of [...peers, newcomer]) await engine.detach(stream);
  expect(await lobbies()).toEqual([]);
  const told = await lastLobby(await enter("another", "berlin"));
  expect(told).toEqual({ type: "lobby", waiting: 1, online: 1 });
});
