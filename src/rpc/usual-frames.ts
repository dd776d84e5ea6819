/**
 * Signals in the words of tRPC's client and of browsers, recognised in the frame itself: reading one as JSON, checking
 * it by its schema and wording it anew for the partner costs more than relaying it does. Whatever is not quite as
 * usual goes that way, where alone it can be refused.
 *
 * A frame is taken only if it can be read in one way: between fixed words it holds strings without a quotation mark
 * or a backslash in them, but for the line ends of an SDP, and numbers as JSON writes them. So what is cut out of it
 * is JSON as well, and means what the schema would have made of it.
 */
import { limits, type Signal } from "../protocol.ts";
import { headOf } from "../transport/answers.ts";
import type { Call } from "../transport/calls.ts";

/** A signal in JSON, ready for its partner; it stands where the input of its procedure does. */
export class WordedSignal {
  readonly type: Signal["type"];
  readonly roomId: string;
  readonly json: string;
  /** The mutation's. */
  readonly id: string | undefined;

  constructor(type: Signal["type"], roomId: string, json: string, id: string | undefined) {
    this.type = type;
    this.roomId = roomId;
    this.json = json;
    this.id = id;
  }
}

/** As many characters hold so many bytes of UTF-8, whatever they are. */
const charsIn = (bytes: number) => Math.floor(bytes / 3);

const text = (charsMax: number) => `"[^"\\\\\\x00-\\x1f]{0,${charsMax}}"`;
const mid = `,"sdpMid":(?:null|${text(64)})`;
/** Up to 59999: past that the schema counts. */
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
/** What an SDP does not hold, in JSON: only its lines' ends are escaped. */
const unusualInSdp = /[\x00-\x1f]|\\(?![rn])/; // oxlint-disable-line no-control-regex

/** The call that a frame makes, if it is one of a usual signal. */
export function readUsualFrame(frame: string): Call | undefined {
  return readCandidate(frame) ?? readDescription(frame);
}

function readCandidate(frame: string): Call | undefined {
  const found = candidateFrame.exec(frame);
  if (!found) return undefined;
  const [, id = "", roomId = "", candidate = "", mutationId] = found;
  const json = `{"type":"add-ice-candidate","roomId":"${roomId}","candidate":${candidate}}`;
  const signal = new WordedSignal("add-ice-candidate", roomId, json, mutationId);
  return callOf(id, "addIceCandidate", signal);
}

function readDescription(frame: string): Call | undefined {
  const found = descriptionBegin.exec(frame);
  if (!found) return undefined;
  const [{ length: from }, id = "", roomId = ""] = found;
  const to = frame.indexOf('"', from);
  const ended = to > from ? descriptionEnd.exec(frame.slice(to)) : undefined;
  const sdp = frame.slice(from, to);
  if (!ended || sdp.length > charsIn(limits.sdpBytesMax) || unusualInSdp.test(sdp))
    return undefined;
  const [, mutationId, path = ""] = ended;
  const type = path as "offer" | "answer";
  const json = `{"type":"${type}","roomId":"${roomId}","sdp":"${sdp}"}`;
  return callOf(id, path, new WordedSignal(type, roomId, json, mutationId));
}

function callOf(digits: string, path: string, input: WordedSignal): Call {
  const id = Number(digits);
  return { id, head: headOf(id), type: "mutation", path, input, batchIndex: 0 };
}
