/** What each event of the server does to the session model. */
import type { PeerEvent, PeerState, SuspensionNotice } from "../protocol.ts";
import { lastPending } from "./session-model.ts";
import type { SessionStep } from "./session-step.ts";

/** Applies an event of the server's `events` stream. */
export function onServerEvent(step: SessionStep, event: PeerEvent, callAlive: boolean): void {
  const { model } = step;
  switch (event.type) {
    case "session":
      return onSession(step, event.state);
    case "resync":
      // A server that has forgotten the room reports `idle` in `session` already. With `resync` it has removed this peer
      // from the room, as a moderator does.
      if (event.state.status === "idle" && !model.call?.orphaned) {
        step.endCall();
        step.askNoMore();
      }
      if (event.suspended) return onSuspended(step, event.suspended);
      return reconcile(step, event.state, false);
    case "lobby":
      return onLobby(step, event);
    case "create-offer":
    case "wait-for-offer":
      model.serverRoom = event.roomId;
      model.hasTicket = false;
      if (model.call?.orphaned || !step.isRoomWanted()) return step.leave();
      return step.enterRoom(event);
    case "offer":
    case "answer":
    case "add-ice-candidate":
      if (model.call) step.emit({ type: "receive-signal", signal: event });
      return;
    case "message":
      return step.receiveChat(event.roomId, event.text, event.at);
    case "typing":
      if (event.roomId === model.call?.roomId)
        step.emit({ type: "set-partner-typing", typing: event.typing });
      return;
    case "partner-media":
      if (event.roomId === model.call?.roomId) step.setPartnerMedia(event);
      return;
    case "partner-reconnecting":
      if (event.roomId === model.call?.roomId) step.changeCall({ partnerDeadline: event.deadline });
      return;
    case "partner-reconnected":
      if (event.roomId !== model.call?.roomId) return;
      step.changeCall({ partnerDeadline: undefined });
      step.emit({ type: "repeat-offer" });
      return;
    case "partner-disconnected":
      return onPartnerDisconnected(step, event, callAlive);
    case "warning":
      return step.emit({ type: "emit", event });
    default:
      // Events of later server versions are ignored.
      event satisfies never;
  }
}

/** The same as the refusal that this peer would get by joining again. */
function onSuspended(step: SessionStep, notice: SuspensionNotice): void {
  step.model.serverRoom = undefined;
  const message = "You are suspended";
  step.fail({ kind: "rejected", reason: "suspended", message, cause: undefined, ...notice });
}

function onSession(step: SessionStep, state: PeerState): void {
  const { model } = step;
  const { newStream } = model;
  const wasLost = model.signaling === "lost";
  model.newStream = false;
  model.signaling = "connected";
  reconcile(step, state, newStream);
  step.emit({ type: "open-queues" });
  // The offer may have been lost with the connection. A hand-over between sockets loses nothing.
  if (wasLost && model.call) step.emit({ type: "repeat-offer" });
}

function onLobby(step: SessionStep, event: Extract<PeerEvent, { type: "lobby" }>): void {
  const { model } = step;
  model.serverRoom = undefined;
  // An orphaned call has priority over the next partner.
  if (model.call?.orphaned) return step.leave();
  step.endCall();
  if (!model.wanted) return step.leave();
  model.hasTicket = true;
  const { waiting, online, estimateMs } = event;
  model.lobby = {
    since: model.lobby.since,
    waiting,
    online,
    ...(estimateMs !== undefined && { estimateMs }),
  };
  // The server has entered this peer with the wishes from before the room.
  if (model.wishesDirty) step.join();
}

function onPartnerDisconnected(
  step: SessionStep,
  { roomId, reason }: Extract<PeerEvent, { type: "partner-disconnected" }>,
  callAlive: boolean,
): void {
  const { model } = step;
  if (roomId === model.serverRoom) model.serverRoom = undefined;
  if (roomId === model.samePageRoom) {
    model.samePageRoom = undefined;
    if (model.wanted) step.join();
  }
  const { call } = model;
  if (roomId !== call?.roomId) return;
  const isIntact = call.established && callAlive && !call.interrupted && !call.hungUp;
  if (reason !== "lost" || !isIntact) return step.endRoom(reason);
  // The server could not reach the partner for longer than the grace, but the two still reach each other.
  step.orphanCall();
  // The server has put this peer into the lobby.
  step.leave();
}

/**
 * Brings this peer in line with the state that the server reports.
 *
 * @param isNewStream - the state comes with the first `session` event of a stream, so that it may be that of a page before
 * a reload, or of another tab.
 */
function reconcile(step: SessionStep, state: PeerState, isNewStream: boolean): void {
  const { model } = step;
  model.serverRoom = state.status === "paired" ? state.roomId : undefined;
  model.hasTicket = state.status === "waiting";
  if (state.status === "idle") return reconcileIdle(step, isNewStream);
  const isOwnCall = state.status === "paired" && state.roomId === model.call?.roomId;
  const isWanted = state.status === "paired" && !isNewStream ? step.isRoomWanted() : model.wanted;
  if (!isWanted || (model.call?.orphaned && !isNewStream && !isOwnCall)) return step.leave();
  // The page has called `stop` and `start`. The queued `leave` will end the reported state.
  if (lastPending(model, "leave") !== undefined) {
    model.serverRoom = undefined;
    step.endCall();
    return step.join();
  }
  if (state.status === "waiting") {
    step.endCall();
    model.lobby = { ...model.lobby, since: state.since };
    // The ticket may have other wishes than this page.
    if (isNewStream || model.wishesDirty) step.join();
    return;
  }
  if (!isOwnCall) return reconcileOtherRoom(step, state, isNewStream);
  const partnerDeadline = state.partner === "reconnecting" ? state.deadline : undefined;
  step.changeCall({ orphaned: false, partnerDeadline });
  step.setPartnerMedia(state.media);
  // The server may have lost what it was told, along with the rest of the room.
  step.tellMedia();
}

function reconcileIdle(step: SessionStep, isNewStream: boolean): void {
  const { model } = step;
  // A restarted server has no rooms, but the two peers still reach each other.
  if (model.call?.established && model.call.remote && !isNewStream) {
    step.orphanCall();
    return step.checkHungUp();
  }
  step.endCall();
  if (model.wanted) step.join();
}

/** The server reports a room for which there is no call. */
function reconcileOtherRoom(
  step: SessionStep,
  state: Extract<PeerState, { status: "paired" }>,
  isNewStream: boolean,
): void {
  const { model } = step;
  // Its other member is on this page and was blocked. The event that ends the room is on its way.
  if (state.roomId === model.samePageRoom) return;
  step.endCall();
  // The room is from before a reload: the partner's call is with a page that no longer exists.
  if (isNewStream) {
    step.leave();
    return step.join();
  }
  // This peer has left the room already; the server has not received that, or has refused it.
  if (state.roomId === model.lastRoom) return step.skip(state.roomId);
  step.enterRoom(state);
}
