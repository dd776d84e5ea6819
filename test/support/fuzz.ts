/** What a hostile client could send: arbitraries for frames, tRPC envelopes, and each procedure's input. */
import fc, { type Arbitrary } from "fast-check";
import { modes, reportReasons } from "../../src/protocol.ts";
import type { FactsDeclaration } from "../../src/protocol/declaration.ts";
import { createAppRouter } from "../../src/rpc/router.ts";
import { base64Of, smallJpeg } from "./jpeg.ts";

/** A frame, or a body, as it goes over the wire. */
export type Frame = string | Uint8Array<ArrayBuffer>;

/** What the server has declared that is fuzzed. */
export const fuzzedFacts = {
  region: { kind: "one", of: ["eu", "us"], by: "claims" },
  topics: { kind: "set", of: ["art", "go"], shown: true },
  age: { kind: "range", from: 18, to: 99, shown: true },
  adult: { kind: "flag", hard: false },
} as const satisfies FactsDeclaration;

const procedures = Object.keys(
  createAppRouter({ facts: fuzzedFacts, softAfterMs: 0 })._def.procedures,
);

const lines = (text: string, count: number) => text.repeat(count);

/** Strings that break careless programs. */
const nastyText = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.constantFrom(
    "",
    " ",
    "\u0000",
    "a\u0000b",
    "\ud800",
    "\udc00\ud800",
    "x\udfff",
    "\u202e\u2066",
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
    "then",
    "%00%ff%",
    "../../etc/passwd",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "v=0\r\n\r\nHTTP/1.1 200 OK\r\n",
    "(a+)+$",
    lines("a", 300),
    lines("\ud83d\ude00", 40),
    lines("\u0301", 200),
    lines("x", 5000),
  ),
);

const nastyNumber = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.constantFrom(0, -0, -1, 0.5, 65_535, 65_536, 2 ** 31, 2 ** 53, 2 ** 53 + 2, 1e308, 5e-324),
);

/** Keys that reach for prototypes, as own properties: `JSON.parse` makes such. */
const poisoned = fc
  .tuple(fc.constantFrom("__proto__", "constructor", "prototype", "toJSON", "then"), fc.jsonValue())
  .map(([key, value]) => JSON.parse(`{${JSON.stringify(key)}:${JSON.stringify(value)}}`) as object);

/** Anything that JSON can say. */
const nasty: Arbitrary<unknown> = fc.oneof(
  { arbitrary: nastyText, weight: 4 },
  { arbitrary: nastyNumber, weight: 3 },
  { arbitrary: fc.constantFrom(null, true, false, [], {}), weight: 3 },
  { arbitrary: fc.jsonValue({ maxDepth: 3 }), weight: 2 },
  { arbitrary: poisoned, weight: 1 },
  { arbitrary: fc.array(nastyText, { maxLength: 12 }), weight: 1 },
);

/** What it should be, more often than not; so that the checks behind the first one are reached too. */
function mostly(good: Arbitrary<unknown>): Arbitrary<unknown> {
  return fc.oneof({ arbitrary: good, weight: 9 }, { arbitrary: nasty, weight: 1 });
}

/** Each procedure's input: mostly the right keys with mostly the right types. */
function inputs(roomIds: readonly string[]): Record<string, Arbitrary<unknown>> {
  const id = mostly(fc.string({ minLength: 1, maxLength: 8 }));
  const roomId = mostly(fc.constantFrom(...roomIds));
  const sdp = mostly(fc.oneof(nastyText, fc.constant(lines("a=x\r\n", 1000))));
  const record = (fields: Record<string, Arbitrary<unknown>>) =>
    fc.oneof(
      { arbitrary: fc.record(fields, { requiredKeys: [] }), weight: 12 },
      { arbitrary: fc.record(fields), weight: 12 },
      {
        arbitrary: fc
          .tuple(fc.record(fields), nastyText, nasty)
          .map(([good, key, value]) => ({ ...good, [key]: value })),
        weight: 3,
      },
      {
        arbitrary: fc
          .tuple(fc.record(fields), poisoned)
          .map(([good, poison]) => Object.defineProperties({ ...good }, descriptors(poison))),
        weight: 2,
      },
      { arbitrary: nasty, weight: 1 },
    );
  const candidate = record({
    candidate: mostly(nastyText),
    sdpMid: mostly(nastyText),
    sdpMLineIndex: mostly(nastyNumber),
    usernameFragment: mostly(nastyText),
  });
  const description = record({ id, roomId, sdp });
  const verdict = record({ id, roomId });
  const age = mostly(fc.integer({ min: 17, max: 100 }));
  const softness = { hard: mostly(fc.boolean()), softAfterMs: mostly(fc.nat()) };
  const oneOf = (...values: string[]) => fc.array(fc.constantFrom(...values), { maxLength: 3 });
  const facts = record({
    topics: mostly(oneOf("art", "go", "x")),
    age,
    adult: mostly(fc.boolean()),
  });
  const wants = record({
    region: record({ in: mostly(oneOf("eu", "us", "x")), ...softness }),
    topics: record({ in: mostly(oneOf("art", "go")), ...softness }),
    age: record({ from: age, to: age, ...softness }),
    adult: record({ is: mostly(fc.boolean()), ...softness }),
  });
  const reason = mostly(fc.constantFrom(...reportReasons));
  const quoted = record({
    from: mostly(fc.constantFrom("me", "partner")),
    text: mostly(nastyText),
    at: mostly(fc.nat()),
  });
  const evidence = record({
    still: mostly(fc.constant(base64Of(smallJpeg()))),
    messages: mostly(fc.array(quoted, { maxLength: 3 })),
  });
  return {
    join: record({
      id,
      interests: mostly(fc.array(nastyText, { maxLength: 11 })),
      languages: mostly(fc.array(fc.constantFrom("en", "de-AT", "x", ""), { maxLength: 6 })),
      mode: mostly(fc.constantFrom(...modes)),
      relayOnly: mostly(fc.boolean()),
      autoRejoin: mostly(fc.boolean()),
      lobby: mostly(fc.constantFrom("main", "main", "main", "berlin")),
      facts: mostly(facts),
      wants: mostly(wants),
      solution: mostly(fc.base64String({ maxLength: 5000 })),
      agreed: mostly(nastyText),
    }),
    skip: verdict,
    again: verdict,
    leave: record({ id }),
    offer: description,
    answer: description,
    addIceCandidate: record({ id, roomId, candidate }),
    standby: record({
      id,
      offer: mostly(
        fc.option(
          record({ sdp, candidates: mostly(fc.array(mostly(candidate), { maxLength: 33 })) }),
        ),
      ),
    }),
    say: record({ id, roomId, text: mostly(nastyText) }),
    typing: record({ id, roomId, typing: mostly(fc.boolean()) }),
    media: record({ id, roomId, audio: mostly(fc.boolean()), video: mostly(fc.boolean()) }),
    connected: verdict,
    failed: verdict,
    hint: record({
      id,
      roomId,
      label: mostly(nastyText),
      score: mostly(fc.double({ min: 0, max: 1, noNaN: true })),
    }),
    report: record({ id, roomId, reason, note: mostly(nastyText), evidence: mostly(evidence) }),
    block: record({ id, roomId, reason }),
    case: record({ caseId: mostly(nastyText) }),
    iceServers: nasty,
    stats: fc.oneof(nasty, record({ lobby: mostly(nastyText) })),
    site: nasty,
    events: record({ lastEventId: mostly(fc.constantFrom("", ":", "a:1", "epoch:-1", "e:1e99")) }),
  };
}

const descriptors = (source: object) => Object.getOwnPropertyDescriptors(source);

/** One call, well-formed more often than not. */
export interface FuzzedCall {
  path: string;
  method: unknown;
  input: unknown;
  lastEventId: unknown;
  /** Other keys of the envelope. */
  more: object;
}

/** Calls of every procedure. */
export function fuzzedCalls(roomIds: readonly string[]): Arbitrary<FuzzedCall> {
  const byName = inputs(roomIds);
  const unknown = procedures.filter((name) => !(name in byName));
  if (unknown.length > 0) throw new Error(`no arbitrary for ${unknown.join(", ")}`);
  const lastEventId = fc.oneof({ arbitrary: fc.constant(undefined), weight: 9 }, nasty);
  const more = fc.oneof({ arbitrary: fc.constant({}), weight: 9 }, poisoned);
  const calls = Object.entries(byName).map(([name, input]) => {
    const type = name === "events" ? ["subscription"] : ["mutation", "mutation", "query"];
    return fc.record({
      path: mostly(fc.constant(name)) as Arbitrary<string>,
      method: mostly(fc.constantFrom(...type)),
      input,
      lastEventId,
      more,
    });
  });
  return fc.oneof(...calls);
}

/** Ids that no client of ours would make. Those that are a string or number must be answered. */
export const fuzzedIds: Arbitrary<unknown> = fc.oneof(
  { arbitrary: nastyText, weight: 4 },
  { arbitrary: nastyNumber, weight: 4 },
  { arbitrary: nasty, weight: 2 },
);

/** Frames that are hardly calls at all. */
export const fuzzedFrames: Arbitrary<Frame> = fc.oneof(
  { arbitrary: nastyText, weight: 3 },
  { arbitrary: fc.json({ maxDepth: 4 }), weight: 3 },
  { arbitrary: nasty.map((value) => JSON.stringify(value)), weight: 3 },
  { arbitrary: fc.uint8Array({ maxLength: 60 }) as Arbitrary<Uint8Array<ArrayBuffer>>, weight: 2 },
  {
    arbitrary: fc
      .tuple(fc.constantFrom(...procedures), fc.nat(80), nastyText)
      .map(([path, at, text]) => {
        const whole = JSON.stringify({ method: "mutation", params: { path, input: {} } });
        return whole.slice(0, at) + text + whole.slice(at);
      }),
    weight: 3,
  },
  {
    arbitrary: fc.constantFrom(
      "[".repeat(10_000),
      "[".repeat(10_000) + "]".repeat(10_000),
      '{"a":'.repeat(5_000) + "1" + "}".repeat(5_000),
      `{"method":"mutation","params":{"path":"join","input":${"[".repeat(10_000)}${"]".repeat(10_000)}}}`,
      `{"method":"query","params":{"path":"stats","input":1e999}}`,
      `{"id":1e999,"method":"nothing"}`,
      `{"id":-1e999}`,
      `{"__proto__":{"polluted":true}}`,
      `{"constructor":{"prototype":{"polluted":true}}}`,
      "NaN",
      "Infinity",
      "PING ",
      "\ufeff{}",
      "undefined",
      '"',
      `"${"\\ud800".repeat(100)}"`,
    ),
    weight: 1,
  },
);
