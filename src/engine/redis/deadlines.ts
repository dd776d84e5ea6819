/** Deadlines as members of the sorted set `due`: what is due, for which sessions. */

export type Deadline =
  /** The session's grace expires. */
  | { kind: "grace"; sessionId: string }
  /** The session's ticket accepts more partners. */
  | { kind: "relax"; sessionId: string }
  /** The session no longer avoids the other one. */
  | { kind: "cooldown"; sessionId: string; otherId: string };

export function encodeDeadline(deadline: Deadline): string {
  const { kind, sessionId } = deadline;
  return deadline.kind === "cooldown"
    ? `${kind}\n${sessionId}\n${deadline.otherId}`
    : `${kind}\n${sessionId}`;
}

/** `undefined` for a text that is no deadline. */
export function decodeDeadline(text: string): Deadline | undefined {
  const [kind, sessionId, otherId] = text.split("\n");
  if (sessionId === undefined) return undefined;
  if (kind === "grace" || kind === "relax") return { kind, sessionId };
  return kind === "cooldown" && otherId !== undefined ? { kind, sessionId, otherId } : undefined;
}
