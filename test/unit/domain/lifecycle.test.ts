/** What each transition means to an operator. */
import { describe, expect, test } from "bun:test";
import type { Change, Surroundings } from "../../../src/domain/change.ts";
import {
  concernsOf,
  lifecycleOfChange,
  lifecycleOfDecision,
  lifecycleTypes,
  type LifecycleEvent,
} from "../../../src/domain/lifecycle.ts";
import { setMedia } from "../../../src/domain/media.ts";
import { isRejection, type Rejection } from "../../../src/domain/rejection.ts";
import { newSession, type Session } from "../../../src/domain/session.ts";
import { defaultWishes } from "../../../src/domain/ticket.ts";
import * as presence from "../../../src/domain/presence.ts";
import * as transitions from "../../../src/domain/transitions.ts";

const around: Surroundings = {
  now: 5000,
  wallOffsetMs: 0,
  options: {
    graceMs: 4000,
    callKeepMs: 0,
    skipCooldownMs: 0,
    relax: { languageAfterMs: 1000, anybodyAfterMs: 2000 },
    intents: { perS: 0, burst: 1 },
    skipping: { burst: 0, forgetMs: 3000, delayMs: 1000, delayMsMax: 30_000 },
    voteAfterMs: 0,
  },
  lobby: () => ({ waiting: 0, online: 0 }),
  suspended: () => undefined,
};
const later = (ms: number): Surroundings => ({ ...around, now: around.now + ms });

function made<Result>(change: Change<Result> | Rejection): Change<Result> {
  if (isRejection(change)) throw new Error(change.reason);
  return change;
}

const present = (id: string): Session => ({ ...newSession(id, undefined), present: true });
const enter = (session: Session) => made(transitions.enqueue(session, defaultWishes, around));
const alone = present("alice");
const waiting = enter(alone).member;
const other = enter(present("bob")).member;
const pairing = transitions.pair(
  waiting,
  other,
  { roomId: "room", relayOnly: false, sharedInterests: [] },
  around,
);
const inText = (session: Session) =>
  made(transitions.enqueue(session, { ...defaultWishes, mode: "text" }, around)).member;
const [textWaiting, textOther] = [inText(alone), inText(present("bob"))];
const textPairing = transitions.pair(
  textWaiting,
  textOther,
  { roomId: "text.room", relayOnly: false, sharedInterests: [] },
  around,
);
const [alice, bob] = [pairing.member, pairing.partner as Session];
const confirmation = made(transitions.confirm(alice, bob, "room", later(300)));
const [connected, withHer] = [confirmation.member, confirmation.partner as Session];
const end = (ending: "skip" | "leave" | "failed" | "report" | "block", of = [alice, bob]) =>
  made(transitions.end(of[0] as Session, of[1], { ending }, later(1000)));

function derive(change: Change<unknown>, member: Session, partner?: Session, now = around.now) {
  return lifecycleOfChange(change, { member, partner }, { now, at: now + 7 }, lifecycleTypes);
}

const briefly = (event: LifecycleEvent) =>
  event.type === "joined" ? `joined ${event.peer.sessionId}` : event.type;

const table: [what: string, told: LifecycleEvent[], expected: string[]][] = [
  ["a join", derive(enter(alone), alone), ["joined alice"]],
  ["other wishes", derive(enter(waiting), waiting), []],
  ["a join in a room", derive(enter(alice), alice), []],
  ["a relaxation", derive(transitions.relax(waiting, around), waiting), []],
  ["a pairing", derive(pairing, waiting, other), ["paired"]],
  [
    "a pairing in a room for text, which needs no connection",
    derive(textPairing, textWaiting, textOther),
    ["paired", "connected"],
  ],
  [
    "a confirmation there",
    derive(
      made(transitions.confirm(textPairing.member, textPairing.partner, "text.room", around)),
      textPairing.member,
      textPairing.partner,
    ),
    [],
  ],
  [
    "other media of a member",
    derive(made(setMedia(alice, bob, "room", { audio: false, video: true })), alice, bob),
    [],
  ],
  ["the first confirmation", derive(confirmation, alice, bob), ["connected"]],
  [
    "the second one",
    derive(made(transitions.confirm(withHer, connected, "room", around)), withHer, connected),
    [],
  ],
  ["a drop", derive(presence.detach(alice, bob, { since: 5000 }, around), alice, bob), []],
  [
    "a return",
    derive(
      presence.attach(
        { ...alice, present: false, graceUntil: 9000 },
        bob,
        { addressHash: "", generation: 0, recovery: "whole" },
        around,
      ),
      alice,
      bob,
    ),
    [],
  ],
  [
    "a grace that expires in a room",
    derive(presence.expireGrace(alice, bob, around), alice, bob),
    ["ended", "joined bob"],
  ],
  [
    "a grace that expires in the lobby",
    derive(presence.expireGrace(waiting, undefined, around), waiting),
    [],
  ],
  ["a skip", derive(end("skip"), alice, bob), ["ended", "joined bob", "joined alice"]],
  ["a failed call", derive(end("failed"), alice, bob), ["ended", "joined bob", "joined alice"]],
  ["a report", derive(end("report"), alice, bob), ["ended", "joined bob", "joined alice"]],
  ["a block", derive(end("block"), alice, bob), ["ended", "joined bob", "joined alice"]],
  ["a leave", derive(end("leave"), alice, bob), ["ended", "joined bob"]],
  [
    "a leave from the lobby",
    derive(made(transitions.end(waiting, undefined, { ending: "leave" }, around)), waiting),
    [],
  ],
  [
    "a skip of one who is idle",
    derive(made(transitions.end(alone, undefined, { ending: "skip" }, around)), alone),
    ["joined alice"],
  ],
  [
    "a suspension",
    derive(transitions.evict(alice, bob, around), alice, bob),
    ["ended", "joined bob"],
  ],
];

describe("lifecycle events", () => {
  for (const [what, told, expected] of table)
    test(`of ${what}: ${expected.join(", ") || "none"}`, () => {
      expect(told.map(briefly)).toEqual(expected);
      expect(new Set(told.map(({ id }) => id)).size).toBe(told.length);
      for (const { at } of told) expect(at).toBe(around.now + 7);
    });

  test("say how long it took until media flowed, and how the room ended", () => {
    expect(derive(confirmation, alice, bob, 5300)).toMatchObject([
      { type: "connected", id: "connected:room", afterMs: 300, mode: "video" },
    ]);
    expect(derive(end("skip", [withHer, connected]), withHer, connected)[0]).toEqual({
      type: "ended",
      id: "ended:room",
      at: around.now + 7,
      roomId: "room",
      mode: "video",
      peers: [{ sessionId: "bob" }, { sessionId: "alice" }],
      reason: "skipped",
      by: "skip",
      lastedMs: 1000,
      connected: true,
    });
  });

  test("are only those that are wanted", () => {
    const before = { member: alice, partner: bob };
    const time = { now: 0, at: 0 };
    expect(lifecycleOfChange(end("skip"), before, time, ["joined"]).map(briefly)).toEqual([
      "joined bob",
      "joined alice",
    ]);
    expect(lifecycleOfChange(end("skip"), before, time, ["paired"])).toEqual([]);
  });

  test("name the account of a peer who has one", () => {
    const named = { ...alone, account: "42" };
    expect(derive(enter(named), named)).toMatchObject([
      { peer: { sessionId: "alice", account: "42" } },
    ]);
    const party = { sessionId: "alice", addressHash: undefined, account: "42" };
    const report = {
      kind: "report",
      at: 1,
      roomId: "room",
      reporter: party,
      reported: party,
    } as const;
    const verdict = { first: true, counted: false, suspended: [] };
    expect(lifecycleOfDecision(report, verdict, lifecycleTypes)).toMatchObject([
      { reporter: { sessionId: "alice", account: "42" }, reason: "other" },
    ]);
  });

  test("of a decision: nothing for a second report, a longer suspension, or a lift of nothing", () => {
    const bobs = { kind: "session", id: "bob" } as const;
    const party = { sessionId: "bob", addressHash: undefined };
    const report = {
      kind: "report",
      at: 9,
      roomId: "room",
      reporter: party,
      reported: party,
    } as const;
    const none = { first: false, counted: false, suspended: [] };
    const types = (...given: Parameters<typeof lifecycleOfDecision>) =>
      lifecycleOfDecision(...given).map(({ type }) => type);
    expect(types(report, none, lifecycleTypes)).toEqual([]);
    const since = (at: number) =>
      ({ subject: bobs, since: at, until: 100, by: "reports", because: "other" }) as const;
    const verdict = { first: true, counted: true, suspended: [since(9)] };
    expect(types(report, verdict, lifecycleTypes)).toEqual(["reported", "suspended"]);
    expect(types(report, verdict, ["suspended"])).toEqual(["suspended"]);
    expect(types(report, { ...verdict, suspended: [since(8)] }, lifecycleTypes)).toEqual([
      "reported",
    ]);
    const lift = { kind: "lift", at: 9, subject: bobs } as const;
    expect(types(lift, none, lifecycleTypes)).toEqual([]);
    expect(types(lift, { ...none, counted: true }, lifecycleTypes)).toEqual(["lifted"]);
  });

  test("of a room concern the room and its peers", () => {
    const [paired] = derive(pairing, waiting, other);
    expect(paired && concernsOf(paired)).toEqual(["room", "alice", "bob"]);
  });

  test("contain no address, whatever the sessions know", () => {
    const from = (session: Session): Session => ({ ...session, addressHash: "an address" });
    const all = [
      ...derive(presence.expireGrace(from(alice), from(bob), around), from(alice), from(bob)),
      ...derive(enter(from(alone)), from(alone)),
    ];
    expect(all.length).toBe(3);
    expect(JSON.stringify(all)).not.toContain("an address");
  });
});
