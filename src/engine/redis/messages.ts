/** The messages that nodes publish to each other, and their texts. */
import { modes, type Mode } from "../../protocol.ts";

export type NodeMessage =
  /** An event of a session with a stream on this node; prelude.lua publishes it. `text`: see `toLogText`. */
  | { type: "event"; sessionId: string; offset: number; text: string }
  /** The session belongs to another stream from this generation on. */
  | { type: "take-over"; sessionId: string; generation: number }
  /** The moderation log has a new entry. */
  | { type: "moderation" }
  /** Two peers were paired, the first of whom had waited so long (milliseconds). */
  | { type: "paired"; mode: Mode; waitedMs: number }
  /** What a node publishes to itself, to find out whether its subscription works. */
  | { type: "echo"; token: string };

/** The message as one text: its type and fields, each on a line of its own. */
export function encodeMessage(message: NodeMessage): string {
  switch (message.type) {
    case "event":
      return lines("event", message.sessionId, message.offset, message.text);
    case "take-over":
      return lines("take-over", message.sessionId, message.generation);
    case "moderation":
      return "moderation";
    case "paired":
      return lines("paired", message.mode, message.waitedMs);
    case "echo":
      return lines("echo", message.token);
  }
}

/** `undefined` for a text that is no message. */
export function decodeMessage(text: string): NodeMessage | undefined {
  const [type, rest] = splitLine(text);
  switch (type) {
    case "event": {
      const [sessionId, tail] = splitLine(rest);
      const [offset, event] = splitLine(tail);
      return { type, sessionId, offset: Number(offset), text: event };
    }
    case "take-over": {
      const [sessionId, generation] = splitLine(rest);
      return { type, sessionId, generation: Number(generation) };
    }
    case "moderation":
      return { type };
    case "paired": {
      const [name, waitedMs] = splitLine(rest);
      const mode = modes.find((one) => one === name);
      return mode && { type, mode, waitedMs: Number(waitedMs) };
    }
    case "echo":
      return { type, token: rest };
    default:
      return undefined;
  }
}

const lines = (...fields: (string | number)[]) => fields.join("\n");

function splitLine(text: string): [first: string, rest: string] {
  const end = text.indexOf("\n");
  return end < 0 ? [text, ""] : [text.slice(0, end), text.slice(end + 1)];
}
