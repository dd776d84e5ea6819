/**
 * The frames that `src/client` sends, byte for byte: `test/e2e/frames.test.ts` records those of a call in Chromium and holds
 * these to them.
 */
import { protocolVersion, type Candidate } from "../../src/protocol.ts";

/** The first frame of a socket, for the URL with `?connectionParams=1`. */
export const connectionParams = (token?: string) => {
  const protocol = String(protocolVersion);
  const data = token === undefined ? { protocol } : { protocol, token };
  return JSON.stringify({ method: "connectionParams", data });
};

export const ping = "PING";

/** With the id of the last event that was received, where the session is resumed. */
export const events = (callId: number, lastEventId?: string) =>
  JSON.stringify({
    id: callId,
    method: "subscription",
    params: { input: {}, path: "events", lastEventId },
  });

const mutation = (callId: number, path: string, input: object) =>
  `{"id":${callId},"method":"mutation","params":{"input":${JSON.stringify(input)},"path":"${path}"}}`;

/** 128 bits in hexadecimal, as the client's random ids are. */
export const mutationId = (n: number) => n.toString(16).padStart(32, "0");

export interface JoinFields {
  interests: string[];
  languages: string[];
  mode: string;
  relayOnly: boolean;
  autoRejoin: boolean;
}

export const join = (callId: number, wishes: JoinFields, id: string) => {
  const { interests, languages, mode, relayOnly, autoRejoin } = wishes;
  return mutation(callId, "join", { interests, languages, mode, relayOnly, autoRejoin, id });
};

export const leave = (callId: number, id: string) => mutation(callId, "leave", { id });

export const skip = (callId: number, roomId: string, id: string) =>
  mutation(callId, "skip", { roomId, id });

export const connected = (callId: number, roomId: string, id: string) =>
  mutation(callId, "connected", { roomId, path: "direct", id });

export const description = (
  callId: number,
  path: "offer" | "answer",
  roomId: string,
  sdp: string,
  id: string,
) => mutation(callId, path, { roomId, sdp, id });

export const candidate = (callId: number, roomId: string, init: Candidate, id: string) =>
  mutation(callId, "addIceCandidate", { roomId, candidate: init, id });

export const say = (callId: number, roomId: string, text: string, id: string) =>
  mutation(callId, "say", { roomId, text, id });

/** Calls of one turn of the event loop travel in one frame. */
export const frameOf = (calls: readonly string[]) =>
  calls.length === 1 ? (calls[0] ?? "") : `[${calls.join(",")}]`;
