import { describe, expect, test } from "bun:test";
import { array, assert, constantFrom, dictionary, nat, oneof, property, string } from "fast-check";
import type { ZodType } from "zod";
import { candidateInput, descriptionInput, limits } from "../../src/protocol.ts";
import { isCandidate, isDescription, usually } from "../../src/rpc/usual-input.ts";

const runs = { numRuns: 20_000 };

/** As JSON brings them: `__proto__` is a key like any other. */
const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** Around every bound, and of every type. */
const values = oneof(
  constantFrom(null, true, 0, -1, -0, 0.5, 0xffff, 0x10000, 1e21, "", [], {}, ["a"]),
  nat(),
  string({ unit: "grapheme" }),
  constantFrom(64, 65, 256, 257, 341, 342, 1024, 1025, 10_922, 10_923, 32_768, 32_769).map(
    (chars) => "x".repeat(chars),
  ),
  constantFrom(341, 342, 512).map((chars) => "漢".repeat(chars)),
);
const shallow = dictionary(
  constantFrom("candidate", "sdpMid", "sdpMLineIndex", "usernameFragment", "__proto__", "other"),
  values,
);
const inputs = oneof(
  values,
  array(values),
  dictionary(
    constantFrom("id", "roomId", "sdp", "candidate", "__proto__", "constructor", "other"),
    oneof({ weight: 2, arbitrary: values }, { weight: 1, arbitrary: shallow }),
  ),
  // Right but for one field at most.
  shallow.map((fields) => ({ roomId: "room", candidate: { candidate: "c", ...fields } })),
  values.map((value) => ({ roomId: "room", sdp: value })),
  values.map((value) => ({ roomId: value, sdp: "v=0" })),
  values.map((value) => ({ id: value, roomId: "room", candidate: { candidate: "" } })),
);

const looks: [what: string, isUsual: (raw: unknown) => boolean, schema: ZodType][] = [
  ["a description", isDescription, descriptionInput],
  ["a candidate", isCandidate, candidateInput],
];

describe("signals recognised without their schema", () => {
  for (const [what, isUsual, schema] of looks)
    test(`${what}: whatever is let through, the schema lets through as it is`, () => {
      let usual = 0;
      assert(
        property(inputs.map(asJson), (raw) => {
          if (!isUsual(raw)) return;
          usual += 1;
          expect(schema.safeParse(raw)).toEqual({ success: true, data: raw });
        }),
        runs,
      );
      expect(usual).toBeGreaterThan(100);
    });

  test("what browsers make needs no schema", () => {
    const init = {
      candidate: `candidate:1 1 udp 2 192.0.2.1 9 typ host ${"x".repeat(200)}`,
      sdpMid: "0",
      sdpMLineIndex: 0,
      usernameFragment: "abcd",
    };
    const roomId = "r".repeat(22);
    expect(isCandidate({ roomId, candidate: init })).toBe(true);
    expect(isCandidate({ id: "1", roomId, candidate: { ...init, sdpMid: null } })).toBe(true);
    expect(isCandidate({ roomId, candidate: { candidate: "" } })).toBe(true);
    expect(isDescription({ roomId, sdp: "x".repeat(8192) })).toBe(true);
  });

  test("what is not quite as usual is the schema's: let through, or refused by its words", () => {
    const parse = usually(isDescription, descriptionInput);
    const large = { roomId: "room", sdp: "x".repeat(limits.sdpBytesMax) };
    expect(isDescription(large)).toBe(false);
    expect(parse(large)).toEqual(large);
    expect(() => parse({ ...large, sdp: `${large.sdp}x` })).toThrow("must be at most");
    expect(() => parse({ roomId: "room", sdp: "v=0", more: 1 })).toThrow("more");
  });
});
