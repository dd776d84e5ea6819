/** What the fast path does with the calls that it has found. */
import { expect, test } from "bun:test";
import { limits } from "../../../src/protocol.ts";
import { createCallLimits } from "../../../src/rpc/call-limits.ts";
import type { Connection, Context } from "../../../src/rpc/context.ts";
import { handleUsualFrame } from "../../../src/rpc/fast-path.ts";
import type { Caller } from "../../../src/engine/engine.ts";
import { reject } from "../../../src/domain/rejection.ts";
import { candidate, frameOf, join, leave } from "../../bench/frames.ts";

const roomId = "abcdefghijklmnopqrst_-";
const frameWith = (count: number, room = roomId) =>
  frameOf(
    Array.from({ length: count }, (_, n) =>
      candidate(n, room, { candidate: `candidate:${n}` }, `id-${n}`),
    ),
  );

/** @param signals the limit of calls; each socket may make 1000 besides. */
function setUp({ signals = 100, bytes = 100_000, intents = 100, isAsync = false } = {}) {
  const made: unknown[][] = [];
  const relayed: { caller: Caller; json: string }[] = [];
  const sent: string[] = [];
  let charged = 0;
  let callsMax = 1000;
  const begin = (path: string, call: unknown[]) => {
    made.push([path, ...call]);
    if (path === "skip") return reject("not-subscribed");
    return isAsync ? new Promise(() => {}) : { status: "waiting" };
  };
  const connection = {
    caller: { sessionId: "session", generation: 3 },
    beginning: undefined,
    turnstile: undefined,
    identity: {},
  } as unknown as Connection;
  const rate = (burst: number) => ({ perS: 1, burst });
  const context = {
    connection,
    join: (...call: unknown[]) => begin("join", call),
    skip: (...call: unknown[]) => begin("skip", call),
    limits: createCallLimits(
      { signals: rate(signals), bytes: rate(bytes), intents: rate(intents) },
      () => 0,
    ),
    signaling: {
      leave: (...call: unknown[]) => begin("leave", call),
      relay(caller: Caller, { json }: { json: string }) {
        relayed.push({ caller, json });
        return isAsync ? new Promise(() => {}) : { delivered: json.includes(roomId) };
      },
    },
  } as unknown as Context;
  const reply = {
    charge(calls: number) {
      charged += calls;
      return charged <= callsMax;
    },
    send: (text: string) => void sent.push(text),
    fail: (_: unknown, cause: unknown) => void sent.push(String(cause)),
  };
  return {
    relay: (frame: string) => handleUsualFrame(frame, context, reply),
    relayed,
    made,
    sent,
    connection,
    charged: () => charged,
    limitCalls: (max: number) => (callsMax = max),
  };
}

test("the signals of one frame are relayed and answered in order, each under its own id", () => {
  const { relay, relayed, sent, charged } = setUp();
  expect(relay(frameWith(3))).toBe(true);
  expect(relayed.map(({ json }) => (JSON.parse(json) as { candidate: object }).candidate)).toEqual([
    { candidate: "candidate:0" },
    { candidate: "candidate:1" },
    { candidate: "candidate:2" },
  ]);
  expect(relayed[1]?.caller).toMatchObject({
    sessionId: "session",
    generation: 3,
    mutationId: "addIceCandidate id-1",
  });
  expect(sent.map((text) => JSON.parse(text) as object)).toEqual(
    [0, 1, 2].map((id) => ({ id, result: { type: "data", data: { delivered: true } } })),
  );
  expect(charged()).toBe(2);
});

test("a frame that passes a limit is left to tRPC as a whole, and nothing of it is relayed", () => {
  for (const { relay, relayed } of [setUp({ signals: 4 }), setUp({ bytes: 300 })]) {
    expect(relay(frameWith(5))).toBe(false);
    expect(relayed).toEqual([]);
    expect(relay(frameWith(1))).toBe(true);
  }
});

test("a frame that passes the limit of bytes has cost none of the calls", () => {
  const { relay } = setUp({ signals: 5, bytes: 400 });
  expect(relay(frameWith(5))).toBe(false);
  for (let n = 0; n < 3; n++) expect(relay(frameWith(1))).toBe(true);
});

test("nothing is relayed for a socket that was closed for calling too often", () => {
  const { relay, relayed, sent, limitCalls } = setUp();
  limitCalls(3);
  expect(relay(frameWith(5))).toBe(true);
  expect([relayed, sent]).toEqual([[], []]);
});

test("no more run at a time than may", () => {
  const { relay, relayed, connection } = setUp({ isAsync: true });
  expect(relay(frameWith(limits.callsInFlightMax + 1))).toBe(false);
  expect(relay(frameWith(limits.callsInFlightMax - 1))).toBe(true);
  expect(connection.turnstile?.free).toBe(1);
  expect(relay(frameWith(2))).toBe(false);
  expect(relay(frameWith(1))).toBe(true);
  expect(relay(frameWith(1))).toBe(false);
  expect(relayed).toHaveLength(limits.callsInFlightMax);
});

test("a call of a session that is only beginning waits for it", () => {
  const { relay, connection } = setUp();
  connection.beginning = Promise.resolve();
  expect(relay(frameWith(1))).toBe(false);
});

const wishes = {
  interests: ["jazz", "Zug"],
  languages: [],
  mode: "video",
  relayOnly: false,
  autoRejoin: true,
};
const skip = `{"id":5,"method":"mutation","params":{"input":{"roomId":"${roomId}","id":"c"},"path":"skip"}}`;

test("join, skip and leave are carried out as the caller, and answered under their own ids", () => {
  const { relay, made, sent } = setUp();
  expect([join(4, wishes, "b"), skip, leave(6, "d")].map(relay)).toEqual([true, true, true]);
  const as = (mutationId: string) =>
    expect.objectContaining({ sessionId: "session", generation: 3, mutationId }) as unknown;
  expect(made).toEqual([
    ["join", as("join b"), wishes],
    ["skip", as("skip c"), roomId],
    ["leave", as("leave d")],
  ]);
  const answered = (id: number) =>
    `{"id":${id},"result":{"type":"data","data":{"status":"waiting"}}}`;
  expect(sent).toEqual([answered(4), "TRPCError: Subscribe to events first", answered(6)]);
});

test("a join past the limit is left to tRPC, and leaving is not limited", () => {
  const { relay, made } = setUp({ intents: 1 });
  const frames = [join(4, wishes, "a"), join(5, wishes, "b"), skip, leave(6, "d")];
  expect(frames.map(relay)).toEqual([true, false, false, true]);
  expect(made.map(([path]) => path)).toEqual(["join", "leave"]);
});

test("a join waits for the session that is beginning, and for its turn", () => {
  const early = setUp();
  early.connection.beginning = Promise.resolve();
  expect(early.relay(join(4, wishes, "a"))).toBe(false);
  const busy = setUp({ isAsync: true });
  for (let n = 0; n < limits.callsInFlightMax; n++)
    expect(busy.relay(join(n, wishes, String(n)))).toBe(true);
  expect(busy.relay(leave(99, "z"))).toBe(false);
});
