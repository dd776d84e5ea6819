/** Which options a ticket is matched by: those of its entrance only right after its own call. */
import { expect, test } from "bun:test";
import { defaultWishes, type Ticket } from "../../../src/domain/ticket.ts";
import { Matcher, type MatcherParts } from "../../../src/signaling/matching.ts";

const ticketOf = (sessionId: string): Ticket => ({
  sessionId,
  wishes: defaultWishes,
  since: 0,
  queuedSince: 0,
  accepts: "anybody",
  required: undefined,
  revision: 1,
});

test("a ticket's own call may use what came with its entrance; a sweep, and a second try, look again", () => {
  const looks: unknown[][] = [];
  let failures = 1;
  const log = { debug() {}, info() {}, warn() {}, error() {}, bug: console.error };
  const matcher = new Matcher({
    engine: {
      now: () => 0,
      matchOptions(sessionId: string, asEntered?: boolean) {
        looks.push([sessionId, asEntered]);
        return { ticket: ticketOf(sessionId), eligible: [ticketOf("bob")] };
      },
      pair: () => failures-- <= 0,
    },
    system: { random: () => 0, id: () => "room" },
    policy: (_, eligible) => eligible[0],
    forceRelay: false,
    chat: "direct",
    log,
    journal: { paired() {} },
    onRetry() {},
  } satisfies MatcherParts);
  expect(matcher.matchAll(["alice"], { sessionId: "alice", generation: 1 })).toBe(true);
  expect(looks).toEqual([
    ["alice", true],
    ["alice", false],
  ]);
  looks.length = 0;
  expect(matcher.matchAll(["carol"])).toBe(false);
  expect(looks).toEqual([["carol", false]]);
});
