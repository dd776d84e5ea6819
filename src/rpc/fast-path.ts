/**
 * The shortcut for signals in the form in which tRPC's client and browsers send them. Parsing such a frame as JSON, checking
 * it by its schema and serializing it again for the partner costs more than relaying it. A frame that is not exactly of
 * that form is left to tRPC, where alone it can be refused.
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
  send(text: string): void;
  fail(call: { id: number; path: string; type: "mutation" }, cause: unknown): void;
}

/** Relays the signal in a frame, and answers it; `false` if the frame has to be handled by tRPC. */
export function relayUsualFrame(frame: string, context: Context, reply: Reply): boolean {
  const found = findSignal(frame);
  if (!found) return false;
  const { connection, limits: callLimits, signaling } = context;
  const { caller } = connection;
  // A session that is only beginning, or calls that wait: tRPC's way keeps them in order.
  if (!caller || connection.beginning || connection.turnstile?.isFull) return false;
  const { id, path, type, roomId, json } = found;
  // What is refused costs no token, and is refused again on tRPC's way, with its error.
  if (callLimits.take("signals", caller.sessionId)) return false;
  if (callLimits.take("bytes", caller.sessionId, json.length)) return false;
  const respond = ({ delivered }: Delivered) =>
    reply.send(`{"id":${id},"result":{"type":"data","data":{"delivered":${delivered}}}}`);
  const fail = (cause: unknown) => reply.fail({ id, path, type: "mutation" }, cause);
  try {
    const relayed = signaling.relay(withMutation(caller, found), { type, roomId, json });
    if (relayed instanceof Promise) {
      countRunning(connection, relayed);
      relayed.then((late) => (isRejection(late) ? fail(refusal(late)) : respond(late)), fail);
    } else if (isRejection(relayed)) fail(refusal(relayed));
    else respond(relayed);
  } catch (cause) {
    fail(cause);
  }
  return true;
}

function withMutation(caller: Caller, { path, mutationId }: FoundSignal): Caller {
  return mutationId === undefined ? caller : { ...caller, mutationId: `${path} ${mutationId}` };
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
  '^\\{"id":(0|[1-9]\\d{0,14}),"method":"mutation","params":\\{"input":\\{"roomId":"([\\w.-]{1,64})",';
const mutationId = `(?:,"id":"([\\w-]{1,${limits.mutationIdCharsMax}})")?`;

const candidateFrame = new RegExp(
  `${begin}"candidate":(${init})${mutationId}\\},"path":"addIceCandidate"\\}\\}$`,
);
const descriptionBegin = new RegExp(`${begin}"sdp":"`);
const descriptionEnd = new RegExp(`^"${mutationId}\\},"path":"(offer|answer)"\\}\\}$`);
/** What an SDP does not contain, in JSON: only its line ends are escaped. */
const unusualInSdp = /[\x00-\x1f]|\\(?![rn])/; // oxlint-disable-line no-control-regex

/** The signal in a frame; `undefined` unless the frame is a usual one. */
export function findSignal(frame: string): FoundSignal | undefined {
  return findCandidate(frame) ?? findDescription(frame);
}

function findCandidate(frame: string): FoundSignal | undefined {
  const found = candidateFrame.exec(frame);
  if (!found) return undefined;
  const [, id, roomId = "", candidate = "", mutation] = found;
  return {
    id: Number(id),
    path: "addIceCandidate",
    type: "add-ice-candidate",
    roomId,
    json: `{"type":"add-ice-candidate","roomId":"${roomId}","candidate":${candidate}}`,
    mutationId: mutation,
  };
}

function findDescription(frame: string): FoundSignal | undefined {
  const found = descriptionBegin.exec(frame);
  if (!found) return undefined;
  const [{ length: from }, id, roomId = ""] = found;
  const to = frame.indexOf('"', from);
  const ended = to > from ? descriptionEnd.exec(frame.slice(to)) : undefined;
  const sdp = frame.slice(from, to);
  if (!ended || sdp.length > charsIn(limits.sdpBytesMax) || unusualInSdp.test(sdp))
    return undefined;
  const [, mutation, path] = ended;
  const type = path as "offer" | "answer";
  const json = `{"type":"${type}","roomId":"${roomId}","sdp":"${sdp}"}`;
  return { id: Number(id), path: type, type, roomId, json, mutationId: mutation };
}
