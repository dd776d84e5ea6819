/**
 * Signals as browsers make them, recognised by a look at each field: their schemas cost more than relaying them
 * does. Whatever is not quite as usual goes to its schema, which alone refuses, and says why.
 */
import type { ZodType } from "zod";
import { limits } from "../protocol.ts";

/** A parser for `procedure.input`: what `isUsual` knows needs no other check, and is its own output. */
export function usually<Output>(
  isUsual: (raw: unknown) => boolean,
  schema: ZodType<Output>,
): (raw: unknown) => Output {
  return (raw) => (isUsual(raw) ? (raw as Output) : schema.parse(raw));
}

/** Whether that many bytes of UTF-8 hold it, however many its characters take. */
const isWithin = (text: unknown, bytes: number): boolean =>
  typeof text === "string" && text.length * 3 <= bytes;

const isBetween = (text: unknown, charsMin: number, charsMax: number): boolean =>
  typeof text === "string" && text.length >= charsMin && text.length <= charsMax;

const isIdOrRoom = (key: string, value: unknown): boolean =>
  (key === "roomId" && isBetween(value, 1, 64)) ||
  (key === "id" && isBetween(value, 1, limits.mutationIdCharsMax));

/** A `descriptionInput`. */
export function isDescription(raw: unknown): boolean {
  if (typeof raw !== "object" || raw === null || !("roomId" in raw) || !("sdp" in raw))
    return false;
  for (const key in raw) {
    const value: unknown = raw[key as keyof typeof raw];
    if (key === "sdp" ? !value || !isWithin(value, limits.sdpBytesMax) : !isIdOrRoom(key, value))
      return false;
  }
  return true;
}

/** A `candidateInput`. */
export function isCandidate(raw: unknown): boolean {
  if (typeof raw !== "object" || raw === null || !("roomId" in raw) || !("candidate" in raw))
    return false;
  for (const key in raw) {
    const value: unknown = raw[key as keyof typeof raw];
    if (key === "candidate" ? !isCandidateInit(value) : !isIdOrRoom(key, value)) return false;
  }
  return true;
}

function isCandidateInit(raw: unknown): boolean {
  if (typeof raw !== "object" || raw === null || !("candidate" in raw)) return false;
  for (const key in raw) if (!isFieldOfCandidate(key, raw[key as keyof typeof raw])) return false;
  return true;
}

function isFieldOfCandidate(key: string, value: unknown): boolean {
  switch (key) {
    case "candidate":
      return isWithin(value, limits.candidateBytesMax);
    case "sdpMid":
      return value === null || isBetween(value, 0, 64);
    case "usernameFragment":
      return value === null || isBetween(value, 0, 256);
    case "sdpMLineIndex":
      return (
        value === null ||
        (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0xffff)
      );
    default:
      return false;
  }
}
