/**
 * What a room allows its signals to contain is the beginning of its id, so that no signal needs a look at the room: a signal
 * that names another id is refused as not in it.
 */
import { exceedsMode } from "./media-sections.ts";
import { relayOnlyCandidate, relayOnlyDescription } from "./relay-filter.ts";
import { reject, type Rejection } from "./rejection.ts";
import type { Mode, Signal } from "../protocol.ts";

const relayOnlyPrefix = "relay.";
const modePrefixes = [
  ["audio.", "audio"],
  ["text.", "text"],
] as const satisfies [string, Mode][];

/** @param id unguessable. */
export function roomIdFor({ relayOnly, mode }: { relayOnly: boolean; mode: Mode }, id: string) {
  const [modePrefix = ""] = modePrefixes.find(([, prefixed]) => prefixed === mode) ?? [];
  return (relayOnly ? relayOnlyPrefix : "") + modePrefix + id;
}

/** What the id of a room says of it. */
export function readRoomId(roomId: string): { relayOnly: boolean; mode: Mode } {
  const relayOnly = roomId.startsWith(relayOnlyPrefix);
  const rest = relayOnly ? roomId.slice(relayOnlyPrefix.length) : roomId;
  const mode = modePrefixes.find(([prefix]) => rest.startsWith(prefix))?.[1] ?? "video";
  return { relayOnly, mode };
}

/** Whether a signal of this type has to be parsed before it may be relayed. */
export function isRestricted(roomId: string, type: Signal["type"]): boolean {
  const { relayOnly, mode } = readRoomId(roomId);
  return relayOnly || (mode !== "video" && type !== "add-ice-candidate");
}

/** The signal as its room allows it; `undefined` if nothing of it is left, `wrong-mode` for media that the room has not. */
export function restrict(signal: Signal): Signal | undefined | Rejection {
  const { relayOnly, mode } = readRoomId(signal.roomId);
  const allowed = relayOnly ? withoutAddresses(signal) : signal;
  // Checked is what the partner would receive.
  if (allowed && "sdp" in allowed && exceedsMode(allowed.sdp, mode)) return reject("wrong-mode");
  return allowed;
}

function withoutAddresses(signal: Signal): Signal | undefined {
  if (signal.type !== "add-ice-candidate")
    return { ...signal, sdp: relayOnlyDescription(signal.sdp) };
  const candidate = relayOnlyCandidate(signal.candidate);
  return candidate && { ...signal, candidate };
}
