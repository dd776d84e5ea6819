/** Engines on one Redis, and sessions that send each other signals through them: the port itself, without sockets. */
import { expect } from "bun:test";
import { isRejection } from "../../src/domain/rejection.ts";
import { defaultWishes } from "../../src/domain/ticket.ts";
import type { Attached, Caller, Engine, Stream } from "../../src/engine/engine.ts";

interface AttachOptions {
  /** The stream that it had before, and the last event that it received there. */
  from?: Stream | undefined;
  after?: number | undefined;
  addressHash?: string;
}

/** Opens a stream; without one before it takes the session over. */
export async function attachTo(
  engine: Engine,
  sessionId: string,
  { from, after = 0, addressHash = "" }: AttachOptions = {},
): Promise<Attached> {
  const attached = await engine.attach({
    sessionId,
    generation: from?.generation ?? 0,
    addressHash,
    ...(from && { position: { epoch: from.epoch, offset: after } }),
    wake() {},
  });
  if (isRejection(attached)) throw new Error(attached.reason);
  return attached;
}

/** Pairs two who have a stream each; the generations of their sessions do not matter. */
export async function pair(engine: Engine, one: string, other: string, roomId: string) {
  for (const sessionId of [one, other])
    await engine.enqueue({ sessionId, generation: 99 }, { ...defaultWishes, autoRejoin: false });
  const found = await engine.matchOptions(other);
  const polite = found?.eligible.find(({ sessionId }) => sessionId === one);
  if (!found || !polite) throw new Error(`${one} must be on offer`);
  const terms = { roomId, relayOnly: false, sharedInterests: [] };
  expect(await engine.pair({ ...terms, impolite: found.ticket, polite })).toBe(true);
}

/** The signals among events, and the ends of rooms. */
export const toldIn = (entries: readonly { json: string }[]): string[] =>
  entries.flatMap(({ json }) => {
    const { type, sdp } = JSON.parse(json) as { type: string; sdp?: string };
    return type === "partner-disconnected" ? "end" : (sdp ?? []);
  });

/** The signals after an offset, and the ends of rooms; of the last two rooms at least, as the log has dropped those before. */
export async function toldTo(engine: Engine, stream: Stream, after = 0): Promise<string[]> {
  for (let from = after; from < after + 1000; from++) {
    const entries = await engine.read(stream, from);
    if (Array.isArray(entries)) return toldIn(entries);
    if (entries !== "overflow") break;
  }
  throw new Error("not readable");
}

export const offer = (sdp: string, roomId = "room") =>
  JSON.stringify({ type: "offer", roomId, sdp });

export const as = (caller: Caller, id?: string): Caller =>
  id === undefined ? caller : { ...caller, mutationId: `offer ${id}` };

export const alice: Caller = { sessionId: "alice", generation: 1 };
export const bob: Caller = { sessionId: "bob", generation: 1 };

/** Texts that are numbers, from one up to another. */
export const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index));
