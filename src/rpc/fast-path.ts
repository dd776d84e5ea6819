/**
 * The shortcut for signals in the form in which tRPC's client and browsers send them: one in a frame, or several of one moment
 * in an array. Parsing such a frame as JSON, checking it by its schema and serializing it again for the partner costs more
 * than relaying it. A frame that is not exactly of that form is left to tRPC, where alone it can be refused.
 *
 * A frame is taken only if it can be read in one way: between fixed texts there are strings without a quotation mark or a
 * backslash, except for the line ends of an SDP, and numbers as JSON writes them. So what is cut out of it is JSON as well,
 * and means what the schema would have made of it.
 */
import type { Caller } from "../engine/engine.ts";
import { isRejection } from "../domain/rejection.ts";
import { limits, type Signal } from "../protocol.ts";
import type { Delivered } from "../signaling/signaling.ts";
import type { Context } from "./context.ts";
import { refusal } from "./errors.ts";
import { countRunning } from "./procedures.ts";

/** A signal as it was found in its frame. */
export interface FoundSignal {
  /** Of the call. */
  id: number;
  path: "offer" | "answer" | "addIceCandidate";
  type: Signal["type"];
  roomId: string;
  /** The `Signal`, ready for the partner. */
  json: string;
  mutationId: string | undefined;
}

/** What the fast path answers with: a part of `FastReply` in trpc-ws/options.ts, which this must not depend on. */
export interface Reply {
  charge(calls: number): boolean;
  send(text: string): void;
  fail(call: { id: number; path: string; type: "mutation" }, cause: unknown): void;
}

/** Relays the signals in a frame, and answers them; `false` if the frame has to be handled by tRPC. */
export function relayUsualFrame(frame: string, context: Context, reply: Reply): boolean {
  const found = findSignals(frame);
  if (!found) return false;
  const { connection, limits: callLimits } = context;
  const { caller, turnstile } = connection;
  // A session that is only beginning, or calls that would have to wait: tRPC's way keeps them in order.
  if (!caller || connection.beginning) return false;
  if (found.length > (turnstile ? turnstile.free : limits.callsInFlightMax)) return false;
  // What is refused costs no token, and is refused again on tRPC's way, each call with its own error.
  if (callLimits.take("signals", caller.sessionId, found.length)) return false;
  if (callLimits.take("bytes", caller.sessionId, totalLength(found))) {
    callLimits.giveBack("signals", caller.sessionId, found.length);
    return false;
  }
  // The frame itself has been charged for one.
  if (!reply.charge(found.length - 1)) return true;
  for (const one of found) relayFound(one, caller, context, reply);
  return true;
}

function totalLength(found: readonly FoundSignal[]): number {
  let length = 0;
  for (const { json } of found) length += json.length;
  return length;
}

function relayFound(
  { id, path, type, roomId, json, mutationId: mutation }: FoundSignal,
  { sessionId, generation, streaming }: Caller,
  { connection, signaling }: Context,
  reply: Reply,
): void {
  const respond = ({ delivered }: Delivered) =>
    reply.send(`{"id":${id},"result":{"type":"data","data":{"delivered":${delivered}}}}`);
  const fail = (cause: unknown) => reply.fail({ id, path, type: "mutation" }, cause);
  const key = mutation === undefined ? undefined : `${path} ${mutation}`;
  try {
    const caller = { sessionId, generation, streaming, mutationId: key };
    const relayed = signaling.relay(caller, { type, roomId, json });
    if (relayed instanceof Promise) {
      countRunning(connection, relayed);
      relayed.then((late) => (isRejection(late) ? fail(refusal(late)) : respond(late)), fail);
    } else if (isRejection(relayed)) fail(refusal(relayed));
    else respond(relayed);
  } catch (cause) {
    fail(cause);
  }
}

/** So many characters are at most so many bytes of UTF-8, whichever they are. */
const charsIn = (bytes: number) => Math.floor(bytes / 3);

const text = (charsMax: number) => `"[^"\\\\\\x00-\\x1f]{0,${charsMax}}"`;
const mid = `,"sdpMid":(?:null|${text(64)})`;
/** Up to 59999: larger ones are left to the schema. */
const line = ',"sdpMLineIndex":(?:null|0|[1-9]\\d{0,3}|[1-5]\\d{4})';
const fragment = `,"usernameFragment":(?:null|${text(256)})`;
const init = `\\{"candidate":${text(charsIn(limits.candidateBytesMax))}(?:(?:${mid})?(?:${line})?|${line}${mid})(?:${fragment})?\\}`;

const begin =
  '\\{"id":(0|[1-9]\\d{0,14}),"method":"mutation","params":\\{"input":\\{"roomId":"([\\w.-]{1,64})",';
const mutationId = `(?:,"id":"([\\w-]{1,${limits.mutationIdCharsMax}})")?`;

// Sticky: each matches at its `lastIndex`, which is set before and read after.
const candidateCall = new RegExp(
  `${begin}"candidate":(${init})${mutationId}\\},"path":"addIceCandidate"\\}\\}`,
  "y",
);
const descriptionBegin = new RegExp(`${begin}"sdp":"`, "y");
const descriptionEnd = new RegExp(`"${mutationId}\\},"path":"(offer|answer)"\\}\\}`, "y");
/** What an SDP does not contain, in JSON: only its line ends are escaped. */
const unusualInSdp = /[\x00-\x1f]|\\(?![rn])/; // oxlint-disable-line no-control-regex

const [openingBracket, comma, closingBracket] = ["[", ",", "]"].map((char) => char.charCodeAt(0));

/** The signals in a frame; `undefined` unless it is a usual one, with nothing else in it. */
export function findSignals(frame: string): FoundSignal[] | undefined {
  const isArray = frame.charCodeAt(0) === openingBracket;
  const found: FoundSignal[] = [];
  let at = isArray ? 0 : -1;
  do {
    const end = findSignal(frame, at + 1, found);
    if (end === undefined) return undefined;
    at = end;
  } while (isArray && frame.charCodeAt(at) === comma);
  if (isArray && frame.charCodeAt(at) !== closingBracket) return undefined;
  return frame.length === (isArray ? at + 1 : at) ? found : undefined;
}

/** Adds the signal that begins at an index. Returns the index after it; `undefined` if there is no usual one. */
function findSignal(frame: string, from: number, found: FoundSignal[]): number | undefined {
  return findCandidate(frame, from, found) ?? findDescription(frame, from, found);
}

function findCandidate(frame: string, from: number, found: FoundSignal[]): number | undefined {
  candidateCall.lastIndex = from;
  const match = candidateCall.exec(frame);
  if (!match) return undefined;
  const [, id, roomId = "", candidate = "", mutation] = match;
  found.push({
    id: Number(id),
    path: "addIceCandidate",
    type: "add-ice-candidate",
    roomId,
    json: `{"type":"add-ice-candidate","roomId":"${roomId}","candidate":${candidate}}`,
    mutationId: mutation,
  });
  return candidateCall.lastIndex;
}

function findDescription(frame: string, from: number, found: FoundSignal[]): number | undefined {
  descriptionBegin.lastIndex = from;
  const match = descriptionBegin.exec(frame);
  if (!match) return undefined;
  const [, id, roomId = ""] = match;
  const { lastIndex: sdpFrom } = descriptionBegin;
  const to = frame.indexOf('"', sdpFrom);
  if (to <= sdpFrom || to - sdpFrom > charsIn(limits.sdpBytesMax)) return undefined;
  descriptionEnd.lastIndex = to;
  const ended = descriptionEnd.exec(frame);
  const sdp = frame.slice(sdpFrom, to);
  if (!ended || unusualInSdp.test(sdp)) return undefined;
  const [, mutation, path] = ended;
  const type = path as "offer" | "answer";
  const json = `{"type":"${type}","roomId":"${roomId}","sdp":"${sdp}"}`;
  found.push({ id: Number(id), path: type, type, roomId, json, mutationId: mutation });
  return descriptionEnd.lastIndex;
}
