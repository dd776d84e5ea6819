import { expect, test } from "bun:test";
import fc from "fast-check";
import { createEventParser } from "../../../src/client/event-stream-parser.ts";

/** The events of a stream that arrives in these pieces: type, data and last event id. */
function parse(...pieces: string[]): string[][] {
  const events: string[][] = [];
  const feed = createEventParser(({ type, data, lastEventId }) => {
    events.push([type, data, lastEventId]);
  });
  for (const piece of pieces) feed(piece);
  return events;
}

// The first four are the examples of WHATWG HTML, 9.2.6.
test.each([
  ["data: YHOO\ndata: +2\ndata: 10\n\n", [["message", "YHOO\n+2\n10", ""]]],
  [
    ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
    [
      ["message", "first event", "1"],
      ["message", "second event", ""],
      ["message", " third event", ""],
    ],
  ],
  [
    "data\n\ndata\ndata\n\ndata:",
    [
      ["message", "", ""],
      ["message", "\n", ""],
    ],
  ],
  [
    "data:test\n\ndata: test\n\n",
    [
      ["message", "test", ""],
      ["message", "test", ""],
    ],
  ],
  [
    "event: add\rdata: 1\r\rdata: 2\r\r\n",
    [
      ["add", "1", ""],
      ["message", "2", ""],
    ],
  ],
  [
    "id: 7\r\ndata: a\r\n\r\ndata: b\r\n\r\n",
    [
      ["message", "a", "7"],
      ["message", "b", "7"],
    ],
  ],
  ["id: 7\n\nid: a\0b\ndata: x\n\n", [["message", "x", "7"]]],
  ["event: lost\n\ndata: x\n\n", [["message", "x", ""]]],
  [
    "retry: 1000\ndata : no\nfoo: bar\ndatax: no\ndata: yes: it is\n\n",
    [["message", "yes: it is", ""]],
  ],
  ["data: never finished\n", []],
])("%j", (text, events) => {
  expect(parse(text)).toEqual(events);
});

test("a stream means the same in whatever pieces it arrives", () => {
  const line = fc.constantFrom("data: a", "data:", "id: 1", "event: e", ":", "id", "data: é: b");
  const end = fc.constantFrom("\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n");
  const lines = fc.array(fc.tuple(line, end), { maxLength: 12 });
  fc.assert(
    fc.property(lines, fc.array(fc.nat({ max: 100 }), { maxLength: 8 }), (parts, cuts) => {
      // What follows a carriage return at the end decides what it is.
      const text = `${parts.flat().join("")}: end\n`;
      const at = [0, ...cuts.map((cut) => cut % text.length), text.length].toSorted(
        (a, b) => a - b,
      );
      const pieces = at.slice(1).map((to, index) => text.slice(at[index], to));
      expect(parse(...pieces)).toEqual(parse(text));
    }),
  );
});
