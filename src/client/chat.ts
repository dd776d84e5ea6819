/** Characters (UTF-16 units) of one chat message. */
const chatCharsMax = 2000;

/** Bytes waiting in the data channel beyond which no more is said: the partner does not listen. */
export const chatBufferedBytesMax = 64 * 1024;

/** What the data channel carries, one JSON text a frame. */
export type Word =
  | { type: "chat"; text: string }
  | { type: "typing"; typing: boolean }
  /** What the sender sends from now on: whether there is sound, and a picture, that is not turned off. */
  | ({ type: "media" } & PartnerMedia);

/** Whether a partner sends sound and a picture. */
export interface PartnerMedia {
  audio: boolean;
  video: boolean;
}

/** A word as the data channel carries it, or undefined when a message is blank or too long. */
export function encodeWord(word: Word): string | undefined {
  return word.type === "chat" && !sayable(word.text) ? undefined : JSON.stringify(word);
}

/**
 * The word in a frame, or undefined for anything else: the data channel comes straight from the
 * partner, past the server, and later versions may send what this one does not know.
 */
export function decodeWord(frame: unknown): Word | undefined {
  // Longest case: every character escaped as \uXXXX.
  if (typeof frame !== "string" || frame.length > chatCharsMax * 6 + 64) return undefined;
  try {
    const word: unknown = JSON.parse(frame);
    if (typeof word !== "object" || word === null || !("type" in word)) return undefined;
    if (word.type === "typing" && "typing" in word && typeof word.typing === "boolean")
      return { type: "typing", typing: word.typing };
    if (word.type === "media" && "audio" in word && "video" in word) {
      const { audio, video } = word;
      if (typeof audio !== "boolean" || typeof video !== "boolean") return undefined;
      return { type: "media", audio, video };
    }
    if (word.type !== "chat" || !("text" in word) || typeof word.text !== "string")
      return undefined;
    return sayable(word.text) ? { type: "chat", text: word.text } : undefined;
  } catch {
    return undefined;
  }
}

function sayable(text: string): boolean {
  return text.trim() !== "" && text.length <= chatCharsMax;
}
