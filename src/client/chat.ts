/** Characters (UTF-16 units) of one chat message. */
const chatCharsMax = 2000;

/** Bytes waiting in the data channel beyond which no more is said: the partner does not listen. */
export const chatBufferedBytesMax = 64 * 1024;

/** A chat message as the data channel carries it, or undefined when it is blank or too long. */
export function encodeChat(text: string): string | undefined {
  if (text.trim() === "" || text.length > chatCharsMax) return undefined;
  return JSON.stringify({ type: "chat", text });
}

/**
 * The text of a chat message, or undefined for anything else: the data channel comes straight from the
 * partner, past the server, and later versions may send what this one does not know.
 */
export function decodeChat(frame: unknown): string | undefined {
  // Longest case: every character escaped as \uXXXX.
  if (typeof frame !== "string" || frame.length > chatCharsMax * 6 + 64) return undefined;
  try {
    const message: unknown = JSON.parse(frame);
    if (typeof message !== "object" || message === null) return undefined;
    if (!("type" in message) || message.type !== "chat") return undefined;
    if (!("text" in message) || typeof message.text !== "string") return undefined;
    return message.text.trim() !== "" && message.text.length <= chatCharsMax
      ? message.text
      : undefined;
  } catch {
    return undefined;
  }
}
