/** The messages on the data channel: their JSON, and the checks of what a partner sends. */

/** Length limit of a chat message, in UTF-16 code units. */
const CHAT_CHARS_MAX = 2000;

/** Length limit of an application's message, in bytes of JSON. */
const DATA_BYTES_MAX = 16 * 1024;

/** A frame that begins so is an application's message: that is known before it is parsed. */
const DATA_PREFIX = '{"type":"data","data":';

/** The longest frame of a valid message. A chat message whose characters are all escaped as `\uXXXX` has 12,000 characters. */
const FRAME_CHARS_MAX = DATA_BYTES_MAX + 64;

/** A message on the data channel. Each one is a text frame with JSON. */
export type DataChannelMessage =
  | { type: "chat"; text: string }
  | { type: "typing"; typing: boolean }
  /** What the application sends, apart from the chat. Versions that do not know it ignore it. */
  | { type: "data"; data: unknown };

/** Serializes a message. Undefined for one that is blank or too long, or can't be expressed in JSON. */
export function encodeMessage(message: DataChannelMessage): string | undefined {
  if (message.type === "chat" && !isValidText(message.text)) return undefined;
  if (message.type !== "data") return JSON.stringify(message);
  try {
    // As `undefined` in case of a function, a symbol or `undefined`.
    const json = JSON.stringify(message.data) as string | undefined;
    if (json === undefined || new TextEncoder().encode(json).length > DATA_BYTES_MAX)
      return undefined;
    return `${DATA_PREFIX}${json}}`;
  } catch {
    // A cycle, or a `toJSON` that throws.
    return undefined;
  }
}

/** Whether a frame is an application's message, if it is valid. */
export function isDataFrame(frame: string): boolean {
  return frame.startsWith(DATA_PREFIX);
}

/**
 * Parses a frame. Undefined for anything that is not a valid message: the data channel comes directly from the partner,
 * without a check by the server, and later versions may send other messages.
 */
export function decodeMessage(frame: unknown): DataChannelMessage | undefined {
  if (typeof frame !== "string" || frame.length > FRAME_CHARS_MAX) return undefined;
  try {
    const message: unknown = JSON.parse(frame);
    if (typeof message !== "object" || message === null || !("type" in message)) return undefined;
    if (message.type === "typing" && "typing" in message && typeof message.typing === "boolean")
      return { type: "typing", typing: message.typing };
    if (message.type === "data" && "data" in message && isDataFrame(frame))
      return { type: "data", data: message.data };
    if (message.type !== "chat" || !("text" in message) || typeof message.text !== "string")
      return undefined;
    return isValidText(message.text) ? { type: "chat", text: message.text } : undefined;
  } catch {
    return undefined;
  }
}

function isValidText(text: string): boolean {
  return text.trim() !== "" && text.length <= CHAT_CHARS_MAX;
}
