/** What every engine must keep of lanes: who meets whom first and when all meet, what conduct makes a lane, and that nobody is told. */
import { describe, expect, test } from "bun:test";
import { createDimensions } from "../../src/domain/facts.ts";
import { laneDimension, laneName } from "../../src/domain/lanes.ts";
import type { Wishes } from "../../src/domain/ticket.ts";
import type { Caller, EngineOptions } from "../../src/engine/engine.ts";
import { accountVerbs } from "./account-contract.ts";
import { engineOptions } from "./engine-options.ts";
import { createVirtualSystem } from "./virtual-system.ts";
import type { OpenEngine } from "./world.ts";

const laneAfterMs = 20_000;
const region = { kind: "one", of: ["eu", "us"] } as const;

/** With lanes, beside a declared dimension. */
export const laneOptions: EngineOptions = {
  ...engineOptions,
  skipCooldownMs: 0,
  relax: { ...engineOptions.relax, laneAfterMs },
  dimensions: createDimensions({ region, [laneName]: laneDimension }),
};

const withoutLanes: EngineOptions = {
  ...laneOptions,
  relax: engineOptions.relax,
  dimensions: createDimensions({ region }),
};

function setUp(open: OpenEngine, options = laneOptions) {
  const system = createVirtualSystem();
  const alarms: number[] = [];
  const engine = open(system, options);
  engine.onDeadline((at) => void alarms.push(at));
  const verbs = accountVerbs(engine);
  const { attach, enter, pair, ticketOf, settled } = verbs;
  const rooms = { count: 0 };

  /** The two, who wait, are paired, and the first one ends their room after so long; then both wait. */
  async function meet(one: Caller, other: Caller, lastedMs: number, ending: "skip" | "leave") {
    const roomId = `room ${(rooms.count += 1)}`;
    expect(await pair(one, other, roomId)).toBe(true);
    await system.advance(lastedMs);
    settled(await engine.end(one, { ending, roomId }));
    if (ending === "leave") settled(await engine.enqueue(one));
    return roomId;
  }

  /** Of the ticket as it is; `undefined` if it states none. */
  const laneOf = async (caller: Caller) => (await ticketOf(caller)).wishes.facts?.[laneName];

  /** A peer with bad conduct, which waits; and all that its partner was sent meanwhile. */
  async function enterBadly(sessionId: string, account?: string) {
    const peer = await enter(sessionId, account);
    const victim = await enter(`victim of ${sessionId}`);
    for (let n = 0; n < 12; n++) await meet(peer, victim, 1000, "skip");
    return { peer, victim };
  }

  async function report(reporter: Caller, reported: Caller, lastedMs: number) {
    const roomId = `room ${(rooms.count += 1)}`;
    expect(await pair(reporter, reported, roomId)).toBe(true);
    await system.advance(lastedMs);
    const { counted } = settled(await engine.report(reporter, roomId, "harassment"));
    settled(await engine.end(reporter, { ending: "report", roomId }));
    return counted;
  }

  /** Everything that it was sent, but for its first event, which has a token. */
  async function sentTo({ stream }: Awaited<ReturnType<typeof attach>>) {
    for (let after = 1; after < 1000; after++) {
      const entries = await engine.read(stream, after);
      if (Array.isArray(entries)) return entries.map(({ json }) => json);
    }
    throw new Error("its log must be readable");
  }

  return { system, engine, alarms, meet, laneOf, enterBadly, report, sentTo, ...verbs };
}

const inLane = (lane: number): Partial<Wishes> => ({ lane });

/** Who is offered to whom. Needs an index that knows facts. */
export function describeLaneMeetings(name: string, open: OpenEngine) {
  describe(`meetings in lanes: ${name}`, () => {
    test("peers of a lane are offered each other alone, and everybody once one of the two has waited for the bound", async () => {
      const { system, engine, alarms, enter, candidatesOf } = setUp(open);
      const beganAt = engine.now();
      const good1 = await enter("good 1", undefined, inLane(0));
      await enter("bad 1", undefined, inLane(1));
      await system.advance(1000);
      const good2 = await enter("good 2", undefined, inLane(0));
      const bad2 = await enter("bad 2", undefined, inLane(1));
      expect(await candidatesOf(good1)).toEqual(["good 2"]);
      expect(await candidatesOf(good2)).toEqual(["good 1"]);
      expect(await candidatesOf(bad2)).toEqual(["bad 1"]);
      expect(Math.min(...alarms)).toBe(beganAt + laneAfterMs);

      await system.advance(laneAfterMs - 1001);
      expect((await engine.sweep()).newlyWaiting).toEqual([]);
      expect(await candidatesOf(good2)).toEqual(["good 1"]);
      await system.advance(1);
      // Those whose time has come look again, without any newcomer.
      expect((await engine.sweep()).newlyWaiting.sort()).toEqual(["bad 1", "good 1"]);
      expect(await candidatesOf(good1)).toEqual(["bad 1", "bad 2", "good 2"]);
      expect(await candidatesOf(good2)).toEqual(["bad 1", "good 1"]);
      expect(await candidatesOf(bad2)).toEqual(["bad 1", "good 1"]);
    });

    test("nobody starves: the only one of a lane is met by the next newcomer of any lane after the bound", async () => {
      const { system, engine, enter, candidatesOf, pair } = setUp(open);
      const alone = await enter("alone", undefined, inLane(7));
      await enter("early", undefined, inLane(0));
      expect(await candidatesOf(alone)).toEqual([]);
      await engine.end({ sessionId: "early", generation: 1 }, { ending: "leave" });
      await system.advance(laneAfterMs);
      await engine.sweep();
      for (const lane of [0, 3]) {
        const newcomer = await enter(`newcomer ${lane}`, undefined, inLane(lane));
        expect(await candidatesOf(newcomer)).toEqual(["alone"]);
      }
      expect(await pair({ sessionId: "newcomer 3", generation: 1 }, alone)).toBe(true);
    });

    test("bad conduct is met by bad conduct first, and declared facts hold within a lane", async () => {
      const { enter, candidatesOf, enterBadly, engine } = setUp(open);
      const one = await enterBadly("bad 1");
      const two = await enterBadly("bad 2");
      // They were the partners of those, and skipped nobody.
      expect(await candidatesOf(one.victim)).toEqual(["victim of bad 2"]);
      expect(await candidatesOf(one.peer)).toEqual(["bad 2"]);
      await engine.end(two.peer, { ending: "leave" });
      await enter("bad 3", undefined, { lane: 1, facts: { region: "eu" } });
      const choosy = await enter("choosy", undefined, {
        lane: 1,
        wants: [{ of: "region", in: ["eu"] }],
      });
      await enter("good", undefined, { lane: 0, facts: { region: "eu" } });
      expect(await candidatesOf(choosy)).toEqual(["bad 3"]);
    });

    test("without lanes nobody is kept apart, whatever was named or done", async () => {
      const { enter, candidatesOf, enterBadly } = setUp(open, withoutLanes);
      const { peer, victim } = await enterBadly("bad");
      const seven = await enter("seven", undefined, inLane(7));
      expect(await candidatesOf(seven)).toEqual(["bad", "victim of bad"]);
      expect(await candidatesOf(peer)).toEqual(["seven", "victim of bad"]);
      expect(await candidatesOf(victim)).toEqual(["bad", "seven"]);
    });
  });
}

/** Which lane tickets have. */
export function describeLanes(name: string, open: OpenEngine) {
  describe(`lanes: ${name}`, () => {
    test("a ticket has the lane that the operator named, and any after the bound", async () => {
      const { system, engine, enter, laneOf, ticketOf } = setUp(open);
      const peer = await enter("peer", undefined, inLane(5));
      expect(await laneOf(peer)).toBe("5");
      expect((await ticketOf(peer)).required).toEqual([{ of: laneName, in: ["5", "any"] }]);
      // Policies rank by wants, and its lane is none of those.
      expect((await ticketOf(peer)).wishes.wants).toBeUndefined();
      await system.advance(laneAfterMs);
      await engine.sweep();
      expect(await laneOf(peer)).toBe("any");
      expect((await ticketOf(peer)).required).toBeUndefined();
      // Each wait begins with its lane.
      await engine.end(peer, { ending: "leave" });
      await engine.enqueue(peer);
      expect(await laneOf(peer)).toBe("5");
    });

    test("skipping within seconds again and again makes the other lane, and fades", async () => {
      const { system, engine, laneOf, enterBadly } = setUp(open);
      const { peer, victim } = await enterBadly("bad");
      expect(await laneOf(peer)).toBe("1");
      expect(await laneOf(victim)).toBe("0");
      await system.advance(3_600_000);
      await engine.sweep();
      await engine.end(peer, { ending: "leave" });
      await engine.enqueue(peer);
      expect(await laneOf(peer)).toBe("0");
    });

    test("leaving within seconds counts as skipping does, and later skips do not count", async () => {
      const { enter, meet, laneOf } = setUp(open);
      const [one, other] = [await enter("one"), await enter("other")];
      for (let n = 0; n < 12; n++) await meet(one, other, 1000, "leave");
      expect(await laneOf(one)).toBe("1");
      for (let n = 0; n < 12; n++) await meet(other, one, 6000, "skip");
      expect(await laneOf(other)).toBe("0");
    });

    test("conversations lead back", async () => {
      const { laneOf, meet, enterBadly, enter } = setUp(open);
      const { peer } = await enterBadly("bad");
      const patient = await enter("patient");
      await meet(patient, peer, 60_000, "skip");
      await meet(peer, patient, 60_000, "skip");
      expect(await laneOf(peer)).toBe("0");
    });

    test("reports that count make the other lane, others do not", async () => {
      const { enter, report, laneOf } = setUp(open);
      const peer = await enter("peer");
      expect(await report(await enter("hasty 1"), peer, 1000)).toBe(false);
      expect(await report(await enter("hasty 2"), peer, 1000)).toBe(false);
      expect(await report(await enter("reporter 1"), peer, 20_000)).toBe(true);
      expect(await laneOf(peer)).toBe("0");
      expect(await report(await enter("reporter 2"), peer, 20_000)).toBe(true);
      expect(await laneOf(peer)).toBe("1");
    });

    test("an account has its lane in all its sessions, also in later ones; a session without one has it alone", async () => {
      const { engine, enter, laneOf, enterBadly, report } = setUp(open);
      const tab = await enter("tab", "ann");
      expect(await laneOf(tab)).toBe("0");
      const { peer } = await enterBadly("bad", "ann");
      expect(await laneOf(peer)).toBe("1");
      await engine.end(tab, { ending: "leave" });
      await engine.enqueue(tab);
      expect(await laneOf(tab)).toBe("1");
      expect(await laneOf(await enter("later", "ann"))).toBe("1");
      expect(await laneOf(await enter("other", "bob"))).toBe("0");
      expect(await laneOf(await enter("anonymous"))).toBe("0");
      // Reports of different sessions of one account add up.
      for (const session of ["bob 1", "bob 2"])
        expect(
          await report(await enter(`of ${session}`), await enter(session, "bob"), 20_000),
        ).toBe(true);
      expect(await laneOf(await enter("bob 3", "bob"))).toBe("1");
    });

    test("the operator's word is the last, until a join for which there is none", async () => {
      const { engine, laneOf, enterBadly } = setUp(open);
      const { peer } = await enterBadly("bad");
      const wishes = (await engine.matchOptions("bad"))?.ticket.wishes;
      if (!wishes) throw new Error("it waits");
      const { facts: _, ...stated } = wishes;
      await engine.enqueue(peer, { ...stated, lane: 0 });
      expect(await laneOf(peer)).toBe("0");
      await engine.enqueue(peer, stated);
      expect(await laneOf(peer)).toBe("1");
      await engine.end(peer, { ending: "leave" });
      await engine.end(peer, { ending: "skip", lane: 3 });
      expect(await laneOf(peer)).toBe("3");
    });

    test("one that skips before it has ever joined has the lane that comes with the skip", async () => {
      const { engine, attach, laneOf } = setUp(open);
      const peer = await attach("peer", undefined);
      await engine.end(peer, { ending: "skip", lane: 2 });
      expect(await laneOf(peer)).toBe("2");
    });

    test("nobody is told: what bad and good peers are sent is the same with lanes and without", async () => {
      const histories = [];
      for (const options of [laneOptions, withoutLanes]) {
        const { system, engine, enter, enterBadly, report, sentTo, statusOf } = setUp(
          open,
          options,
        );
        const { peer, victim } = await enterBadly("bad");
        await report(await enter("reporter"), peer, 20_000);
        const named = await enter("named", undefined, inLane(1));
        await system.advance(2 * laneAfterMs);
        await engine.sweep();
        const peers = [peer, victim, named];
        const sent = await Promise.all(peers.map(sentTo));
        for (const json of sent.flat()) expect(json).not.toMatch(/lane|conduct/);
        histories.push([sent, await Promise.all(peers.map(statusOf)), await engine.stats()]);
      }
      // Their logs end with the last room and the wait after it.
      expect(JSON.stringify(histories[0])).toContain("partner-disconnected");
      expect(histories[0]).toEqual(histories[1] as never);
    });
  });
}
