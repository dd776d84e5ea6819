import { describe, expect, test } from "bun:test";
import {
  array,
  assert,
  constant,
  constantFrom,
  nat,
  oneof,
  option,
  property,
  record,
  string,
  stringMatching,
  tuple,
  uuid,
  type Arbitrary,
} from "fast-check";
import { limits } from "../../../src/protocol.ts";
import {
  candidateInput,
  descriptionInput,
  joinInput,
  leaveInput,
  sayInput,
  skipInput,
} from "../../../src/rpc/schemas.ts";
import { findIntent, findSignals } from "../../../src/rpc/usual-frames.ts";
import { readMessage } from "../../../src/trpc-ws/requests.ts";
import { defaultTransformer } from "@trpc/server/unstable-core-do-not-import";

const runs = { numRuns: 20_000 };

const types: Record<string, string> = {
  offer: "offer",
  answer: "answer",
  addIceCandidate: "add-ice-candidate",
};

/** What the long way makes of a call: what is called, and what the partner is told; nothing if it is refused. */
function theLongWay(raw: unknown, index: number) {
  const message = readMessage(raw, index, defaultTransformer);
  if (!("path" in message) || message.type !== "mutation") return undefined;
  const { id, path, input } = message;
  if (path === "say") return theLongWayOfWords(id, input);
  const schema = path === "addIceCandidate" ? candidateInput : descriptionInput;
  const checked = schema.safeParse(input);
  if (!checked.success) return undefined;
  const { id: mutationId, ...fields } = checked.data;
  const told = { type: types[path], ...fields };
  return { id, path, mutationId, roomId: fields.roomId, told: JSON.parse(JSON.stringify(told)) };
}

function theLongWayOfWords(id: number | string | null, input: unknown) {
  const checked = sayInput.safeParse(input);
  if (!checked.success) return undefined;
  const { id: mutationId, roomId, text } = checked.data;
  return { id, path: "say", mutationId, roomId, told: text };
}

/** Fails unless a frame that is recognised is one that the long way takes too, and means the same. */
function expectTheSame(frame: string): boolean {
  const found = findSignals(frame);
  if (!found) return false;
  const parsed: unknown = JSON.parse(frame);
  const calls = Array.isArray(parsed) ? (parsed as unknown[]) : [parsed];
  expect(found.length).toBe(calls.length);
  for (const [index, one] of found.entries()) {
    const { id, path, mutationId, roomId, json } = one;
    const long = theLongWay(calls[index], index);
    expect(long).toBeDefined();
    expect({ id, path, mutationId, roomId }).toEqual({
      id: long?.id as number,
      path: long?.path as never,
      mutationId: long?.mutationId,
      roomId: long?.roomId as string,
    });
    expect(JSON.parse(json)).toEqual(long?.told);
    // What the limit of bytes counts.
    expect(json.length).toBe(JSON.stringify(long?.told).length);
    if (one.path !== "say") expect(one.type).toBe(long?.told.type);
  }
  return true;
}

const roomId = "abcdefghijklmnopqrst_-";
const init = {
  candidate: `candidate:1 1 udp 2 192.0.2.1 9 typ host ${"x".repeat(200)}`,
  sdpMid: "0",
  sdpMLineIndex: 0,
  usernameFragment: "abcd",
};
const frameOf = (path: string, input: object, id = 7) =>
  JSON.stringify({ id, method: "mutation", params: { input, path } });

describe("what tRPC's client and browsers make is recognised", () => {
  const usual: [string, string][] = [
    ["a candidate", frameOf("addIceCandidate", { roomId, candidate: init })],
    ["one of our client", frameOf("addIceCandidate", { roomId, candidate: init, id: "a-b" })],
    ["the last candidate", frameOf("addIceCandidate", { roomId, candidate: { candidate: "" } })],
    [
      "one in the order of the specification",
      frameOf("addIceCandidate", {
        roomId,
        candidate: { candidate: "", sdpMLineIndex: null, sdpMid: null, usernameFragment: null },
      }),
    ],
    ["an offer", frameOf("offer", { roomId, sdp: "v=0\r\ns=-\r\n".repeat(700) })],
    ["an answer with an id", frameOf("answer", { roomId, sdp: "v=0\n", id: crypto.randomUUID() })],
    ["one in a relayed room", frameOf("offer", { roomId: `relay.${roomId}`, sdp: "v=0" })],
    ["a message", frameOf("say", { roomId, text: "Hello, <b>world</b>!" })],
    ["one of our client", frameOf("say", { roomId, text: "👋 שלום\u202e", id: "a-b" })],
    ["one with the usual escapes", frameOf("say", { roomId, text: 'two\n\tlines "\\"' })],
    ["one of escapes alone", frameOf("say", { roomId, text: '"' })],
    ["the longest message", frameOf("say", { roomId, text: "x".repeat(limits.messageCharsMax) })],
    ["an array of one", `[${frameOf("offer", { roomId, sdp: "v=0" })}]`],
    [
      "an offer and candidates of one moment",
      `[${[
        frameOf("offer", { roomId, sdp: "v=0\r\n", id: "a" }),
        frameOf("addIceCandidate", { roomId, candidate: init, id: "b" }, 8),
        frameOf("addIceCandidate", { roomId, candidate: { candidate: "" } }, 9),
      ].join(",")}]`,
    ],
  ];
  for (const [what, frame] of usual) test(what, () => expect(expectTheSame(frame)).toBe(true));
});

describe("anything else goes the long way", () => {
  const sdp = (body: string) => frameOf("offer", { roomId, sdp: "SDP" }).replace("SDP", body);
  const mid = (body: string) =>
    frameOf("addIceCandidate", { roomId, candidate: { candidate: "c", sdpMid: "MID" } }).replace(
      '"MID"',
      body,
    );
  const unusual: [string, string][] = [
    ["another procedure", frameOf("join", { roomId, sdp: "v=0" })],
    ["a field more", frameOf("offer", { roomId, sdp: "v=0", more: 1 })],
    ["no room", frameOf("offer", { roomId: "", sdp: "v=0" })],
    ["an empty SDP", sdp("")],
    ["a long SDP", sdp("x".repeat(limits.sdpBytesMax / 3 + 1))],
    ["a blank message", frameOf("say", { roomId, text: " \n\t\u3000" })],
    ["a message that can't be seen", frameOf("say", { roomId, text: "\u200b\u2800\u3164" })],
    ["an empty message", frameOf("say", { roomId, text: "" })],
    ["a long message", frameOf("say", { roomId, text: "x".repeat(limits.messageCharsMax + 1) })],
    ["a message with a control character", frameOf("say", { roomId, text: "a\u0085b" })],
    ["a message with a carriage return", frameOf("say", { roomId, text: "a\r\nb" })],
    ["a message with half a character", frameOf("say", { roomId, text: "a\ud800b" })],
    [
      "a long candidate",
      frameOf("addIceCandidate", { roomId, candidate: { candidate: "x".repeat(342) } }),
    ],
    ["a quotation mark", sdp(String.raw`a\"b`)],
    ["a backslash at the end", sdp("a\\")],
    ["two backslashes", sdp(String.raw`a\\n`)],
    ["a letter by its number", sdp(String.raw`\u0041`)],
    ["a line's end that is not escaped", sdp("a\nb")],
    ["a field twice", sdp('a","sdp":"b')],
    ["another frame inside", sdp(`a"},"path":"offer"},"params":{"input":{"roomId":"x","sdp":"b`)],
    ["a number that is none in JSON", mid("007")],
    ["a line past its bound", mid('"0","sdpMLineIndex":65536')],
    ["blanks between", frameOf("offer", { roomId, sdp: "v=0" }).replace(",", ", ")],
    ["an id of words", frameOf("offer", { roomId, sdp: "v=0" }).replace("7", '"7"')],
    ["an empty array", "[]"],
    ["an array in an array", `[[${frameOf("offer", { roomId, sdp: "v=0" })}]]`],
    ["an array that does not end", `[${frameOf("offer", { roomId, sdp: "v=0" })}`],
    ["an array that ends twice", `[${frameOf("offer", { roomId, sdp: "v=0" })}]]`],
    ["an array that does not begin", `${frameOf("offer", { roomId, sdp: "v=0" })}]`],
    ["an array with a comma more", `[${frameOf("offer", { roomId, sdp: "v=0" })},]`],
    [
      "an array with another procedure in it",
      `[${frameOf("offer", { roomId, sdp: "v=0" })},${frameOf("connected", { roomId })}]`,
    ],
    ["two in a line", frameOf("offer", { roomId, sdp: "v=0" }).repeat(2)],
    ["a jsonrpc", `${frameOf("offer", { roomId, sdp: "v=0" }).slice(0, -1)},"jsonrpc":"2.0"}`],
  ];
  for (const [what, frame] of unusual) test(what, () => expect(findSignals(frame)).toBeUndefined());
});

describe("whatever is recognised means what the long way makes of it", () => {
  const letters = oneof(
    string({ unit: "grapheme" }),
    string({ unit: "binary" }),
    constantFrom(64, 65, 256, 257, 341, 342, 1024, 1025, 10_922, 10_923).map((chars) =>
      "x".repeat(chars),
    ),
    stringMatching(/^(?:[ -~]|\r\n){0,80}$/),
  );
  const numbers = oneof(
    nat({ max: 70_000 }),
    constantFrom(-1, 0.5, 1e21, 59_999, 60_000, 65_535, 65_536),
  );
  const field = oneof(letters, numbers, constant(null));
  const candidates: Arbitrary<object> = record(
    {
      candidate: letters,
      sdpMid: field,
      sdpMLineIndex: field,
      usernameFragment: field,
      more: field,
    },
    { requiredKeys: ["candidate"] },
  );
  const rooms = oneof(stringMatching(/^[\w.-]{1,66}$/), letters);
  const ids = oneof(uuid(), letters);
  const inputs: Arbitrary<object> = oneof(
    record({ roomId: rooms, candidate: candidates, id: ids }, { requiredKeys: ["roomId"] }),
    record({ roomId: rooms, sdp: letters, id: ids }, { requiredKeys: ["roomId", "sdp"] }),
    record({ roomId: constant(roomId), candidate: candidates }),
    record({ roomId: constant(roomId), sdp: letters }),
  );
  const hard = constantFrom(...' \t\n\r\u000b\u00a0"\\\0\u007f\u0085\u2028\u202ex');
  const texts = oneof(
    letters,
    array(hard, { maxLength: 4 }).map((chars) => chars.join("")),
  );
  const words = record(
    { roomId: oneof(constant(roomId), rooms), text: texts, id: ids },
    { requiredKeys: ["roomId", "text"] },
  );
  const frames = oneof(
    tuple(constant("say"), words, nat()),
    tuple(constantFrom(...Object.keys(types)), inputs, nat()),
  ).map(([path, input, id]) => frameOf(path as string, input as object, id as number));

  test("of all that calls can hold", () => {
    let usual = 0;
    assert(
      property(frames, (frame) => {
        if (expectTheSame(frame)) usual += 1;
      }),
      runs,
    );
    expect(usual).toBeGreaterThan(500);
  });

  test("of all that arrays of calls can hold", () => {
    let usual = 0;
    assert(
      property(array(frames, { maxLength: 3 }), (calls) => {
        if (expectTheSame(`[${calls.join(",")}]`)) usual += 1;
      }),
      runs,
    );
    expect(usual).toBeGreaterThan(500);
  });

  test("of frames that somebody has cut and mended", () => {
    const harmless = stringMatching(/^[0-9a-z]{0,3}$/);
    const pieces = oneof(
      { weight: 3, arbitrary: harmless },
      { weight: 1, arbitrary: string({ maxLength: 3 }) },
      {
        weight: 3,
        arbitrary: constantFrom(
          '"',
          "\\",
          "\\\\",
          '\\"',
          "{",
          "}",
          ",",
          ":",
          "\n",
          "\\n",
          "\\u0022",
          "0",
          "null",
          "\u2028",
          "\0",
          '"sdp":"',
          '","sdp":"',
          '"},"path":"offer"}}',
          '"path":"answer"',
          '"candidate":{',
          '"id":"',
          '"roomId":"',
          ',"sdpMid":"0"',
          ',"sdpMLineIndex":1',
          "[",
          "]",
          "},{",
        ),
      },
    );
    const cuts = array(tuple(nat({ max: 400 }), nat({ max: 4 }), pieces), {
      minLength: 1,
      maxLength: 3,
    });
    const whole = [
      frameOf("addIceCandidate", { roomId, candidate: { ...init, candidate: "candidate:1" } }),
      frameOf("addIceCandidate", { roomId, candidate: { candidate: "c" }, id: "a" }),
      frameOf("offer", { roomId, sdp: "v=0\r\ns=-\r\n" }),
      frameOf("answer", { roomId, sdp: "v=0\r\n", id: "a" }),
      frameOf("say", { roomId, text: 'a\n"b"', id: "a" }),
      `[${frameOf("offer", { roomId, sdp: "v=0" })},${frameOf("addIceCandidate", { roomId, candidate: { candidate: "c" }, id: "a" })}]`,
    ];
    let mended = 0;
    assert(
      property(constantFrom(...whole), cuts, option(pieces), (frame, changes, end) => {
        let text = frame;
        for (const [at, length, piece] of changes) {
          const from = at % text.length;
          text = text.slice(0, from) + piece + text.slice(from + length);
        }
        text += end ?? "";
        if (expectTheSame(text)) mended += 1;
      }),
      runs,
    );
    expect(mended).toBeGreaterThan(100);
  });
});

test("nothing in a hostile frame makes the look a long one", () => {
  const begin = `{"id":1,"method":"mutation","params":{"input":{"roomId":"${roomId}",`;
  const hostile = [
    `${begin}"candidate":{"candidate":"${"x".repeat(60_000)}`,
    `${begin}"sdp":"${"\\r\\n".repeat(15_000)}`,
    `${begin}"sdp":"${"x".repeat(60_000)}"`,
    `${begin}"text":"${"x".repeat(60_000)}"`,
    `${begin}"text":"${"\\\\".repeat(30_000)}`,
    `${begin}"text":"${" ".repeat(2000)}"},"path":"say"}}`,
    `{"id":${"1".repeat(60_000)}`,
    `${begin}"candidate":{"candidate":"c"${',"sdpMid":null'.repeat(4000)}`,
  ];
  for (const frame of [...hostile, ...hostile.map((text) => `[${text}`)])
    expect(findSignals(frame)).toBeUndefined();
});

describe("join, skip and leave", () => {
  const schemas = { join: joinInput({}, 0), skip: skipInput, leave: leaveInput };
  const wishes = {
    interests: ["jazz"],
    languages: ["en-US", "de"],
    mode: "video",
    relayOnly: false,
    autoRejoin: true,
  };

  /** Fails unless a frame that is recognised is one that the long way takes too, and means the same. */
  function expectTheSameIntent(frame: string): boolean {
    const found = findIntent(frame);
    if (!found) return false;
    const message = readMessage(JSON.parse(frame), 0, defaultTransformer);
    if (!("path" in message)) throw new Error("this is no call");
    const { id, path, type } = message;
    const { data } = schemas[found.path].safeParse(message.input);
    if (!data) throw new Error(`the long way refuses ${frame}`);
    const { id: mutationId, ...input } = data;
    const { id: foundId, path: foundPath, mutationId: foundMutationId, ...rest } = found;
    expect({ type, id, path, mutationId }).toEqual({
      type: "mutation",
      id: foundId,
      path: foundPath,
      mutationId: foundMutationId,
    });
    expect(input).toEqual("wishes" in rest ? (rest.wishes as never) : (rest as never));
    return true;
  }

  for (const [path, input] of [
    ["join", { ...wishes, id: "a" }],
    ["join", wishes],
    ["join", { ...wishes, interests: [], languages: [] }],
    ["join", { ...wishes, interests: ["über", "日本", "\ud83d\ude00"] }],
    ["skip", { roomId, id: "a" }],
    ["skip", { roomId }],
    ["skip", { id: "a" }],
    ["leave", { id: "a" }],
  ] as const)
    test(`${path} with ${JSON.stringify(input)} is recognised`, () =>
      expect(expectTheSameIntent(frameOf(path, input))).toBe(true));

  for (const [what, frame] of [
    ["a blank interest", frameOf("join", { ...wishes, interests: [" "] })],
    ["an empty interest", frameOf("join", { ...wishes, interests: [""] })],
    ["a long interest", frameOf("join", { ...wishes, interests: ["x".repeat(33)] })],
    ["many interests", frameOf("join", { ...wishes, interests: Array(11).fill("x") })],
    ["an interest with an escape", frameOf("join", { ...wishes, interests: ["a\nb"] })],
    ["half a character", frameOf("join", { ...wishes }).replace("jazz", "\ud83d")],
    ["another mode", frameOf("join", { ...wishes, mode: "smoke" })],
    ["a field more", frameOf("join", { ...wishes, id: "a", more: 1 })],
    ["fewer fields", frameOf("join", { interests: [] })],
    ["an array", `[${frameOf("leave", { id: "a" })}]`],
    ["two in a line", frameOf("leave", { id: "a" }).repeat(2)],
    ["another procedure", frameOf("report", { roomId, id: "a" })],
    ["another's input", frameOf("leave", { roomId, id: "a" })],
  ] as const)
    test(`${what} goes the long way`, () => expect(findIntent(frame)).toBeUndefined());

  test("whatever is recognised means what the long way makes of it", () => {
    const word = oneof(
      string({ unit: "grapheme", maxLength: 40 }),
      string({ unit: "binary", maxLength: 3 }),
      constantFrom("", " ", "jazz", "en", '","', "x".repeat(32), "x".repeat(64), "x".repeat(65)),
    );
    const plain = stringMatching(/^[a-z]{1,8}$/);
    const words = oneof(
      array(oneof(word, plain), { maxLength: 11 }),
      array(plain, { maxLength: 2 }),
    );
    const flag = constantFrom(true, false);
    const mode = constantFrom("video", "audio", "text", "none");
    const id = oneof(uuid(), word);
    const joins = tuple(words, words, mode, flag, flag, option(id, { nil: undefined })).map(
      ([interests, languages, own, relayOnly, autoRejoin, mutation]) =>
        frameOf("join", {
          interests,
          languages,
          mode: own,
          relayOnly,
          autoRejoin,
          id: mutation,
        }),
    );
    const others = tuple(
      constantFrom("join", "skip", "leave"),
      record({ roomId: word, id }, { requiredKeys: [] }),
      nat(),
    ).map(([path, input, id]) => frameOf(path as string, input as object, id as number));
    const cut = tuple(
      nat({ max: 300 }),
      nat({ max: 3 }),
      oneof(word, constantFrom('"', "\\", "]", "[", ",", "{", "}")),
    );
    let usual = 0;
    assert(
      property(oneof(joins, others), option(cut), (frame, change) => {
        const [at = 0, length = 0, piece = ""] = change ?? [];
        const from = at % frame.length;
        const text = change ? frame.slice(0, from) + piece + frame.slice(from + length) : frame;
        if (expectTheSameIntent(text)) usual += 1;
      }),
      runs,
    );
    expect(usual).toBeGreaterThan(500);
  });

  test("nothing in a hostile frame makes the look a long one", () => {
    const end = '"path":"join"}}';
    for (const text of [
      `{"id":1,"method":"mutation","params":{"input":{"interests":[${'"x",'.repeat(15_000)}`,
      `{"id":1,"method":"mutation","params":{"input":{"interests":["${"x".repeat(60_000)}`,
      `{"id":${"1".repeat(60_000)}`,
    ])
      expect(findIntent(text + end)).toBeUndefined();
  });
});
