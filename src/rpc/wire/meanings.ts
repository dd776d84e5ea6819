/** What each call and close code of the wire means, in a sentence: for the documents. */
import type { AdminProcedure, Procedure } from "./definitions.ts";
import type { closeCodes } from "../../trpc-ws/close-codes.ts";

/** A procedure without one does not compile. */
export const meanings: Readonly<Record<Procedure, string>> = {
  events: "All that the peer is sent, in order. Opens or resumes its session.",
  join: "Enters the lobby with these wishes; while waiting, replaces them.",
  skip: "Leaves this partner, and looks for another.",
  leave: "Leaves lobby or room. Never limited.",
  again: "Asks to meet the other member of a room that has just ended again.",
  standby: "Leaves an offer for whoever is paired with the peer next; `null` takes it back.",
  offer: "Sends the partner an offer (RFC 8829).",
  answer: "Sends the partner an answer (RFC 8829).",
  addIceCandidate: "Sends the partner an ICE candidate.",
  say: "Sends the partner a text.",
  typing: "Tells the partner whether the peer types.",
  media: "Tells the partner what the peer sends from now on.",
  connected: "Media flows. With the room's `proof` also after the server or the partner was away.",
  failed: "The media path was not established.",
  report: "Reports the partner of this room or of one of the last eight, with a note and evidence.",
  hint: "What a classifier in the peer's own browser says of its camera.",
  block: "Never to be paired with the partner of this room again.",
  case: "What was decided of a report of the caller's.",
  iceServers: "ICE servers with fresh credentials.",
  stats: "Who is online, waits and is in rooms, in the lobby that a `join` would lead to.",
  site: "What the operator has declared: facts, lobbies, rules; and the version of the protocol.",
};

export const adminMeanings: Readonly<Record<AdminProcedure, string>> = {
  overview: "Who is online, waits and is in rooms, on all nodes; and the node that answers.",
  reports: "The newest reports, the newest first.",
  find: "Sessions with an open stream, by the letters with which their ids begin.",
  endRoom: "Ends a room: both are told that it was removed.",
  list: "The suspensions in force.",
  suspend: "Suspends a subject until a time.",
  lift: "Ends a suspension.",
  logLevel: "Changes what the node that answers logs, until it ends.",
  dismiss: "Closes a case without a sanction.",
};

export const closeMeanings: Readonly<Record<keyof typeof closeCodes, string>> = {
  slowConsumer: "The peer does not read what it is sent fast enough. Reconnect.",
  goingAway: "The node shuts down. Reconnect.",
  initTimeout: "A first message was announced and did not arrive in time. Reconnect.",
  expired: "What the peer was authenticated by has expired: get something newer. Reconnect.",
  disconnected: "The operator ended the connection. Reconnect.",
  tooManyRequests: "The peer kept calling although it was refused. Do not reconnect.",
  wrongProtocol: "The client speaks another version of the protocol. Do not reconnect.",
};
