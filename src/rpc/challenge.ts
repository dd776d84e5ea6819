/** Challenges: what a peer has to do before it may join, as the operator's `admit` hook asks for it. */
import { reject, type Rejection } from "../domain/rejection.ts";
import type { Challenge } from "../protocol.ts";

/** Bytes of a challenge as JSON, of which a peer may get many. */
const challengeBytesMax = 4096;
const kindCharsMax = 64;

/**
 * The answer of `admit` that asks for something: the peer is refused as `challenge`, and calls `join` again with a `solution`, which
 * the hook sees in its wishes and has to verify.
 * @param asked what the page needs to know: its `kind`, and fields of any other name that JSON can have, of at most 4096 bytes.
 * @throws if it is not such.
 */
export function challenge(asked: Challenge): Rejection {
  checkChallenge(asked);
  return reject("challenge", { challenge: asked });
}

/** @throws what is wrong with a challenge, for the operator's log. */
export function checkChallenge(asked: unknown): asserts asked is Challenge {
  const { kind } = (asked ?? {}) as { kind?: unknown };
  if (typeof kind !== "string" || kind === "" || kind.length > kindCharsMax)
    throw new TypeError(`a challenge must have a kind of 1 to ${kindCharsMax} characters`);
  if (Buffer.byteLength(JSON.stringify(asked)) > challengeBytesMax)
    throw new TypeError(`a challenge must be at most ${challengeBytesMax} bytes as JSON`);
}
