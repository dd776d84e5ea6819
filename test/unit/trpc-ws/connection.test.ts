/** Frames as a socket gets them: each call is answered under its own id, whatever stands beside it. */
import { describe, expect, test } from "bun:test";
import { initTRPC } from "@trpc/server";
import { limits } from "../../../src/protocol.ts";
import { createSockets, fakeSocket, requestFor } from "../../support/trpc-sockets.ts";
import { closeCodes } from "../../../src/trpc-ws/close-codes.ts";
import type { Answer } from "../../support/raw-socket.ts";

const t = initTRPC.create();
const router = t.router({
  echo: t.procedure.input((value: unknown) => value).query(({ input }) => input ?? null),
});

/** An open socket whose answers are kept. */
function openSocket(url = "/trpc") {
  const answers: Answer[] = [];
  const timers: { delayMs: number; task: () => void; cancelled: boolean }[] = [];
  const closedWith: number[] = [];
  const accept = createSockets({
    router,
    createContext: () => ({}),
    onError: () => {},
    deadlines: { pingMs: 60_000, pongWaitMs: 60_000, firstMessageMs: 500 },
    elapsed: () => 0,
    schedule(delayMs, task) {
      const timer = { delayMs, task, cancelled: false };
      timers.push(timer);
      return () => (timer.cancelled = true);
    },
  });
  const listener = accept(
    fakeSocket({
      open: true,
      send: (text) => void answers.push(JSON.parse(text) as Answer),
      close: (code) => void closedWith.push(code),
      terminate: () => void closedWith.push(1006),
    }),
    requestFor(url),
  );
  return {
    closedWith,
    timers,
    /** The ids that were answered, and whether with a result. */
    async answersTo(frame: unknown) {
      answers.length = 0;
      listener.message(
        typeof frame === "string" || frame instanceof Uint8Array ? frame : JSON.stringify(frame),
      );
      await new Promise((resolve) => setImmediate(resolve));
      return answers.map(({ id, error }): [Answer["id"], boolean] => [id, error === undefined]);
    },
    [Symbol.dispose]: () => listener.close(),
  };
}

const echo = (id: unknown, input?: unknown) => ({
  id,
  method: "query",
  params: { path: "echo", input },
});

describe("a frame", () => {
  test("with one malformed call among good ones costs only that one", async () => {
    using socket = openSocket();
    const batch = [echo(1), { id: 2 }, { id: "three", method: "delete" }, null, echo(4)];
    const answered = await socket.answersTo(batch);
    expect(answered).toHaveLength(batch.length);
    expect(answered).toEqual(
      expect.arrayContaining([
        [1, true],
        [2, false],
        ["three", false],
        [null, false],
        [4, true],
      ]),
    );
  });

  const malformed: [string, unknown, Answer["id"]][] = [
    ["without a method", { id: 1 }, 1],
    ["of an unknown method", { id: 1, method: "delete", params: { path: "echo" } }, 1],
    ["without parameters", { id: "a", method: "query" }, "a"],
    ["whose path is no text", { id: 1, method: "query", params: { path: {} } }, 1],
    [
      "whose lastEventId is no text",
      { id: 1, method: "query", params: { path: "echo", lastEventId: 1 } },
      1,
    ],
    ["of another JSON-RPC", { ...echo(1), jsonrpc: "1.0" }, 1],
    ["whose id is an object", echo({}), null],
    ["whose id is a list", echo([1]), null],
    ["whose id is true", echo(true), null],
    ["whose id is missing", echo(undefined), null],
    ["that is no object", 7, null],
    ["that is no JSON", "{", null],
    ["in a binary frame", new TextEncoder().encode(JSON.stringify(echo(1))), null],
    ["with connection parameters that nobody asked for", { method: "connectionParams" }, null],
  ];
  for (const [what, call, id] of malformed)
    test(`with a call ${what} is answered once, under ${id === null ? "no id" : "its id"}`, async () => {
      using socket = openSocket();
      expect(await socket.answersTo(call)).toEqual([[id, false]]);
      expect(await socket.answersTo(echo(2))).toEqual([[2, true]]);
    });

  test("over the limit is answered for each call in it, for as many as a batch may have", async () => {
    using socket = openSocket();
    const calls = Array.from({ length: limits.batchCallsMax }, (_, id) =>
      echo(id, "x".repeat(1000)),
    );
    expect(JSON.stringify(calls).length).toBeGreaterThan(limits.frameBytesMax);
    const each = calls.map(({ id }) => [id, false] as [number, boolean]);
    expect(await socket.answersTo(calls)).toEqual(each);
    expect(await socket.answersTo([...calls, echo(-1)])).toEqual(each);
    // Who stops a subscription waits for no answer.
    const stop = { id: 0, method: "subscription.stop", more: "x".repeat(limits.frameBytesMax) };
    expect(await socket.answersTo([echo(1), stop])).toEqual([[1, false]]);
  });

  test("as large as the limit passes, one byte more does not", async () => {
    using socket = openSocket();
    const empty = JSON.stringify(echo(1, "")).length;
    const filled = (bytes: number) => echo(1, "x".repeat(bytes - empty));
    expect(await socket.answersTo(filled(limits.frameBytesMax))).toEqual([[1, true]]);
    expect(await socket.answersTo(filled(limits.frameBytesMax + 1))).toEqual([[1, false]]);
    // In bytes, not in characters.
    const twoByte = (bytes: number) =>
      echo(1, "é".repeat(Math.floor((bytes - empty) / 2)) + "x".repeat((bytes - empty) % 2));
    expect(await socket.answersTo(twoByte(limits.frameBytesMax))).toEqual([[1, true]]);
    expect(await socket.answersTo(twoByte(limits.frameBytesMax + 1))).toEqual([[1, false]]);
  });
});

describe("a first message", () => {
  for (const [url, isAnnounced] of [
    ["/trpc?connectionParams=1", true],
    ["/trpc?connectionParams=%31", true],
    ["/trpc?a=b&connectionParams=1&c=d", true],
    ["/trpc", false],
    ["/trpc?notconnectionParams=1", false],
    ["/trpc?connectionParams=10", false],
  ] as const)
    test(`${isAnnounced ? "has a deadline" : "is not waited for"} with ${url}`, async () => {
      using socket = openSocket(url);
      const deadline = socket.timers.filter(({ delayMs }) => delayMs === 500);
      expect(deadline).toHaveLength(isAnnounced ? 1 : 0);
      // Whoever is not waited for can call at once.
      expect(await socket.answersTo({ method: "connectionParams", data: {} })).toEqual(
        isAnnounced ? [] : [[null, false]],
      );
      expect(await socket.answersTo(echo(1))).toEqual([[1, true]]);
      expect(deadline.every(({ cancelled }) => cancelled)).toBe(true);
      expect(socket.closedWith).toEqual([]);
    });

  test("that does not come closes the socket; one that is gone is not waited for", () => {
    using mute = openSocket("/trpc?connectionParams=1");
    mute.timers.find(({ delayMs }) => delayMs === 500)?.task();
    expect(mute.closedWith).toEqual([closeCodes.initTimeout]);
    const gone = openSocket("/trpc?connectionParams=1");
    gone[Symbol.dispose]();
    expect(gone.timers.map(({ cancelled }) => cancelled)).toEqual([true, true]);
  });
});
