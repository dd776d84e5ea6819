/** Parses an event stream (WHATWG HTML, 9.2.6), in pieces of any size. */

export interface ParsedEvent {
  type: string;
  data: string;
  lastEventId: string;
}

/**
 * Returns a function that takes the stream piece by piece, decoded and without a byte order mark, and calls `emit` with each
 * event that is complete. `retry` is ignored.
 */
export function createEventParser(emit: (event: ParsedEvent) => void): (piece: string) => void {
  let rest = "";
  let type = "";
  let data: string[] = [];
  let lastEventId = "";

  function parseLine(line: string): void {
    if (line === "") {
      if (data.length > 0) emit({ type: type || "message", data: data.join("\n"), lastEventId });
      type = "";
      data = [];
      return;
    }
    const [, field = "", value = ""] = /^([^:]*):? ?([^]*)$/.exec(line) ?? [];
    if (field === "data") data.push(value);
    else if (field === "event") type = value;
    else if (field === "id" && !value.includes("\0")) lastEventId = value;
  }

  return (piece) => {
    // A carriage return at the end may be the first half of a line's end.
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    for (const line of lines) parseLine(line);
  };
}
