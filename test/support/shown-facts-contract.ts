/** What every engine must keep of the facts that partners are shown, and of those that the operator states anew. */
import { describe, expect, test } from "bun:test";
import { createDimensions } from "../../src/domain/facts.ts";
import type { Caller } from "../../src/engine/engine.ts";
import type { LoggedEvent } from "../../src/protocol.ts";
import { accountVerbs } from "./account-contract.ts";
import { engineOptions } from "./engine-options.ts";
import { createVirtualSystem } from "./virtual-system.ts";
import type { OpenEngine } from "./world.ts";

const dimensions = createDimensions({
  region: { kind: "one", of: ["eu", "us"], by: "claims", shown: true },
  topics: { kind: "set", of: ["art", "go"], shown: true },
  age: { kind: "range", from: 18, to: 99 },
});

export function describeShownFacts(name: string, open: OpenEngine) {
  function setUp() {
    const engine = open(createVirtualSystem(), { ...engineOptions, dimensions });
    const verbs = accountVerbs(engine);
    /** What a session has been sent last of its partner's facts, by an event or a state. */
    async function partnerFactsOf(sessionId: string) {
      const { stream } = await verbs.attach(sessionId, undefined);
      const entries = await engine.read(stream, stream.after);
      if (!Array.isArray(entries)) throw new Error("unreadable");
      const events = entries.map(({ json }): LoggedEvent => JSON.parse(json));
      return events.flatMap((event) =>
        event.type === "session" && event.state.status === "paired"
          ? [event.state.partnerFacts]
          : [],
      )[0];
    }
    return { engine, ...verbs, partnerFactsOf };
  }

  describe(`facts and what is shown of them: ${name}`, () => {
    test("each member is told those of its partner that are shown, as they were when the two were paired", async () => {
      const { enter, pair, partnerFactsOf, engine } = setUp();
      const alice = await enter("alice", undefined, { facts: { region: "eu", age: 30 } });
      const bob = await enter("bob", undefined, { facts: { topics: ["go", "art"] } });
      expect(await pair(alice, bob)).toBe(true);
      const told = await engine.read(bob.stream, bob.stream.after);
      if (!Array.isArray(told)) throw new Error("unreadable");
      const offer = told.find(({ json }) => json.includes("wait-for-offer"));
      expect(JSON.parse(offer?.json ?? "{}")).toMatchObject({ partnerFacts: { region: "eu" } });
      expect(await partnerFactsOf("alice")).toEqual({ topics: ["go", "art"] });
      expect(await partnerFactsOf("bob")).toEqual({ region: "eu" });
    });

    test("a skip returns to the lobby with what the operator states by then, out of a room and from idle", async () => {
      const { enter, pair, leave, ticketOf, settled, engine } = setUp();
      const facts = { region: "eu", age: 30 };
      const alice = await enter("alice", undefined, { facts });
      const bob = await enter("bob", undefined, { facts });
      await pair(alice, bob);
      const skip = async (who: Caller, claims?: { region?: string }) =>
        settled(await engine.end(who, { ending: "skip", claims })).status;
      expect(await skip(alice, { region: "us" })).toBe("waiting");
      expect((await ticketOf(alice)).wishes.facts).toEqual({ age: 30, region: "us" });
      // The other one has returned by itself, with what was stated of it before.
      expect((await ticketOf(bob)).wishes.facts).toEqual(facts);
      await leave(alice);
      expect(await skip(alice, {})).toBe("waiting");
      expect((await ticketOf(alice)).wishes.facts).toEqual({ age: 30 });
      await leave(alice);
      expect(await skip(alice)).toBe("waiting");
      expect((await ticketOf(alice)).wishes.facts).toEqual({ age: 30 });
    });

    test("one that never stated any wishes waits with what the operator states", async () => {
      const { attach, engine, ticketOf } = setUp();
      const carol = await attach("carol", undefined);
      await engine.end(carol, { ending: "skip", claims: { region: "us" } });
      expect((await ticketOf(carol)).wishes).toMatchObject({
        mode: "video",
        facts: { region: "us" },
      });
    });
  });
}
