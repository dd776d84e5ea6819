/**
 * The format of transcripts (see test/transcripts/README.md): reads and writes their lines, matches frames with their patterns, and fills
 * patterns with values.
 */

/** `<kind>`, `<kind:name>` or either with `=` and an example: what stands in a transcript for a value that is another one each time. */
const pattern = /^<([a-z]+)((?::[\w-]+)*)(?:=([^<>]*))?>$/;

/** Values of these kinds are numbers. */
const numeric = new Set(["at", "ms"]);

export type Line =
  | { kind: "comment"; text: string }
  /** What happens: a socket is opened, cut or closed, or somebody else does something. */
  | { kind: "happens"; text: string }
  | { kind: "frame"; peer: string; by: "peer" | "server"; frame: Frame };

/** A frame: JSON, or the text `PING` or `PONG`. */
export type Frame = unknown;

export interface NumberedLine {
  line: Line;
  /** From 1 on. */
  number: number;
}

/** @throws for a line that is none, with its number. */
export function readTranscript(text: string): NumberedLine[] {
  return text
    .trimEnd()
    .split("\n")
    .map((raw, index) => {
      try {
        return { line: readLine(raw), number: index + 1 };
      } catch (cause) {
        throw new Error(`line ${index + 1}: ${String(cause)}`, { cause });
      }
    });
}

function readLine(raw: string): Line {
  if (raw === "" || raw.startsWith("#")) return { kind: "comment", text: raw };
  if (raw.startsWith("- ")) return { kind: "happens", text: raw.slice(2) };
  const [, peer = "", direction, frame = ""] = /^(\w+) ([<>]) (.+)$/.exec(raw) ?? [];
  if (direction === undefined) throw new Error("neither a comment, an event nor a frame");
  const isBare = frame === "PING" || frame === "PONG";
  const by = direction === ">" ? "peer" : "server";
  return { kind: "frame", peer, by, frame: isBare ? frame : JSON.parse(frame) };
}

export function writeTranscript(lines: readonly Line[]): string {
  return lines.map((line) => `${writeLine(line)}\n`).join("");
}

function writeLine(line: Line): string {
  if (line.kind === "comment") return line.text;
  if (line.kind === "happens") return `- ${line.text}`;
  const { peer, by, frame } = line;
  return `${peer} ${by === "peer" ? ">" : "<"} ${writeFrame(frame)}`;
}

/** A frame as it is sent. */
export function writeFrame(frame: Frame): string {
  return frame === "PING" || frame === "PONG" ? frame : JSON.stringify(frame);
}

/** A frame as it was received. @throws if it is no text of JSON. */
export function readFrame(data: unknown): Frame {
  return data === "PING" || data === "PONG" ? data : JSON.parse(String(data));
}

/** A line of `- alice opens a socket` and the like; `undefined` for what neither peer nor server does to a socket. */
export function socketEvent(
  text: string,
):
  | { peer: string; what: "opens" | "is cut" | "closes" }
  | { peer: string; code: number }
  | undefined {
  const [, peer, what] = /^(\w+) (opens|is cut|closes)(?: .*)?$/.exec(text) ?? [];
  if (peer !== undefined) return { peer, what: what as "opens" };
  const [, whose, code] = /^the server closes the socket of (\w+) with (\d+)$/.exec(text) ?? [];
  return whose === undefined ? undefined : { peer: whose, code: Number(code) };
}

/** The values that patterns with a name stand for: the same name is the same value, everywhere in a transcript. */
export class Bindings {
  readonly #values = new Map<string, string | number>();

  /**
   * Compares a value with what is expected, in which patterns may stand for values. Names that are new are bound if all matches, and nothing is
   * bound otherwise. Returns where it differs, or `undefined`.
   */
  match(expected: unknown, value: unknown): string | undefined {
    const added = new Map<string, string | number>();
    const difference = this.#compare(expected, value, "", added);
    if (difference !== undefined) return difference;
    for (const [name, bound] of added) this.#values.set(name, bound);
    return undefined;
  }

  /** @param make gives the value of a pattern that is not bound yet; by default the example, and without one there must be a value. */
  fill(template: unknown, make: (kind: string) => string | number = missing): unknown {
    if (typeof template === "string") {
      const [whole, kind = "", name = "", example] = pattern.exec(template) ?? [];
      if (whole === undefined) return template;
      const key = kind + name;
      const known = this.#values.get(key) ?? example ?? make(kind);
      if (name !== "") this.#values.set(key, known);
      return known;
    }
    if (Array.isArray(template)) return template.map((item) => this.fill(item, make));
    if (typeof template !== "object" || template === null) return template;
    return Object.fromEntries(
      Object.entries(template).map(([key, item]) => [key, this.fill(item, make)]),
    );
  }

  get(key: string): string | number | undefined {
    return this.#values.get(key);
  }

  set(key: string, value: string | number): void {
    this.#values.set(key, value);
  }

  #compare(
    expected: unknown,
    value: unknown,
    at: string,
    added: Map<string, string | number>,
  ): string | undefined {
    if (typeof expected === "string") {
      const [whole, kind = "", name = ""] = pattern.exec(expected) ?? [];
      if (whole !== undefined) return this.#comparePattern(kind, name, value, at, added);
    }
    if (
      !isContainer(expected) ||
      !isContainer(value) ||
      Array.isArray(expected) !== Array.isArray(value)
    )
      return expected === value ? undefined : differ(at, expected, value);
    for (const key of new Set([...Object.keys(expected), ...Object.keys(value)])) {
      const path = at === "" ? key : `${at}.${key}`;
      if (!(key in value)) return `${path} is missing`;
      if (!(key in expected)) return `${path} is too much`;
      const difference = this.#compare(expected[key], value[key], path, added);
      if (difference !== undefined) return difference;
    }
    return undefined;
  }

  #comparePattern(
    kind: string,
    name: string,
    value: unknown,
    at: string,
    added: Map<string, string | number>,
  ): string | undefined {
    const type = numeric.has(kind) ? "number" : "string";
    if (typeof value !== type || value === "") return differ(at, `<${kind}${name}>`, value);
    if (name === "") return undefined;
    const key = kind + name;
    const known = this.#values.get(key) ?? added.get(key);
    if (known !== undefined)
      return known === value ? undefined : differ(at, `${String(known)} <${key}>`, value);
    // Nor may two names be the same value.
    for (const [other, bound] of [...this.#values, ...added])
      if (bound === value) return differ(at, `a new <${key}>`, `${String(bound)} <${other}>`);
    added.set(key, value as string | number);
    return undefined;
  }
}

const differ = (at: string, expected: unknown, value: unknown) =>
  `${at === "" ? "the frame" : at} is ${JSON.stringify(value)} instead of ${JSON.stringify(expected)}`;

const isContainer = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;

function missing(kind: string): never {
  throw new Error(`there is no ${kind} yet`);
}
