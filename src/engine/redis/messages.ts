/** The messages that nodes publish to each other, and their texts. */
import { subjectKinds, type Subject } from "../../domain/moderation.ts";
import { modes, type Mode } from "../../protocol.ts";

export type NodeMessage =
  /** Events of sessions with streams on this node, in the order in which they were appended; the scripts publish them. */
  | { type: "events"; events: PublishedEvent[] }
  /** The session belongs to another stream from this generation on. */
  | { type: "take-over"; sessionId: string; generation: number }
  /** The moderation log has a new entry. */
  | { type: "moderation" }
  /** The connections of a subject are to be closed. */
  | { type: "disconnect"; subject: Subject }
  /** There are lifecycle events, which this node is to tell. */
  | { type: "lifecycle" }
  /** An event (JSON) that this node is to tell for another one, as it has what belongs to it. */
  | { type: "tell"; from: string; event: string }
  /** The event with this id was told by the node that was asked for it. */
  | { type: "told"; id: string }
  /** Peers were paired on that node. */
  | { type: "waited"; node: string; waited: readonly Waited[] }
  /** What a node publishes to itself, to find out whether its subscription works. */
  | { type: "echo"; token: string };

/** Pairings of a lobby and mode, each of which the first of the two had waited for so long (milliseconds). */
export interface Waited {
  lobby: string | undefined;
  mode: Mode;
  waitsMs: number[];
}

export interface PublishedEvent {
  sessionId: string;
  offset: number;
  /** See `toLogText`: JSON, so it is one line. */
  text: string;
}

/** What a node publishes by itself; events are published by the scripts that append them. */
export type OwnMessage = Exclude<NodeMessage, { type: "events" }>;

/** The message as one text: its type and fields, each on a line of its own. */
export function encodeMessage(message: OwnMessage): string {
  switch (message.type) {
    case "take-over":
      return lines("take-over", message.sessionId, message.generation);
    case "moderation":
    case "lifecycle":
      return message.type;
    case "disconnect":
      return lines("disconnect", message.subject.kind, message.subject.id);
    case "tell":
      return lines("tell", message.from, message.event);
    case "told":
      return lines("told", message.id);
    case "waited":
      return lines("waited", message.node, ...message.waited.map(textOfWaited));
    case "echo":
      return lines("echo", message.token);
  }
}

/** `undefined` for a text that is no message. */
export function decodeMessage(text: string): NodeMessage | undefined {
  const [type, rest] = splitLine(text);
  switch (type) {
    case "events":
      return { type, events: readEvents(rest) };
    case "take-over": {
      const [sessionId, generation] = splitLine(rest);
      return { type, sessionId, generation: Number(generation) };
    }
    case "moderation":
    case "lifecycle":
      return { type };
    case "disconnect": {
      const [name, id] = splitLine(rest);
      const kind = subjectKinds.find((one) => one === name);
      return kind && { type, subject: { kind, id } };
    }
    case "tell": {
      const [from, event] = splitLine(rest);
      return { type, from, event };
    }
    case "told":
      return { type, id: rest };
    case "waited": {
      const [node, all] = splitLine(rest);
      return { type, node, waited: readWaited(all) };
    }
    case "echo":
      return { type, token: rest };
    default:
      return undefined;
  }
}

const textOfWaited = ({ lobby = "", mode, waitsMs }: Waited) =>
  lines(mode, lobby, waitsMs.join(" "));

function readWaited(text: string): Waited[] {
  const waited: Waited[] = [];
  for (let rest = text; rest !== "";) {
    const [name, afterMode] = splitLine(rest);
    const [lobby, afterLobby] = splitLine(afterMode);
    const [waits, next] = splitLine(afterLobby);
    const mode = modes.find((one) => one === name);
    const waitsMs = waits.split(" ").map(Number);
    if (mode) waited.push({ lobby: lobby === "" ? undefined : lobby, mode, waitsMs });
    rest = next;
  }
  return waited;
}

function readEvents(text: string): PublishedEvent[] {
  const events: PublishedEvent[] = [];
  for (let rest = text; rest !== "";) {
    const [sessionId, afterId] = splitLine(rest);
    const [offset, afterOffset] = splitLine(afterId);
    const [event, next] = splitLine(afterOffset);
    events.push({ sessionId, offset: Number(offset), text: event });
    rest = next;
  }
  return events;
}

const lines = (...fields: (string | number)[]) => fields.join("\n");

function splitLine(text: string): [first: string, rest: string] {
  const end = text.indexOf("\n");
  return end < 0 ? [text, ""] : [text.slice(0, end), text.slice(end + 1)];
}
