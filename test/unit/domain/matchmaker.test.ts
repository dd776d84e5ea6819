import { describe, expect, test } from "bun:test";
import { createFairPolicy, sharedInterests } from "../../../src/domain/matchmaker.ts";
import { defaultWishes, type Ticket } from "../../../src/domain/ticket.ts";

const policy = createFairPolicy({ patienceMs: 30_000, windowMs: 2000 });
const now = 100_000;

function ticket(
  sessionId: string,
  waitedMs: number,
  interests: string[] = [],
  languages: string[] = [],
): Ticket {
  const since = now - waitedMs;
  const wishes = { ...defaultWishes, interests, languages };
  return {
    sessionId,
    wishes,
    since,
    queuedSince: since,
    accepts: "anybody",
    required: undefined,
    revision: 1,
  };
}

const choose = (mine: Ticket, others: Ticket[], random = 0) =>
  policy(mine, others, { now, random: () => random })?.sessionId;

describe("the fair policy", () => {
  const me = ticket("me", 0, ["jazz", "chess"], ["en"]);

  test("prefers more shared interests, then a shared language, then anybody", () => {
    const anybody = ticket("anybody", 9000);
    const language = ticket("language", 8000, [], ["en"]);
    const jazz = ticket("jazz", 7000, ["jazz"]);
    const both = ticket("both", 6000, ["chess", "jazz"]);
    expect(choose(me, [anybody, language, jazz, both])).toBe("both");
    expect(choose(me, [anybody, language, jazz])).toBe("jazz");
    expect(choose(me, [anybody, language])).toBe("language");
    expect(choose(me, [anybody])).toBe("anybody");
    expect(choose(me, [])).toBeUndefined();
  });

  test("takes whoever has waited past all patience, whatever else is on offer", () => {
    const old = ticket("old", 30_000);
    const jazz = ticket("jazz", 1000, ["jazz"]);
    expect(choose(me, [old, jazz])).toBe("old");
    expect(choose(me, [ticket("old", 29_999), jazz])).toBe("jazz");
  });

  test("chooses at random among equals, but only inside the window behind the oldest", () => {
    const equals = [ticket("a", 5000), ticket("b", 4000), ticket("c", 3000), ticket("d", 2999)];
    const chosen = new Set(
      [0, 0.2, 0.4, 0.6, 0.8, 0.999].map((random) => choose(me, equals, random)),
    );
    expect([...chosen].sort()).toEqual(["a", "b", "c"]);
  });

  test("names what both wished for", () => {
    expect(sharedInterests(me, ticket("x", 0, ["go", "chess"]))).toEqual(["chess"]);
  });
});
