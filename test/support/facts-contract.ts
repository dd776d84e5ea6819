/** What every engine must keep of facts and wants: nobody is offered whom a hard want of either excludes, and whoever fits is found. */
import { describe, expect, test } from "bun:test";
import { createDimensions, meets, type Want } from "../../src/domain/facts.ts";
import { createFairPolicy } from "../../src/domain/matchmaker.ts";
import { defaultWishes, type Wishes } from "../../src/domain/ticket.ts";
import type { Caller, EngineOptions } from "../../src/engine/engine.ts";
import type { Facts } from "../../src/protocol.ts";
import type { FactsDeclaration } from "../../src/protocol/declaration.ts";
import { accountVerbs } from "./account-contract.ts";
import { engineOptions } from "./engine-options.ts";
import { createVirtualSystem, seededRandom } from "./virtual-system.ts";
import type { OpenEngine } from "./world.ts";

const countries = Array.from({ length: 80 }, (_, n) => `country ${n}`);

/** Eight dimensions of all kinds. */
const declaration: FactsDeclaration = {
  region: { kind: "one", of: ["eu", "us", "asia"] },
  country: { kind: "one", of: countries },
  gender: { kind: "one", of: ["woman", "man", "other"] },
  age: { kind: "range", from: 18, to: 99 },
  height: { kind: "range", from: 140, to: 210, bands: [160, 180] },
  topics: { kind: "set", of: ["jazz", "rock", "chess", "go"] },
  tongues: { kind: "set", of: ["en", "de", "fr"] },
  adult: { kind: "flag" },
};

export const dimensions = createDimensions(declaration);

/** A hard want, the facts that meet it, and facts that do not. */
const hard: readonly (readonly [Want, meeting: readonly Facts[], failing: readonly Facts[]])[] = [
  [{ of: "region", in: ["eu", "us"] }, [{ region: "us" }], [{ region: "asia" }, { adult: true }]],
  [
    { of: "country", in: ["country 1", "country 79"] },
    [{ country: "country 1" }, { country: "country 79" }],
    // The same bits as the first and the last one.
    [{ country: "country 32" }, { country: "country 17" }, { country: "country 63" }, {}],
  ],
  [
    { of: "country", in: countries.slice(1, 40) },
    [{ country: "country 1" }, { country: "country 39" }],
    [{ country: "country 0" }, { country: "country 40" }, {}],
  ],
  [
    { of: "age", from: 21, to: 38 },
    [{ age: 21 }, { age: 30 }, { age: 38 }],
    [{ age: 20 }, { age: 39 }, {}],
  ],
  [{ of: "age", from: 18, to: 18 }, [{ age: 18 }], [{ age: 19 }, { age: 99 }, {}]],
  [{ of: "age", from: 99 }, [{ age: 99 }], [{ age: 98 }, {}]],
  [{ of: "age", to: 24 }, [{ age: 24 }, { age: 18 }], [{ age: 25 }, {}]],
  [
    { of: "height", from: 160, to: 179 },
    [{ height: 160 }, { height: 179 }],
    [{ height: 159 }, { height: 180 }, {}],
  ],
  [{ of: "height", from: 161 }, [{ height: 161 }, { height: 210 }], [{ height: 160 }]],
  [
    { of: "topics", in: ["jazz", "rock"] },
    [{ topics: ["rock"] }, { topics: ["go", "jazz", "rock"] }],
    [{ topics: ["go", "chess"] }, { topics: [] }, {}],
  ],
  [{ of: "adult", is: true }, [{ adult: true }], [{ adult: false }, { region: "eu" }]],
  [{ of: "adult", is: false }, [{ adult: false }], [{ adult: true }, {}]],
];

/** Somebody who fits few of the same kind. */
function somebody(random: () => number): { facts: Facts; wants: Want[] } {
  const pick = <T>(values: readonly T[]) => values[Math.floor(random() * values.length)] as T;
  const chance = (share: number) => random() < share;
  const age = 18 + Math.floor(40 * random());
  const country = pick(["country 0", "country 31", "country 1"]);
  const wants: Want[] = [{ of: "age", from: age - 4, to: age + 4 }];
  if (chance(0.5)) wants.push({ of: "region", in: [pick(["eu", "us"])] });
  if (chance(0.4)) wants.push({ of: "gender", in: [pick(["woman", "man"])] });
  if (chance(0.2)) wants.push({ of: "topics", in: [pick(["jazz", "rock"])] });
  if (chance(0.1)) wants.push({ of: "country", in: [country] });
  if (chance(0.2)) wants.push({ of: "height", from: 150 + Math.floor(30 * random()) });
  return {
    facts: {
      age,
      country,
      region: pick(["eu", "us"]),
      gender: pick(["woman", "man", "man"]),
      ...(chance(0.8) && { height: 150 + Math.floor(50 * random()) }),
      ...(chance(0.7) && { topics: ["jazz", "rock"].filter(() => chance(0.5)) }),
      ...(chance(0.5) && { adult: chance(0.5) }),
    },
    wants,
  };
}

const fitByNames = (one: Wishes, other: Wishes) =>
  (one.wants ?? []).every((want) => meets(other.facts, want)) &&
  (other.wants ?? []).every((want) => meets(one.facts, want));

export function describeFacts(name: string, open: OpenEngine) {
  function setUp(options: Partial<EngineOptions> = {}) {
    const system = createVirtualSystem();
    const engine = open(system, { ...engineOptions, dimensions, ...options });
    const verbs = accountVerbs(engine);
    /** A peer that waits with these facts and wants. */
    const wait = (id: string, facts: Facts = {}, wants: readonly Want[] = [], wishes = {}) =>
      verbs.enter(id, undefined, { ...wishes, facts, wants });
    const waitMany = async (count: number, facts: Facts, wants: readonly Want[] = []) => {
      for (let n = 0; n < count; n++) await wait(`of many ${n}`, facts, wants);
    };
    return { system, engine, wait, waitMany, ...verbs };
  }

  describe(`facts and wants: ${name}`, () => {
    test.each(hard)("a hard want %j holds, whoever comes first", async (want, meeting, failing) => {
      const { wait, candidatesOf, leave } = setUp();
      for (const [facts, fits] of [
        ...meeting.map((one) => [one, true] as const),
        ...failing.map((one) => [one, false] as const),
      ]) {
        const picky = await wait("picky", {}, [want]);
        const other = await wait("other", facts);
        const offered = [await candidatesOf(picky), await candidatesOf(other)];
        expect({ facts, offered }).toEqual({
          facts,
          offered: fits ? [["other"], ["picky"]] : [[], []],
        });
        await leave(picky);
        await leave(other);
      }
    });

    test("the wants of both sides must be met, and all of them", async () => {
      const { wait, candidatesOf } = setUp();
      const facts = { gender: "man", age: 30, topics: ["go"], tongues: ["de", "en"] };
      const wants = [
        { of: "gender", in: ["woman"] },
        { of: "age", from: 25, to: 35 },
        { of: "topics", in: ["jazz"] },
      ];
      const alice = { gender: "woman", age: 26, topics: ["jazz"], tongues: ["en"] };
      await wait("younger", { ...alice, age: 24 });
      await wait("without jazz", { ...alice, topics: ["rock"] });
      await wait("wants rock", alice, [{ of: "topics", in: ["rock"] }]);
      await wait("wants older", alice, [{ of: "age", from: 31 }]);
      await wait("wants french", alice, [{ of: "tongues", in: ["fr"] }]);
      await wait("wants women", alice, [{ of: "gender", in: ["woman", "other"] }]);
      await wait("wants go and german", alice, [
        { of: "topics", in: ["go"] },
        { of: "tongues", in: ["de", "fr"] },
      ]);
      await wait("wants go and french", alice, [
        { of: "topics", in: ["go"] },
        { of: "tongues", in: ["fr"] },
      ]);
      await wait("wants nothing", alice);
      const picky = await wait("picky", facts, wants);
      expect(await candidatesOf(picky)).toEqual(["wants go and german", "wants nothing"]);
    });

    test("who wants values of different sets is found, and who wants what it does not have itself", async () => {
      const { wait, candidatesOf } = setUp();
      const jazz = await wait("jazz", { tongues: ["fr"] }, [{ of: "topics", in: ["jazz"] }]);
      const french = await wait("french", { topics: ["jazz"] }, [{ of: "tongues", in: ["fr"] }]);
      expect(await candidatesOf(jazz)).toEqual(["french"]);
      expect(await candidatesOf(french)).toEqual(["jazz"]);
    });

    test("facts and wants of those who share an interest hold as well", async () => {
      const { wait, candidatesOf } = setUp();
      const wants = [{ of: "region", in: ["eu"] }];
      const interests = { interests: ["jazz"] };
      const picky = await wait("picky", {}, wants, interests);
      await wait("from asia", { region: "asia" }, [], interests);
      expect(await candidatesOf(picky)).toEqual([]);
      await wait("from europe", { region: "eu" }, [], interests);
      expect(await candidatesOf(picky)).toEqual(["from europe"]);
    });

    describe("a soft want", () => {
      const soft = { of: "region", in: ["eu"], softAfterMs: 4000 };

      test("relaxes with the ticket's own waiting, without any newcomer", async () => {
        const { system, engine, wait, candidatesOf } = setUp();
        const began = engine.now();
        await wait("asia", { region: "asia" });
        const picky = await wait("picky", {}, [soft]);
        expect(await candidatesOf(picky)).toEqual([]);
        expect((await engine.sweep()).nextAt).toBe(began + 4000);
        await system.advance(3999);
        expect((await engine.sweep()).newlyWaiting).toEqual([]);
        expect(await candidatesOf(picky)).toEqual([]);
        await system.advance(1);
        expect((await engine.sweep()).newlyWaiting).toEqual(["picky"]);
        expect(await candidatesOf(picky)).toEqual(["asia"]);
      });

      test("relaxes before and after interests and languages do, each at its time", async () => {
        const { system, engine, wait, candidatesOf } = setUp();
        const wants = [
          { of: "topics", in: ["jazz"], softAfterMs: 2000 },
          { of: "age", from: 30, to: 40, softAfterMs: 12_000 },
          { of: "adult", is: true },
        ];
        const facts = { age: 20, adult: true };
        await wait("other", facts);
        const picky = await wait("picky", {}, wants, { interests: ["go"] });
        const offered: unknown[] = [];
        for (const passes of [2000, 8000, 1999, 1]) {
          await system.advance(passes);
          const { newlyWaiting } = await engine.sweep();
          offered.push([newlyWaiting, await candidatesOf(picky)]);
        }
        expect(offered).toEqual([
          [["picky"], []],
          [["picky"], []],
          [[], []],
          [["picky"], ["other"]],
        ]);
      });

      test("ranks those who meet it before others once it has relaxed", async () => {
        const { system, engine, wait } = setUp();
        await wait("asia", { region: "asia" });
        await wait("europe", { region: "eu" }, [{ of: "adult", is: true }]);
        const picky = await wait("picky", {}, [soft]);
        await system.advance(4000);
        await engine.sweep();
        // Now it may be seen by the one that it has waited for.
        await engine.enqueue(picky, { ...defaultWishes, facts: { adult: true }, wants: [soft] });
        const options = await engine.matchOptions("picky");
        if (!options) throw new Error("it waits");
        const policy = createFairPolicy({ patienceMs: 60_000, windowMs: 1000 });
        const moment = { now: engine.now(), random: () => 0 };
        expect(options.eligible.map(({ sessionId }) => sessionId)).toEqual(["asia", "europe"]);
        expect(policy(options.ticket, options.eligible, moment)?.sessionId).toBe("europe");
        // One who waits past the policy's patience goes first, whatever it states.
        const late = { ...moment, now: engine.now() + 60_000 };
        expect(policy(options.ticket, options.eligible, late)?.sessionId).toBe("asia");
      });
    });

    describe("behind more misfits than are read", () => {
      test("the one that fits is found among all, from either side", async () => {
        const { wait, waitMany, candidatesOf } = setUp();
        const many = { gender: "man", region: "us" };
        await waitMany(150, many, [{ of: "gender", in: ["woman"] }]);
        const picky = await wait("picky", { gender: "other" }, [{ of: "adult", is: true }]);
        expect(await candidatesOf(picky)).toEqual([]);
        const rare = await wait("rare", { adult: true }, [{ of: "gender", in: ["other"] }]);
        expect(await candidatesOf(rare)).toEqual(["picky"]);
        expect(await candidatesOf(picky)).toEqual(["rare"]);
      });

      test("the one that fits is found among those who state a value of a set", async () => {
        const { wait, waitMany, candidatesOf } = setUp();
        await waitMany(150, { topics: ["jazz"], adult: false }, [{ of: "region", in: ["asia"] }]);
        await wait("young", { topics: ["jazz"], adult: true, age: 20 });
        await wait("rare", { topics: ["jazz"], adult: true, age: 30 });
        const wants = [
          { of: "topics", in: ["jazz"] },
          { of: "age", from: 21 },
        ];
        const picky = await wait("picky", { region: "eu" }, wants);
        expect(await candidatesOf(picky)).toEqual(["rare"]);
        await waitMany(1, { topics: ["jazz"], adult: false }, [{ of: "region", in: ["eu"] }]);
        expect(await candidatesOf(picky)).toEqual(["of many 0", "rare"].slice(1));
      });

      test("the one that fits is found among those with the same bits", async () => {
        const { wait, waitMany, candidatesOf } = setUp();
        // Country 32 and country 1 are told apart only by name.
        await waitMany(150, { country: "country 32" }, [{ of: "adult", is: true }]);
        await wait("rare", { country: "country 1" }, [{ of: "adult", is: true }]);
        const wants = [{ of: "country", in: ["country 1"] }];
        const picky = await wait("picky", { adult: true }, wants);
        expect(await candidatesOf(picky)).toEqual(["rare"]);
        expect(await candidatesOf(await wait("another", { adult: true }, wants))).toEqual(["rare"]);
      });

      test("those who were queued first are offered first, also once others have left", async () => {
        const { system, engine, wait, waitMany, leave } = setUp();
        await waitMany(150, { gender: "man" }, [{ of: "gender", in: ["woman"] }]);
        const fitting = [];
        for (let n = 0; n < 8; n++) {
          await system.advance(1000);
          fitting.push(await wait(`fits ${n}`, { adult: true }, [{ of: "gender", in: ["other"] }]));
        }
        const offered = async (id: string) => {
          const options = await engine.matchOptions(id);
          return options?.eligible.map(({ sessionId }) => sessionId);
        };
        const wants = [{ of: "adult", is: true }];
        await wait("picky", { gender: "other" }, wants);
        expect(await offered("picky")).toEqual(["fits 0", "fits 1", "fits 2", "fits 3"]);
        for (const n of [0, 2]) {
          const one = fitting[n];
          if (one) await leave(one);
        }
        await system.advance(1000);
        await wait("newer", { adult: true }, [{ of: "gender", in: ["other"] }]);
        expect(await offered("picky")).toEqual(["fits 1", "fits 3", "fits 4", "fits 5"]);
      });

      test("nobody is offered who must not be met: avoided, or of the same account", async () => {
        const { engine, wait, waitMany, enter, pair, candidatesOf, leave } = setUp();
        await waitMany(150, { gender: "man" }, [{ of: "gender", in: ["woman"] }]);
        const facts = { gender: "other", adult: true };
        const wants = [{ of: "adult", is: true }];
        const one = await enter("one", "ann", { facts, wants });
        const other = await wait("other", facts, wants);
        expect(await candidatesOf(one)).toEqual(["other"]);
        expect(await pair(one, other, "room")).toBe(true);
        await engine.end(one, { ending: "skip" });
        // Both wait again with what they have stated.
        expect(await candidatesOf(one)).toEqual([]);
        expect(await candidatesOf(other)).toEqual([]);
        const tab = await enter("tab", "ann", { facts, wants });
        expect(await candidatesOf(tab)).toEqual([]);
        const third = await wait("third", facts, wants);
        expect(await candidatesOf(third)).toEqual(["one", "other", "tab"]);
        await leave(third);
        expect(await candidatesOf(one)).toEqual([]);
      });
    });

    test("whoever has anybody that fits is offered the longest queued of them, among hundreds of all kinds", async () => {
      const { system, engine, attach, leave } = setUp();
      const random = seededRandom(7);
      const waiting = new Map<string, { caller: Caller; wishes: Wishes; at: number }>();
      const callers: Caller[] = [];
      for (let n = 0; n < 300; n++) callers.push(await attach(`peer ${n}`, undefined));
      let found = 0;
      for (let step = 0; step < 700; step++) {
        const caller = callers[Math.floor(random() * callers.length)];
        if (!caller) throw new Error("there are some");
        const { sessionId } = caller;
        const before = waiting.get(sessionId);
        if (before && random() < 0.3) {
          await leave(caller);
          waiting.delete(sessionId);
          continue;
        }
        await system.advance(1000);
        const wishes: Wishes = { ...defaultWishes, ...somebody(random) };
        await engine.enqueue(caller, wishes);
        const at = before?.at ?? engine.now();
        waiting.set(sessionId, { caller, wishes, at });
        const options = await engine.matchOptions(sessionId);
        const offered = options?.eligible.map((ticket) => ticket.sessionId) ?? [];
        const fitting = [...waiting]
          .filter(([id, other]) => id !== sessionId && fitByNames(wishes, other.wishes))
          .sort(([, a], [, b]) => a.at - b.at)
          .map(([id]) => id);
        expect({ step, misfits: offered.filter((id) => !fitting.includes(id)) }).toEqual({
          step,
          misfits: [],
        });
        expect({ step, first: offered[0] }).toEqual({ step, first: fitting[0] });
        found += offered.length;
      }
      expect(waiting.size).toBeGreaterThan(150);
      expect(found).toBeGreaterThan(200);
    });

    test("two whose cooldown ends are offered to each other again, if they fit", async () => {
      const { system, engine, wait, pair, candidatesOf } = setUp({ skipCooldownMs: 20_000 });
      const wants = [{ of: "adult", is: true }];
      const one = await wait("one", { adult: true }, wants);
      const other = await wait("other", { adult: true }, wants);
      expect(await pair(one, other, "room")).toBe(true);
      await engine.end(one, { ending: "skip" });
      expect(await candidatesOf(other)).toEqual([]);
      await system.advance(20_000);
      expect((await engine.sweep()).newlyWaiting).toContain("one");
      expect(await candidatesOf(other)).toEqual(["one"]);
    });

    test("who waits and states something else is found by that, and no longer by what it was", async () => {
      const { engine, wait, candidatesOf } = setUp();
      const replaces = (caller: { sessionId: string; generation: number }, now: Partial<Wishes>) =>
        engine.enqueue(caller, { ...defaultWishes, ...now });
      const jazz = await wait("jazz", {}, [{ of: "topics", in: ["jazz"] }]);
      const europe = await wait("europe", {}, [{ of: "region", in: ["eu"] }]);
      const other = await wait("other", { topics: ["jazz"], region: "us" });
      expect(await candidatesOf(other)).toEqual(["jazz"]);
      await replaces(other, { facts: { topics: ["rock"], region: "eu" } });
      expect(await candidatesOf(other)).toEqual(["europe"]);
      expect(await candidatesOf(jazz)).toEqual([]);
      await replaces(jazz, { wants: [{ of: "topics", in: ["rock"] }] });
      expect(await candidatesOf(other)).toEqual(["europe", "jazz"]);
      await replaces(europe, { mode: "text" });
      expect(await candidatesOf(other)).toEqual(["jazz"]);
      await replaces(other, {});
      expect(await candidatesOf(other)).toEqual([]);
    });

    test("a pairing of a version before the wishes were replaced fails", async () => {
      const { engine, wait, ticketOf } = setUp();
      const [one, other] = [await wait("one", { adult: true }), await wait("other")];
      const [impolite, polite] = [await ticketOf(one), await ticketOf(other)];
      await engine.enqueue(other, { ...defaultWishes, wants: [{ of: "adult", is: false }] });
      const request = { roomId: "room", impolite, polite, relayOnly: false, sharedInterests: [] };
      expect(await engine.pair(request)).toBe(false);
    });

    test("who rejoins by itself, or comes back, has the same facts and wants", async () => {
      const { engine, wait, attach, pair, candidatesOf, leave } = setUp();
      const wants = [{ of: "adult", is: true }];
      const stays = await wait("stays", { region: "eu" }, wants);
      const leaves = await wait("leaves", { adult: true });
      expect(await pair(stays, leaves, "room")).toBe(true);
      await leave(leaves);
      const child = await wait("child", { adult: false });
      const adult = await wait("adult", { adult: true }, [{ of: "region", in: ["eu"] }]);
      expect(await candidatesOf(child)).toEqual(["adult"].slice(1));
      expect(await candidatesOf(adult)).toEqual(["stays"]);
      await engine.detach(stays.stream);
      expect(await candidatesOf(adult)).toEqual([]);
      const back = await attach("stays", undefined);
      expect(await candidatesOf(adult)).toEqual(["stays"]);
      expect(await candidatesOf(back)).toEqual(["adult"]);
    });
  });
}
