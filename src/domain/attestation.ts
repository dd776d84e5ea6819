/** Which messages that a reporter quotes are in the room's own log: those that went through the server. */
import type { LoggedEvent, QuotedMessage } from "../protocol.ts";

interface LoggedMessage {
  text: string;
  /** Epoch milliseconds. */
  at: number;
}

/** The messages of a room that two members were sent, the oldest first. */
export interface RoomMessages {
  /** By the reporter's partner: they are in the log of the reporter. */
  received: readonly LoggedMessage[];
  /** By the reporter: they are in the log of the partner. */
  sent: readonly LoggedMessage[];
}

/** How every message in a log begins. */
const beginOfMessage = '{"type":"message"';

/**
 * The messages among logged events that a member was sent in a room.
 * @param events JSON of `LoggedEvent`s, the oldest first.
 */
export function messagesIn(events: readonly string[], roomId: string): LoggedMessage[] {
  const messages: LoggedMessage[] = [];
  for (const json of events) {
    if (!json.startsWith(beginOfMessage)) continue;
    const event = JSON.parse(json) as Partial<
      Record<keyof LoggedEvent | "text" | "at", unknown>
    > & {
      roomId?: unknown;
    };
    const { text, at } = event;
    if (event.roomId === roomId && typeof text === "string" && typeof at === "number")
      messages.push({ text, at });
  }
  return messages;
}

/**
 * Compares quoted messages with the logs, in order. A message is attested if the partner was sent this very text after the attested ones
 * before it; then its time is that of the log. Compared from the end, as the last messages are quoted.
 */
export function attest(
  quoted: readonly QuotedMessage[],
  { received, sent }: RoomMessages,
): (QuotedMessage & { attested: boolean })[] {
  const left = { me: sent.length, partner: received.length };
  return quoted
    .toReversed()
    .map(({ from, text, at }) => {
      const log = from === "me" ? sent : received;
      const index = log.slice(0, left[from]).findLastIndex((logged) => logged.text === text);
      if (index < 0) return { from, text, at, attested: false };
      left[from] = index;
      return { from, text, at: log[index]?.at ?? at, attested: true };
    })
    .toReversed();
}
