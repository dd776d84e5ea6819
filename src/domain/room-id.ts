/**
 * What a room allows to be sent in it is the beginning of its id, so that neither a signal nor a message needs a look at the room: one
 * that names another id is refused as not in it.
 */
import { exceedsMode } from "./media-sections.ts";
import { relayOnlyCandidate, relayOnlyDescription } from "./relay-filter.ts";
import { isRejection, reject, type Rejection } from "./rejection.ts";
import type { Chat, Mode, Signal, StandingOffer } from "../protocol.ts";

const relayOnlyPrefix = "relay.";
const modePrefixes = [
  ["audio.", "audio"],
  ["text.", "text"],
] as const satisfies [string, Mode][];

/** Rooms for text have none, as all their words go through the server. */
const serverChatPrefix = "chat.";

/** What the id of a room says of it. */
export interface RoomRules {
  relayOnly: boolean;
  mode: Mode;
  chat: Chat;
}

/**
 * @param rules of a room for text `chat` is always `server`.
 * @param id unguessable, without a dot.
 */
export function roomIdFor({ relayOnly, mode, chat }: RoomRules, id: string): string {
  const [modePrefix = ""] = modePrefixes.find(([, prefixed]) => prefixed === mode) ?? [];
  const chatPrefix = chat === "server" && mode !== "text" ? serverChatPrefix : "";
  return (relayOnly ? relayOnlyPrefix : "") + modePrefix + chatPrefix + id;
}

export function readRoomId(roomId: string): RoomRules {
  const relayOnly = roomId.startsWith(relayOnlyPrefix);
  let rest = relayOnly ? roomId.slice(relayOnlyPrefix.length) : roomId;
  const [modePrefix = "", mode = "video"] =
    modePrefixes.find(([prefix]) => rest.startsWith(prefix)) ?? [];
  rest = rest.slice(modePrefix.length);
  const isServed = mode === "text" || rest.startsWith(serverChatPrefix);
  return { relayOnly, mode, chat: isServed ? "server" : "direct" };
}

/** Whether a signal of this type has to be parsed before it may be relayed. */
export function isRestricted(roomId: string, type: Signal["type"]): boolean {
  const { relayOnly, mode } = readRoomId(roomId);
  return relayOnly || mode === "text" || (mode === "audio" && type !== "add-ice-candidate");
}

/**
 * The signal as its room allows it; `undefined` if nothing of it is left, `wrong-mode` for media that the room has not, and for any signal
 * in a room for text.
 */
export function restrict(signal: Signal): Signal | undefined | Rejection {
  const { relayOnly, mode } = readRoomId(signal.roomId);
  if (mode === "text") return reject("wrong-mode");
  const allowed = relayOnly ? withoutAddresses(signal) : signal;
  // Checked is what the partner would receive.
  if (allowed && "sdp" in allowed && exceedsMode(allowed.sdp, mode)) return reject("wrong-mode");
  return allowed;
}

/** A standing offer as the room allows it: as if the same were sent in it as signals. `undefined` if the description is not let through. */
export function restrictOffer(
  roomId: string,
  { sdp, candidates }: StandingOffer,
): StandingOffer | undefined {
  const description = restrict({ type: "offer", roomId, sdp });
  if (isRejection(description) || description?.type !== "offer") return undefined;
  return {
    sdp: description.sdp,
    candidates: candidates.flatMap((candidate) => {
      const allowed = restrict({ type: "add-ice-candidate", roomId, candidate });
      return allowed && "candidate" in allowed ? [allowed.candidate] : [];
    }),
  };
}

function withoutAddresses(signal: Signal): Signal | undefined {
  if (signal.type !== "add-ice-candidate")
    return { ...signal, sdp: relayOnlyDescription(signal.sdp) };
  const candidate = relayOnlyCandidate(signal.candidate);
  return candidate && { ...signal, candidate };
}
