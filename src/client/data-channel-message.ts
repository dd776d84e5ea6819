/** The messages on the data channel: their JSON, and the checks of what a partner sends. */

/** Length limit of a chat message, in UTF-16 code units. */
const CHAT_CHARS_MAX = 2000;

/** The longest frame of a valid message: every character escaped as `\uXXXX`, and the JSON around it. */
const FRAME_CHARS_MAX = CHAT_CHARS_MAX * 6 + 64;

/** A message on the data channel. Each one is a text frame with JSON. */
export type DataChannelMessage =
  { type: "chat"; text: string } | { type: "typing"; typing: boolean };

/** Serializes a message. Undefined for a chat message that is blank or too long. */
export function encodeMessage(message: DataChannelMessage): string | undefined {
  if (message.type === "chat" && !isValidText(message.text)) return undefined;
  return JSON.stringify(message);
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
