/** What log lines are about, under the same names in every line and on every node, so that one filter follows a room or a session. */

/** The first characters of a session's id. The console finds sessions by them. */
export type ShortId = string & { readonly brand: "short id of a session" };

/** Tells sessions apart in logs without naming one: a sixth of its random bits. */
export const shortId = (sessionId: string) => sessionId.slice(0, 4) as ShortId;

/** `select(.room == "…")` and `select(.sessions | index("…"))` of jq find all lines of a room or session. */
export interface About {
  /** The whole id of the room. */
  room?: string;
  /** All sessions that the line is about. The one that did something comes first. */
  sessions?: readonly ShortId[];
}

/** No line names a room or session in another way. */
type Otherwise = Partial<
  Record<"rooms" | "roomId" | "session" | "sessionId" | "partnerId" | "peer", never>
>;

/** Never an SDP, a candidate, an address, a token or what peers said. */
export type LogFields = Readonly<Record<string, unknown>> & About & Otherwise;
