/**
 * Frames in the form in which tRPC's client and browsers send them, read without parsing them as JSON. A frame that is not exactly
 * of that form is left to tRPC, where alone it can be refused.
 *
 * A frame is recognised only if it can be read in one way: between fixed texts there are strings without a quotation mark or a
 * backslash, except for the line ends of an SDP and the usual escapes in a message, and numbers as JSON writes them. So what is cut out of
 * it is JSON as well, and means what the schema would have made of it.
 */
import { limits, visibleCharacter, type Mode, type Signal } from "../protocol.ts";

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

/** A message as it was found in its frame. */
export interface FoundMessage {
  id: number;
  path: "say";
  roomId: string;
  /** Its text, as a string in JSON. */
  json: string;
  mutationId: string | undefined;
}

/** A call that moves its caller into or out of lobby and room. */
export type FoundIntent = { id: number; mutationId: string | undefined } & (
  | { path: "join"; wishes: FoundWishes }
  | { path: "skip"; roomId: string | undefined }
  | { path: "leave" }
);

export interface FoundWishes {
  interests: string[];
  languages: string[];
  mode: Mode;
  relayOnly: boolean;
  autoRejoin: boolean;
}

/** So many characters are at most so many bytes of UTF-8, whichever they are. */
const charsIn = (bytes: number) => Math.floor(bytes / 3);

const text = (charsMax: number) => `"[^"\\\\\\x00-\\x1f]{0,${charsMax}}"`;
const mid = `,"sdpMid":(?:null|${text(64)})`;
/** Up to 59999: larger ones are left to the schema. */
const line = ',"sdpMLineIndex":(?:null|0|[1-9]\\d{0,3}|[1-5]\\d{4})';
const fragment = `,"usernameFragment":(?:null|${text(256)})`;
const init = `\\{"candidate":${text(charsIn(limits.candidateBytesMax))}(?:(?:${mid})?(?:${line})?|${line}${mid})(?:${fragment})?\\}`;

const callBegin = '\\{"id":(0|[1-9]\\d{0,14}),"method":"mutation","params":\\{"input":\\{';
const room = '"roomId":"([\\w.-]{1,64})"';
const begin = `${callBegin}${room},`;
const ownId = `"id":"([\\w-]{1,${limits.mutationIdCharsMax}})"`;
const mutationId = `(?:,${ownId})?`;

// Sticky: each matches at its `lastIndex`, which is set before and read after.
const candidateCall = new RegExp(
  `${begin}"candidate":(${init})${mutationId}\\},"path":"addIceCandidate"\\}\\}`,
  "y",
);
const descriptionBegin = new RegExp(`${begin}"sdp":"`, "y");
const descriptionEnd = new RegExp(`"${mutationId}\\},"path":"(offer|answer)"\\}\\}`, "y");
/**
 * A text as JSON.stringify writes it, without a control character but TAB and LF. So many code units, escapes included, are at most so many
 * code points.
 */
const messageCall = new RegExp(
  `${begin}"text":"((?:[^"\\\\\\x00-\\x1f\\x7f-\\x9f]|\\\\["\\\\nt]){1,${limits.messageCharsMax}})"${mutationId}\\},"path":"say"\\}\\}`,
  "y",
);
const blankEscapes = /\\[nt]/g;
/** What an SDP does not contain, in JSON: only its line ends are escaped. */
const unusualInSdp = /[\x00-\x1f]|\\(?![rn])/; // oxlint-disable-line no-control-regex

const [openingBracket, comma, closingBracket] = ["[", ",", "]"].map((char) => char.charCodeAt(0));

/** The signals and messages in a frame; `undefined` unless it is a usual one, with nothing else in it. */
export function findSignals(frame: string): Found | undefined {
  const isArray = frame.charCodeAt(0) === openingBracket;
  const found: Found = [];
  let at = isArray ? 0 : -1;
  do {
    const end = findSignal(frame, at + 1, found);
    if (end === undefined) return undefined;
    at = end;
  } while (isArray && frame.charCodeAt(at) === comma);
  if (isArray && frame.charCodeAt(at) !== closingBracket) return undefined;
  return frame.length === (isArray ? at + 1 : at) ? found : undefined;
}

type Found = (FoundSignal | FoundMessage)[];

/** Adds what begins at an index. Returns the index after it; `undefined` if there is no usual one. */
function findSignal(frame: string, from: number, found: Found): number | undefined {
  return (
    findCandidate(frame, from, found) ??
    findDescription(frame, from, found) ??
    findMessage(frame, from, found)
  );
}

function findMessage(frame: string, from: number, found: Found): number | undefined {
  messageCall.lastIndex = from;
  const match = messageCall.exec(frame);
  if (!match) return undefined;
  const [, id, roomId = "", text = "", mutation] = match;
  const visible = text.includes("\\") ? text.replace(blankEscapes, "") : text;
  if (!visibleCharacter.test(visible) || !text.isWellFormed()) return undefined;
  found.push({ id: Number(id), path: "say", roomId, json: `"${text}"`, mutationId: mutation });
  return messageCall.lastIndex;
}

function findCandidate(frame: string, from: number, found: Found): number | undefined {
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

function findDescription(frame: string, from: number, found: Found): number | undefined {
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

const words = (max: number, charsMax: number) => {
  const word = `"[^"\\\\\\x00-\\x1f]{1,${charsMax}}"`;
  return `\\[(|${word}(?:,${word}){0,${max - 1}})\\]`;
};
const wishes = [
  `"interests":${words(limits.interestsMax, limits.interestCharsMax)}`,
  `"languages":${words(limits.languagesMax, limits.languageCharsMax)}`,
  '"mode":"(video|audio|text)"',
  '"relayOnly":(true|false)',
  '"autoRejoin":(true|false)',
].join();
const wholeCall = (input: string, path: FoundIntent["path"]) =>
  new RegExp(`^${callBegin}${input}\\},"path":"${path}"\\}\\}$`);
const joinCall = wholeCall(`${wishes}${mutationId}`, "join");
const skipCall = wholeCall(`(?:${room}${mutationId}|${ownId})`, "skip");
const leaveCall = wholeCall(ownId, "leave");

/** The intent that a frame is; `undefined` unless it is a usual one, and the only call in its frame. */
export function findIntent(frame: string): FoundIntent | undefined {
  // Which of them it can be is decided by its end, as a frame is tried in vain for most other calls.
  if (frame.endsWith('"path":"join"}}')) return findJoin(frame);
  if (frame.endsWith('"path":"skip"}}')) {
    const [, id, roomId, withRoom, alone] = skipCall.exec(frame) ?? [];
    if (id === undefined) return undefined;
    return { id: Number(id), path: "skip", roomId, mutationId: withRoom ?? alone };
  }
  if (!frame.endsWith('"path":"leave"}}')) return undefined;
  const [, id, mutation] = leaveCall.exec(frame) ?? [];
  return id === undefined ? undefined : { id: Number(id), path: "leave", mutationId: mutation };
}

function findJoin(frame: string): FoundIntent | undefined {
  const [, id, interestList = "", languageList = "", mode, relayOnly, autoRejoin, mutation] =
    joinCall.exec(frame) ?? [];
  if (id === undefined || !frame.isWellFormed()) return undefined;
  const interests = wordsIn(interestList);
  // A blank one is refused by name.
  if (!interests.every((word) => /\S/.test(word))) return undefined;
  return {
    id: Number(id),
    path: "join",
    wishes: {
      interests,
      languages: wordsIn(languageList),
      mode: mode as Mode,
      relayOnly: relayOnly === "true",
      autoRejoin: autoRejoin === "true",
    },
    mutationId: mutation,
  };
}

/** The strings of a list that has no escapes in it. */
const wordsIn = (list: string) => (list === "" ? [] : list.slice(1, -1).split('","'));
