/** Ours beside tRPC's own handler: the same script, the same answers, errors and deeds. */
import { afterEach, describe, expect, jest, test } from "bun:test";
import fc, { type Arbitrary } from "fast-check";
import { limits } from "../../../src/protocol.ts";
import { createSockets, fakeSocket, requestFor } from "../../support/trpc-sockets.ts";
import type { AcceptSocket } from "../../../src/trpc-ws/socket.ts";
import { createStockSockets } from "../../support/stock.ts";
import { createTroupe, failures, manners, type Cue, type Manner } from "../../support/troupe.ts";
import { playOurs, playStock, type StageOptions, type Step } from "../../support/two-stages.ts";

const runs = Number(process.env["DIFFERENTIAL_RUNS"] ?? 400);
const seed = Number(process.env["DIFFERENTIAL_SEED"] ?? 7);

const call = (id: unknown, method: string, path: string, input?: unknown, more: object = {}) => ({
  id,
  method,
  params: { path, input, ...more },
});
const frame = (content: unknown): Step => ({ frame: content });
const subscribe = (id: unknown, path: string, manner: Manner = "heeds", key = "k") =>
  frame(call(id, "subscription", path, { key, manner }));
const stop = (id: unknown) => frame({ id, method: "subscription.stop" });
const cue = (what: Cue, key = "k"): Step => ({ key, cue: what });
const say = (value: unknown) => cue({ value });

const superish = {
  serialize: (value: unknown) => ({ wrapped: value }),
  deserialize(value: unknown) {
    if (typeof value !== "object" || value === null || !("wrapped" in value))
      throw new Error("not wrapped");
    return value.wrapped;
  },
};
const params = { url: "/trpc?connectionParams=1" };

/** What the frames of each clause lead to, and which answers at least; or the two could agree on nothing. */
type Clause = [what: string, script: Step[], answers: number, options?: StageOptions];

const clauses: Clause[] = [
  ["a query", [frame(call(1, "query", "echo", { a: [1] }))], 1],
  ["a mutation in a nested router", [frame(call("x", "mutation", "nested.echo", "y"))], 1],
  ["no input, no result", [frame(call(1, "query", "echo"))], 1],
  ["JSON-RPC's mark", [frame({ ...call(1, "query", "echo", 1), jsonrpc: "2.0" })], 1],
  [
    "ids of every kind",
    ["", '"\u2028', -1.5, 0, 1e21].map((id) => frame(call(id, "query", "echo", id))),
    5,
  ],
  ["an infinite id", [{ raw: '{"id":1e999,"method":"query","params":{"path":"echo"}}' }], 1],
  [
    "slow calls out of order",
    [
      frame(call(1, "mutation", "slow", { key: "a" })),
      frame(call(2, "query", "slowQuery", { key: "b" })),
      cue({ value: "b" }, "b"),
      cue({ value: "a" }, "a"),
    ],
    2,
  ],
  [
    "every failure of a mutation",
    failures.map((key, id) => frame(call(id, "mutation", "fail", { key }))),
    5,
  ],
  [
    "every failure, formatted",
    failures.map((key, id) => frame(call(id, "mutation", "fail", { key }))),
    5,
    { formats: true },
  ],
  [
    "results that are awaitable, but no promises",
    [
      frame(call(1, "query", "thenable", { key: "a" })),
      frame(call(2, "mutation", "thenableMutation", { key: "b" })),
      subscribe(3, "thenableFeed"),
      cue({ value: [1] }, "a"),
      cue({ fail: "trpc" }, "b"),
      say(2),
      cue("end"),
    ],
    5,
  ],
  ["bad input", [frame(call(1, "mutation", "slow", {}))], 1],
  [
    "middlewares and parsers in layers",
    [{ a: 1, b: 2 }, {}, { a: "throw" }, { b: "bad" }, "text", null].map((input, id) =>
      frame(call(id, "query", "layered", input)),
    ),
    6,
  ],
  [
    "parsers that replace, and check what goes out",
    [
      frame(call(1, "query", "replaced", { a: 1 })),
      frame(call(2, "query", "checked", "good")),
      frame(call(3, "query", "checked", "bad")),
    ],
    3,
  ],
  [
    "middlewares that throw, and one that forgets the rest",
    ["angry", "angryLater", "noNext"].map((path) => frame(call(path, "query", path))),
    3,
  ],
  [
    "a router that is loaded late",
    [frame(call(1, "query", "lazy.echo")), frame(call(2, "query", "lazy.echo"))],
    2,
  ],
  ["a procedure's own error formatter", [frame(call(1, "mutation", "ownError"))], 1],
  [
    "an unknown procedure, and the wrong kind",
    [
      frame(call(1, "query", "nope")),
      frame(call(2, "query", "nested.echo")),
      frame(call(3, "subscription", "echo")),
      frame(call(4, "mutation", "__proto__")),
    ],
    4,
  ],
  ["what can't be worded", [frame(call(1, "query", "unsayable"))], 1],
  ["an iterable from a query", [frame(call(1, "query", "stream", { key: "k" }))], 1],
  [
    "an onError that throws",
    [frame(call(1, "query", "nope"))],
    1,
    {
      onError: () => {
        throw new Error("its own");
      },
    },
  ],

  [
    "a feed to its end",
    [subscribe(1, "feed"), say(1), say(undefined), say({ a: null }), cue("end")],
    5,
  ],
  ["a feed that ends by itself", [frame(call(1, "subscription", "short"))], 5],
  ["tracked events", [subscribe(1, "tracked"), say(1), say("2"), cue("end")], 4],
  [
    "many events at once",
    [subscribe(1, "feed"), subscribe(2, "tracked"), ...[1, 2, 3].map(say)],
    8,
  ],
  [
    "lastEventId into an object, into nothing, beside another input, over another",
    [
      frame(call(1, "query", "echo", { a: 1 }, { lastEventId: "e:1" })),
      frame(call(2, "query", "echo", undefined, { lastEventId: "e:1" })),
      frame(call(3, "query", "echo", "text", { lastEventId: "e:1" })),
      frame(call(4, "query", "echo", { lastEventId: "e:0" }, { lastEventId: "e:1" })),
      frame(call(5, "query", "echo", [1], { lastEventId: "e:1" })),
      frame(call(6, "query", "echo", null, { lastEventId: "" })),
    ],
    6,
  ],
  ...manners.map((manner): Clause => [
    `a feed that is stopped: ${manner}`,
    [
      subscribe(1, "feed", manner),
      say(1),
      stop(1),
      say(2),
      say(3),
      cue("end", "k teardown"),
      stop(1),
      subscribe(1, "feed"),
      say(4),
    ],
    5,
  ]),
  ...manners.map((manner): Clause => [
    `a feed whose socket goes: ${manner}`,
    [
      subscribe(1, "feed", manner),
      say(1),
      "closing",
      say(2),
      "drop",
      say(3),
      cue("end", "k teardown"),
    ],
    2,
  ]),
  ...failures.map((fail): Clause => [
    `a feed that fails: ${fail}`,
    [subscribe(1, "feed"), subscribe(2, "tracked", "teardown-throws"), say(1), cue({ fail })],
    fail === "unsayable" ? 7 : 8,
    { formats: true },
  ]),
  [
    "a stop while the procedure has not answered",
    [subscribe(1, "late"), stop(1), cue({ value: 0 }), say(1)],
    1,
  ],
  [
    "a stop while it has not answered, and it gives up",
    [subscribe(1, "late", "aborts"), stop(1)],
    1,
  ],
  [
    "a stop while it has not answered, and it fails",
    [subscribe(1, "late", "fails-late"), stop(1)],
    1,
  ],
  [
    "a stop while it has not answered, and it fails because of that",
    [subscribe(1, "late", "teardown-waits"), stop(1)],
    1,
  ],
  ...(["heeds", "teardown-throws", "teardown-waits"] as const).flatMap((manner): Clause[] => [
    [
      `an iterator's disposal that ${manner}: stopped`,
      [subscribe(1, "disposable", manner), say(1), stop(1), cue("end", "k teardown"), say(2)],
      3,
    ],
    [
      `an iterator's disposal that ${manner}: ended, and failed`,
      [
        subscribe(1, "disposable", manner),
        cue("end"),
        cue("end", "k teardown"),
        subscribe(2, "disposable", manner),
        cue({ fail: "trpc" }),
        cue("end", "k teardown"),
      ],
      5,
    ],
    [
      `an iterator's disposal that ${manner}: stopped before it began`,
      [subscribe(1, "lateDisposable", manner), stop(1), say(0), cue("end", "k teardown")],
      1,
    ],
    [
      `an iterator's disposal that ${manner}: its socket gone before it began`,
      [subscribe(1, "lateDisposable", manner), "closing", say(0), cue("end", "k teardown")],
      0,
    ],
  ]),
  ["a late observable", [subscribe(1, "lateWatch"), say(0)], 2],
  ["a late observable that is stopped", [subscribe(1, "lateWatch"), stop(1), say(0)], 1],
  ["a late observable whose socket goes", [subscribe(1, "lateWatch"), "closing", say(0)], 0],
  [
    "a stop while it has not answered, and its teardown throws",
    [subscribe(1, "late", "teardown-throws"), stop(1), say(0)],
    1,
  ],
  [
    "a socket that goes while it has not answered",
    [subscribe(1, "late"), "closing", say(0), "drop"],
    0,
  ],
  [
    "a procedure that fails before it answers",
    [subscribe(1, "late"), cue({ fail: "abort" }), subscribe(1, "late"), cue({ fail: "plain" })],
    2,
  ],
  [
    "a stop in the frame that subscribes",
    [
      frame([
        call(1, "subscription", "feed", { key: "k" }),
        { id: 1, method: "subscription.stop" },
      ]),
      say(1),
    ],
    1,
  ],
  [
    "a stop before, and for nobody",
    [stop(1), stop("x"), subscribe(1, "feed"), stop("1"), say(1)],
    2,
  ],
  [
    "duplicate ids",
    [
      subscribe(1, "feed"),
      subscribe(1, "tracked"),
      frame(call(1, "query", "echo", "same id")),
      subscribe("1", "feed"),
      say(1),
      stop(1),
      subscribe(1, "feed"),
    ],
    8,
  ],
  [
    "a duplicate id while the first is being stopped",
    [
      subscribe(1, "feed", "teardown-waits"),
      stop(1),
      subscribe(1, "feed"),
      cue("end", "k teardown"),
      subscribe(1, "feed"),
    ],
    4,
  ],
  [
    "a duplicate id in one frame",
    [frame([1, 1].map((id) => call(id, "subscription", "feed", { key: "k" }))), say(1)],
    3,
  ],
  [
    "no feed, broken ones, and one that says too much",
    ["noFeed", "brokenFeed", "brokenNext"].map((path) => frame(call(path, "subscription", path))),
    7,
  ],
  [
    "an event that can't be worded",
    [subscribe(1, "unsayableFeed"), say(1), cue("end"), subscribe(1, "feed")],
    5,
  ],
  [
    "an iterator that can't be disposed of",
    [subscribe(1, "bare"), say(1), stop(1), subscribe(2, "bare"), cue({ fail: "trpc" })],
    6,
  ],
  [
    "an observable to its end",
    [subscribe(1, "watch"), say(1), say(2), cue("end"), subscribe(1, "watch")],
    7,
  ],
  [
    "an observable that is stopped",
    [subscribe(1, "watch"), stop(1), say(1), subscribe(1, "watch")],
    5,
  ],
  ["an observable that fails", [subscribe(1, "watch"), cue({ fail: "trpc" })], 4],
  [
    "an observable whose teardown throws",
    [
      subscribe(1, "watch", "teardown-throws"),
      stop(1),
      subscribe(2, "watch", "teardown-throws"),
      cue("end"),
    ],
    6,
  ],
  [
    "an observable whose socket goes",
    [subscribe(1, "watch"), "closing", say(1), "drop", say(2)],
    2,
  ],
  [
    "observables of nothing",
    [frame(call(1, "subscription", "watchNothing")), frame(call(2, "subscription", "watchBroken"))],
    3,
  ],

  [
    "a batch",
    [
      frame([
        call(1, "query", "echo", 1),
        call(2, "mutation", "slow", { key: "k" }),
        call(3, "subscription", "feed", { key: "k" }),
      ]),
      say(1),
    ],
    4,
  ],
  ["an empty batch", [frame([])], 0],
  [
    "a batch at the limit",
    [frame(Array.from({ length: limits.batchCallsMax }, (_, id) => call(id, "query", "echo")))],
    limits.batchCallsMax,
  ],
  [
    "a batch over the limit",
    [
      frame([
        ...Array.from({ length: limits.batchCallsMax - 2 }, (_, id) => ({
          ...call(id, "query", "echo"),
          jsonrpc: "2.0",
        })),
        { id: "stop", method: "subscription.stop" },
        null,
        { id: "malformed" },
      ]),
      frame(Array.from({ length: limits.batchCallsMax + 1 }, () => null)),
    ],
    limits.batchCallsMax,
  ],
  [
    "malformed calls among good ones",
    [
      frame([
        call(1, "query", "echo"),
        { id: 2 },
        null,
        7,
        call(3, "nothing", "echo"),
        { id: "x", method: "query", jsonrpc: "2.0" },
        call(4, "query", "echo"),
        { ...call(5, "query", "echo"), jsonrpc: "1.0" },
      ]),
    ],
    8,
  ],
  [
    "malformed calls alone",
    [
      frame({ id: 1 }),
      frame(null),
      frame([[]]),
      frame("x"),
      frame(call({}, "query", "echo")),
      frame(call(1, "query", 7 as never)),
      frame(call(1, "query", "echo", 1, { lastEventId: 1 })),
      frame({ id: 1, method: "query", params: [] }),
      frame({ method: "subscription.stop" }),
      frame({ id: null, method: "subscription.stop" }),
      frame(call(null, "query", "echo")),
      frame({ method: "connectionParams", data: {} }),
      frame(call(1, "query", "echo")),
    ],
    13,
  ],
  ["what is no JSON", ["", "{", "[]x", "PING ", "\u0000"].map((raw) => ({ raw })), 5],
  [
    "binary frames",
    [
      { raw: new TextEncoder().encode('{"id":1,"method":"query","params":{"path":"echo"}}') },
      { raw: new TextEncoder().encode("PING") },
    ],
    2,
  ],
  ["PING and PONG", [{ raw: "PING" }, { raw: "PONG" }, { raw: "PING" }], 2],

  [
    "connection parameters",
    [
      frame({ method: "connectionParams", data: { name: "Bob" } }),
      frame(call(1, "query", "echo", 1)),
    ],
    1,
    params,
  ],
  [
    "connection parameters of null",
    [frame({ method: "connectionParams", data: null }), frame(call(1, "query", "echo", 1))],
    1,
    params,
  ],
  [
    "a PING before connection parameters",
    [{ raw: "PING" }, frame({ data: { name: "Bob" } }), subscribe(1, "feed")],
    2,
    params,
  ],
  ...["{", "7", "[]", "{}", '{"data":7}', '{"data":{"name":7}}'].map((raw): Clause => [
    `connection parameters that are none: ${raw}`,
    [{ raw }, frame(call(1, "query", "echo", 1))],
    1,
    params,
  ]),
  ["connection parameters in a binary frame", [{ raw: new TextEncoder().encode("{}") }], 1, params],
  [
    "a context that can't be made",
    [frame(call(1, "query", "echo", 1))],
    1,
    {
      createContext: () => {
        throw new Error("nobody");
      },
    },
  ],
  [
    "a transformer",
    [
      frame(call(1, "query", "echo", { wrapped: 1 })),
      frame([
        call(2, "query", "echo", "not wrapped"),
        call(3, "query", "echo", { wrapped: {} }, { lastEventId: "e:1" }),
      ]),
      frame(call(4, "subscription", "tracked", { wrapped: { key: "k" } })),
      say(1),
      cue({ fail: "trpc" }),
    ],
    7,
    { transformer: superish },
  ],
  [
    "a transformer that fails",
    [frame(call(1, "query", "echo", 1)), frame(call(2, "subscription", "short", 1))],
    4,
    {
      transformer: {
        deserialize: (value: unknown) => value,
        serialize(value: unknown) {
          if (value === 1) throw new Error("not one");
          return value;
        },
      },
    },
  ],
];

describe("as tRPC's own handler does", () => {
  for (const [what, script, answers, options] of clauses)
    test(what, async () => {
      const [ours, stock] = await Promise.all([
        playOurs(script, options),
        playStock(script, options),
      ]);
      expect(ours).toEqual(stock);
      expect(Object.values(stock.answers).flat().length).toBe(answers);
    });
});

// -------------------------------------------------------------------------------------------------

const ids = fc.constantFrom<unknown>(1, 2, "a", "1");
const keys = fc.constantFrom("k", "l");
const quiet = [
  "echo",
  "nested.echo",
  "fail",
  "slow",
  "slowQuery",
  "stream",
  "thenable",
  "thenableMutation",
  "ownError",
  "unsayable",
  "layered",
  "replaced",
  "checked",
  "noNext",
  "angry",
  "angryLater",
];
const feeds = [
  "feed",
  "tracked",
  "late",
  "short",
  "unsayableFeed",
  "noFeed",
  "brokenFeed",
  "brokenNext",
  "bare",
  "watch",
  "watchNothing",
  "watchBroken",
  "lateWatch",
  "disposable",
  "lateDisposable",
  "thenableFeed",
];

const lastEventId = fc.oneof(
  { arbitrary: fc.constant({}), weight: 5 },
  fc.constant({ lastEventId: "e:1" }),
);
const anyInput = fc.oneof(
  {
    arbitrary: fc.record({
      key: fc.oneof(keys, fc.constantFrom(...failures)),
      manner: fc.constantFrom(...manners),
    }),
    weight: 8,
  },
  { arbitrary: fc.jsonValue({ maxDepth: 1 }), weight: 1 },
);
const calls = fc.oneof(
  {
    arbitrary: fc
      .tuple(ids, fc.constantFrom(...feeds), anyInput, lastEventId)
      .map(([id, path, input, more]) => call(id, "subscription", path, input, more)),
    weight: 6,
  },
  {
    arbitrary: fc
      .tuple(
        ids,
        fc.constantFrom("query", "mutation"),
        fc.constantFrom(...quiet, "nope", "feed"),
        anyInput,
        lastEventId,
      )
      .map(([id, method, path, input, more]) => call(id, method, path, input, more)),
    weight: 4,
  },
  { arbitrary: ids.map((id) => ({ id, method: "subscription.stop" })), weight: 4 },
);
const malformed = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }).filter((value) => !Array.isArray(value)),
  fc.record({
    id: ids,
    method: fc.constantFrom("query", "nothing"),
    params: fc.constantFrom(1, null, { path: 1 }),
  }),
);
const cues: Arbitrary<Cue> = fc.oneof(
  { arbitrary: fc.jsonValue({ maxDepth: 1 }).map((value) => ({ value })), weight: 6 },
  { arbitrary: fc.constantFrom(...failures).map((fail) => ({ fail })), weight: 1 },
  { arbitrary: fc.constant("end" as const), weight: 1 },
);
const steps: Arbitrary<Step> = fc.oneof(
  { arbitrary: calls.map(frame), weight: 10 },
  {
    arbitrary: fc
      .array(fc.oneof({ arbitrary: calls, weight: 5 }, malformed), { maxLength: 5 })
      .map(frame),
    weight: 4,
  },
  { arbitrary: malformed.map(frame), weight: 1 },
  {
    arbitrary: fc
      .tuple(fc.oneof(keys, fc.constant("k teardown")), cues)
      .map(([key, what]) => cue(what, key)),
    weight: 10,
  },
  {
    arbitrary: fc.constantFrom<Step>(
      { raw: "PING" },
      { raw: "PONG" },
      { raw: "{" },
      { raw: new Uint8Array([123]) },
    ),
    weight: 1,
  },
);
const endings: Arbitrary<Step[]> = fc.oneof(
  fc.constant<Step[]>([]),
  fc
    .array(
      fc.tuple(keys, cues).map(([key, what]) => cue(what, key)),
      { maxLength: 4 },
    )
    .map((after): Step[] => ["closing", ...after, "drop", ...after]),
  fc
    .array(
      fc.tuple(keys, cues).map(([key, what]) => cue(what, key)),
      { maxLength: 4 },
    )
    .map((after): Step[] => ["drop", ...after]),
);

/** Gives each query and mutation an id of its own: which of two of one id is answered first is open. */
function numbered(step: Step, at: number): Step {
  if (typeof step !== "object" || !("frame" in step)) return step;
  const renamed = [step.frame].flat().map((one, index) => {
    const { method } = (one ?? {}) as { method?: unknown };
    if ((method !== "query" && method !== "mutation") || isMalformed(one)) return one;
    return { ...(one as object), id: `${at} ${index}` };
  });
  return frame(Array.isArray(step.frame) ? renamed : renamed[0]);
}

const isMalformed = (one: unknown) =>
  typeof (one as { params?: { path?: unknown } | null }).params?.path !== "string";

test(`${runs} generated scripts: slow procedures, stops, drops and malformed frames in any order`, async () => {
  let answers = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(steps, { maxLength: 24, size: "max" }),
      endings,
      fc.record({ formats: fc.boolean() }),
      async (script, ending, options) => {
        const whole = [...script.map(numbered), ...ending];
        const [ours, stock] = await Promise.all([
          playOurs(whole, options),
          playStock(whole, options),
        ]);
        expect(ours).toEqual(stock);
        answers += Object.values(stock.answers).flat().length;
      },
    ),
    { numRuns: runs, seed },
  );
  expect(answers).toBeGreaterThan(runs * 3);
}, 120_000);

// -------------------------------------------------------------------------------------------------

describe("the keep-alive", () => {
  afterEach(() => void jest.useRealTimers());

  const implementations: Record<
    string,
    (deadlines: {
      pingMs: number;
      pongWaitMs: number;
      firstMessageMs: number;
    }) => AcceptSocket<unknown>
  > = {
    ours: (deadlines) =>
      createSockets({
        router: createTroupe().router,
        createContext: () => ({ name: "Alice" }),
        onError: () => {},
        deadlines,
        elapsed: () => performance.now(),
        schedule(delayMs, task) {
          const timer = setTimeout(task, delayMs);
          return () => clearTimeout(timer);
        },
      }),
    stock: (deadlines) =>
      createStockSockets({
        router: createTroupe().router,
        createContext: () => ({ name: "Alice" }),
        onError: () => {},
        deadlines,
      }),
  };

  /** When, in ms from the start, each PING was sent, and when the socket was ended. */
  function watch(
    accept: AcceptSocket<unknown>,
    messages: readonly [atMs: number, text: string][],
    untilMs: number,
    closeAtMs = Infinity,
  ) {
    const seen: [number, string][] = [];
    const startedAt = Date.now();
    const note = (what: string) => void seen.push([Date.now() - startedAt, what]);
    const listener = accept(
      fakeSocket({
        open: true,
        send: note,
        close: () => note("close"),
        terminate: () => note("terminate"),
      }),
      requestFor("/trpc"),
    );
    for (let ms = 1; ms <= untilMs; ms++) {
      jest.advanceTimersByTime(1);
      if (ms === closeAtMs) listener.close();
      if (seen.at(-1)?.[1] === "terminate") break;
      for (const [atMs, text] of messages) if (atMs === ms) listener.message(text);
    }
    listener.close();
    return seen;
  }

  const cases: [string, [number, string][], (number | undefined)?][] = [
    ["to one who never says anything", []],
    [
      "to one who answers",
      [
        [105, "PONG"],
        [230, "PONG"],
      ],
    ],
    [
      "to one who answers at the last moment, and then too late",
      [
        [129, "PONG"],
        [260, "PONG"],
      ],
    ],
    [
      "to one who talks",
      [
        [30, "PING"],
        [95, "PING"],
        [194, "{"],
      ],
    ],
    [
      "to one who talks just too seldom",
      [
        [101, "PONG"],
        [202, "PONG"],
      ],
    ],
    ["to one who talks soon after the beginning", [[1, "PONG"]]],
    ["to one who has gone", [[40, "PONG"]], 60],
    ["to one who has gone after a PING", [], 110],
  ];
  for (const [what, messages, closeAtMs] of cases)
    test(`is the same ${what}`, () => {
      const [ours, stock] = ["ours", "stock"].map((name) => {
        jest.useFakeTimers();
        const accept = implementations[name]?.({ pingMs: 100, pongWaitMs: 30, firstMessageMs: 50 });
        if (!accept) throw new Error("there are two");
        return watch(accept, messages, 500, closeAtMs);
      });
      expect(ours).toEqual(stock as never);
      if (closeAtMs !== 60) expect(stock?.length).toBeGreaterThan(0);
    });
});
