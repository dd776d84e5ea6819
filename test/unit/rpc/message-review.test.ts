/** What the `message` hook does to texts on their way, whatever it answers and whenever. */
import { describe, expect, test } from "bun:test";
import { reject } from "../../../src/domain/rejection.ts";
import type { Caller } from "../../../src/engine/engine.ts";
import { limits } from "../../../src/protocol.ts";
import {
  MessageReview,
  type MessageFallback,
  type MessageHook,
} from "../../../src/rpc/message-review.ts";
import { Talk } from "../../../src/signaling/talk.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

const roomId = "text.room";

interface Options {
  fallback?: MessageFallback;
  /** Whether the engine answers by promises. */
  isAsync?: boolean;
}

function setUp(hook: MessageHook, { fallback = "drop", isAsync = false }: Options = {}) {
  const system = createVirtualSystem();
  const sent: string[] = [];
  const faults: string[] = [];
  const outcomes: string[] = [];
  const room = { isOver: false, isUnavailable: false };
  const talk = new Talk({
    engine: {
      send(caller, room_, event) {
        const answer = () => {
          if (room.isUnavailable) return reject("unavailable", { retryAfterMs: 1 });
          if (room_ !== roomId) return reject("not-in-room");
          if (room.isOver) return false;
          if (event !== undefined) {
            const { type, text, typing } = JSON.parse(event);
            sent.push(type === "typing" ? `typing ${typing}` : `${caller.sessionId}: ${text}`);
          }
          return true;
        };
        return isAsync ? Promise.resolve().then(answer) : answer();
      },
      media: () => reject("not-in-room"),
    },
    system,
    metrics: { messaged: (outcome) => void outcomes.push(outcome) },
  });
  const asked: string[] = [];
  const review = new MessageReview(
    {
      hook(message) {
        asked.push(message.text);
        return hook(message);
      },
      fallback,
    },
    talk,
    { ...system, onHookFault: (name, error) => void faults.push(`${name}: ${String(error)}`) },
  );
  const callerOf = (sessionId: string, mutationId?: string): Caller => ({
    sessionId,
    generation: 1,
    mutationId: mutationId === undefined ? undefined : `say ${mutationId}`,
  });
  const say = (text: string, mutationId?: string, session = "alice", room_ = roomId) =>
    review.say(callerOf(session, mutationId), { text, roomId: room_, session });
  return { system, sent, faults, outcomes, asked, room, review, talk, say, callerOf };
}

const delivered = { delivered: true };
const dropped = { delivered: false };

describe.each([false, true])("an engine by promises: %p", (isAsync) => {
  test("a text passes, is changed, or is dropped, at once or later", async () => {
    for (const later of [false, true]) {
      const { say, sent, outcomes, faults } = setUp(
        ({ text }) => {
          const answer = { pass: text, change: "changed", drop: undefined }[text];
          return later ? Promise.resolve(answer) : answer;
        },
        { isAsync },
      );
      expect(await say("pass")).toEqual(delivered);
      expect(await say("change")).toEqual(delivered);
      expect(await say("drop")).toEqual(dropped);
      expect(sent).toEqual(["alice: pass", "alice: changed"]);
      expect(outcomes).toEqual(["delivered", "delivered", "dropped"]);
      expect(faults).toEqual([]);
    }
  });

  test("what can't be delivered is not shown to the hook", async () => {
    const { say, asked, room, sent } = setUp(({ text }) => text, { isAsync });
    expect(await say("elsewhere", undefined, "alice", "text.other")).toMatchObject({
      reason: "not-in-room",
    });
    expect(await say("elsewhere", undefined, "alice", "direct")).toMatchObject({
      reason: "wrong-mode",
    });
    room.isOver = true;
    expect(await say("too late")).toEqual(dropped);
    expect({ asked, sent }).toEqual({ asked: [], sent: [] });
  });

  test("a text whose room ends meanwhile is not delivered", async () => {
    const answer = Promise.withResolvers<string>();
    const { say, room, outcomes, system } = setUp(() => answer.promise, { isAsync });
    const saying = say("Hello");
    await system.settled();
    room.isOver = true;
    answer.resolve("Hello");
    expect(await saying).toEqual(dropped);
    expect(outcomes).toEqual(["too-late"]);
  });

  test("the texts of one peer keep their order, and others do not wait for it", async () => {
    const answers = new Map<string, (text: string) => void>();
    const { say, sent, system, review, talk, callerOf } = setUp(
      ({ text }) => new Promise((resolve) => answers.set(text, resolve)),
      { isAsync },
    );
    const sayings = ["1", "2", "3", "4"].map((text) => say(text));
    const typing = review.afterTexts("alice", () => talk.typing(callerOf("alice"), roomId, true));
    const fifth = say("5");
    const other = say("6", undefined, "bob");
    await system.settled();
    for (const text of ["6", "5", "4", "3", "2"]) {
      answers.get(text)?.(text);
      await system.settled();
    }
    expect(await other).toEqual(delivered);
    expect(sent).toEqual(["bob: 6"]);
    answers.get("1")?.("1");
    expect(await Promise.all([...sayings, typing, fifth])).toEqual(
      Array.from({ length: 6 }, () => delivered) as never,
    );
    expect(sent.slice(1)).toEqual([
      "alice: 1",
      "alice: 2",
      "alice: 3",
      "alice: 4",
      "typing true",
      "alice: 5",
    ]);
  });

  test("one that hangs holds up no more than its 300 ms, and its late answer changes nothing", async () => {
    for (const fallback of ["drop", "deliver"] as const) {
      const late = Promise.withResolvers<string>();
      const { say, sent, faults, system } = setUp(
        ({ text }) => (text === "hangs" ? late.promise : text),
        { fallback, isAsync },
      );
      const hanging = say("hangs");
      const next = say("next");
      await system.advance(299);
      expect(sent).toEqual([]);
      await system.advance(1);
      const isDelivered = fallback === "deliver";
      expect(await Promise.all([hanging, next])).toEqual([{ delivered: isDelivered }, delivered]);
      late.resolve("late");
      await system.settled();
      expect(sent).toEqual([...(isDelivered ? ["alice: hangs"] : []), "alice: next"]);
      expect(faults).toEqual(["message: Error: message did not answer within 300 ms"]);
    }
  });

  test.each([
    ["throws", () => JSON.parse("no JSON")],
    ["rejects", () => Promise.reject(new Error("no"))],
    ["answers a number", () => 7],
    ["answers null", () => null],
    ["answers true", async () => true],
    ["answers an empty text", () => ""],
    ["answers a blank text", async () => "\n "],
    ["answers half a character", () => "\ud800"],
    ["answers a control character", () => "a\0"],
    ["answers a long text", () => "x".repeat(limits.messageCharsMax + 1)],
    ["answers a rejection", () => reject("suspended")],
  ] as [string, MessageHook][])("a hook that %s has failed", async (_, hook) => {
    for (const fallback of ["drop", "deliver"] as const) {
      const { say, sent, faults } = setUp(hook, { fallback, isAsync });
      const isDelivered = fallback === "deliver";
      expect(await say("a secret")).toEqual({ delivered: isDelivered });
      expect(sent).toEqual(isDelivered ? ["alice: a secret"] : []);
      expect(faults).toHaveLength(1);
      expect(faults[0]).not.toContain("a secret");
    }
  });

  test("it is asked once for each id, also while it answers, and again after a refusal", async () => {
    const { say, asked, room, sent } = setUp(
      ({ text }) => Promise.resolve(text === "drop" ? undefined : text),
      { isAsync },
    );
    expect(await Promise.all([say("Hello", "a"), say("Hello", "a")])).toEqual([
      delivered,
      delivered,
    ]);
    expect(await say("Hello", "a")).toEqual(delivered);
    expect(await say("drop", "b")).toEqual(dropped);
    expect(await say("drop", "b")).toEqual(dropped);
    // An id is a session's own.
    expect(await say("Hello", "a", "bob")).toEqual(delivered);
    expect(asked).toEqual(["Hello", "drop", "Hello"]);
    expect(sent).toEqual(["alice: Hello", "bob: Hello"]);
    room.isUnavailable = true;
    expect(await say("later", "c")).toMatchObject({ reason: "unavailable" });
    room.isUnavailable = false;
    expect(await say("later", "c")).toEqual(delivered);
    expect(sent.at(-1)).toBe("alice: later");
  });
});

test("a hook that answers at once costs no promise where the engine costs none", () => {
  const { say } = setUp(({ text }) => text);
  expect(say("Hello")).toEqual(delivered);
});
