/** Deadlines as members of the sorted set `due`: what is due, for which sessions. */

export type Deadline =
  /** The session's grace expires. */
  | { kind: "grace"; sessionId: string }
  /** The session's ticket accepts more partners. */
  | { kind: "relax"; sessionId: string };

export function encodeDeadline({ kind, sessionId }: Deadline): string {
  return `${kind}\n${sessionId}`;
}

/** `undefined` for a text that is no deadline. */
export function decodeDeadline(text: string): Deadline | undefined {
  const [kind, sessionId] = text.split("\n");
  if (sessionId === undefined) return undefined;
  return kind === "grace" || kind === "relax" ? { kind, sessionId } : undefined;
}
