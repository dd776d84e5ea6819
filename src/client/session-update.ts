/** The transitions of the session model: what each input does, except for events of the server. */
import type { CallInput, MutationInput, SessionCommand, SessionInput } from "./session-input.ts";
import {
  isEngaged,
  withDefaults,
  withMessage,
  type SessionModel,
  type Time,
} from "./session-model.ts";
import { onServerEvent } from "./session-events.ts";
import { SessionStep } from "./session-step.ts";
import type { Mutation } from "./mutations.ts";
import type { PeerStreamError } from "./state.ts";

/**
 * Computes what follows from an input: the next model, and the commands to execute in their order.
 *
 * Pure: the result depends on the arguments alone, and `model` is not changed.
 */
export function updateSession(
  model: SessionModel,
  input: SessionInput,
  time: Time,
): { model: SessionModel; commands: SessionCommand[] } {
  const step = new SessionStep(model, time);
  if (model.closed) updateClosed(step, input);
  else update(step, input);
  const { model: next } = step;
  if (!next.wanted) Object.assign(next, { solving: undefined, solution: undefined, challenges: 0 });
  return { model: step.model, commands: step.commands };
}

/** After `close()` nothing is done any more. Attempts to continue are answered with the error `closed`. */
function updateClosed(step: SessionStep, input: SessionInput): void {
  const message = "close() has been called: make another peer stream";
  const error: PeerStreamError = { kind: "closed", message, cause: undefined };
  if (input.type === "start" || input.type === "next") step.model.error = error;
  if (input.type === "report" || input.type === "block" || input.type === "again")
    step.resolve(input.request, { ok: false, error });
}

function update(step: SessionStep, input: SessionInput): void {
  const { model } = step;
  switch (input.type) {
    case "start":
      model.wishes = withDefaults(input.wishes);
      model.wishesDirty = true;
      return search(step, input.unsupported);
    case "next":
      return onNext(step, input.unsupported);
    case "stop":
      return onStop(step);
    case "report":
    case "block":
      return onReport(step, input);
    case "again":
      return onAgain(step, input.request);
    case "page-hide":
      return onPageHide(step);
    case "page-show":
      if (model.wanted) step.join();
      return;
    case "resume":
      if (!model.wanted) return;
      step.emit({ type: "renew-connection" });
      return step.emit({ type: model.call ? "resume-call" : "renew-standing-offer" });
    case "close":
      return onClose(step);
    case "server-event":
      return onServerEvent(step, input.event, input.callAlive);
    case "disconnected":
      model.signaling = "lost";
      step.emit({ type: "hold-queues" });
      return step.checkHungUp();
    case "socket-opened":
      return step.emit({ type: "hand-over-queues" });
    case "transport-changed":
      model.transport = input.kind;
      return step.emit({ type: "hand-over-queues" });
    case "stream-opened":
      model.newStream = true;
      return;
    case "stream-ended":
      return step.fail(input.error, true);
    case "mutation-answered":
    case "mutation-refused":
    case "mutation-dropped":
      return onMutationResult(step, input);
    case "signal-refused":
      return step.refused(input.error);
    case "chat-undelivered": {
      const { roomId, id } = input;
      return step.emit({ type: "emit", event: { type: "chat-undelivered", roomId, id } });
    }
    case "source-changed":
      model.source = input.source;
      return;
    case "challenge-solved":
      if (!model.solving) return;
      model.solving = undefined;
      model.solution = input.solution;
      return step.join();
    case "challenge-failed":
      if (model.solving) step.fail({ ...model.solving, cause: input.cause });
      return;
    default:
      return onCallInput(step, input);
  }
}

// ---------------------------------------------------------------------------------------------
// The page

function search(step: SessionStep, unsupported: PeerStreamError | undefined): void {
  const { model } = step;
  if (unsupported && !model.wanted) return step.fail(unsupported);
  model.error = undefined;
  model.ended = undefined;
  if (!model.wanted) step.beginSearch();
  model.wanted = true;
  step.emit({ type: "open-connection" });
  // A peer in a room stays there, and the server changes nothing for it either.
  if (!model.call) step.join();
}

function onNext(step: SessionStep, unsupported: PeerStreamError | undefined): void {
  const { model } = step;
  const { call } = model;
  if (!call) {
    if (!model.wanted) search(step, unsupported);
    return;
  }
  step.endCall();
  step.beginSearch();
  model.ended = undefined;
  if (call.orphaned) step.join();
  else step.skip(call.roomId);
}

function onStop(step: SessionStep): void {
  const { model } = step;
  if (model.wanted || model.asksAgain) step.leave();
  model.wanted = false;
  model.asksAgain = false;
  model.error = undefined;
  model.ended = undefined;
  step.endCall();
}

function onAgain(step: SessionStep, request: number): void {
  const { model, time } = step;
  const { again } = model;
  model.again = undefined;
  if (!again || model.call || time.nowMs >= again.until)
    return step.resolve(request, { ok: true, accepted: false });
  model.asksAgain = true;
  step.enqueue({ name: "again", input: { roomId: again.roomId } }, request);
}

function onReport(
  step: SessionStep,
  input: Extract<SessionInput, { type: "report" | "block" }>,
): void {
  const { model } = step;
  const { request } = input;
  const roomId = model.call?.roomId ?? model.lastRoom;
  if (roomId === undefined) return step.resolve(request, { ok: true, accepted: false });
  // The call ends at once; the server ends the room.
  if (model.call) {
    step.endCall();
    model.wanted = model.wishes.autoRejoin;
    step.beginSearch();
    model.ended = undefined;
  }
  if (model.again?.roomId === roomId) model.again = undefined;
  if (input.type === "block") return step.enqueue({ name: "block", input: { roomId } }, request);
  const { reason, note, evidence } = input;
  const shown = { ...(note !== undefined && { note }), ...(evidence && { evidence }) };
  const filed = { roomId, ...(reason && { reason }), ...shown };
  step.enqueue({ name: "report", input: filed }, request);
}

function onPageHide(step: SessionStep): void {
  if (!isEngaged(step.model)) return;
  step.emit({ type: "send-leave-on-unload" });
  step.endCall();
  step.askNoMore();
  step.model.serverRoom = undefined;
  step.model.hasTicket = false;
  step.clearMutations();
  step.emit({ type: "clear-signals" });
  step.beginSearch();
}

function onClose(step: SessionStep): void {
  const { model } = step;
  if (isEngaged(model)) step.emit({ type: "send-leave-on-unload" });
  model.closed = true;
  model.source = undefined;
  model.wanted = false;
  model.error = undefined;
  model.ended = undefined;
  step.endCall();
  step.askNoMore();
  step.emit({ type: "hold-queues" }, { type: "close-connection" });
  step.clearMutations();
  step.emit({ type: "clear-signals" });
}

// ---------------------------------------------------------------------------------------------
// The call

function onCallInput(
  step: SessionStep,
  input: CallInput | Extract<SessionInput, { type: "chat-sent" | "own-typing" }>,
): void {
  const { model, time } = step;
  switch (input.type) {
    case "call-begun":
      return onCallBegun(step, input);
    case "call-setup-failed":
      model.lastRoom = input.roomId;
      return step.failSetup(input.roomId, input.cause);
    case "same-page-partner":
      return onSamePagePartner(step, input);
    case "call-connected":
      if (!model.call) return;
      step.changeCall({ established: true, connectedAtMs: time.elapsedMs, path: input.path });
      return step.enqueue({
        name: "connected",
        input: { roomId: model.call.roomId, path: input.path },
      });
    case "call-interrupted":
      step.changeCall({ interrupted: input.interrupted });
      return step.keepPlace();
    case "keep-place":
      return step.keepPlace();
    case "call-failed":
      return onCallFailed(step);
    case "call-hung-up":
      step.changeCall({ hungUp: true });
      return step.checkHungUp();
    case "call-quality":
      return step.changeCall({ quality: input.quality });
    case "data-channel-message":
      return onDataChannelMessage(step, input);
    case "chat-sent":
      return onChatSent(step, input.text);
    case "own-typing":
      return step.tell("typing", { typing: input.typing });
    case "local-media":
      step.changeCall({ ownMedia: input.media });
      return step.tellMedia();
    case "local-signal":
      return step.emit({ type: "enqueue-signal", signal: input.signal });
    default:
      input satisfies never;
  }
}

function onCallBegun(
  { model, time }: SessionStep,
  { room, remote }: Extract<CallInput, { type: "call-begun" }>,
): void {
  const { roomId, sharedInterests, partnerFacts, mode, chat, media, proof } = room;
  model.lastRoom = roomId;
  model.messages = [];
  model.ended = undefined;
  model.again = undefined;
  model.call = {
    roomId,
    sharedInterests,
    partnerFacts,
    mode,
    chat,
    remote,
    established: remote === undefined,
    interrupted: false,
    hungUp: false,
    orphaned: false,
    proof,
    partnerDeadline: undefined,
    ownMedia: undefined,
    partnerMedia: remote && media,
    quality: undefined,
    pairedAtMs: time.elapsedMs,
    connectedAtMs: remote === undefined ? time.elapsedMs : undefined,
  };
}

function onSamePagePartner(
  step: SessionStep,
  { roomId, detected }: Extract<CallInput, { type: "same-page-partner" }>,
): void {
  step.model.samePageRoom = roomId;
  if (!detected) return step.endCall();
  step.model.lastRoom = roomId;
  // The server then never pairs the two again.
  step.enqueue({ name: "block", input: { roomId } });
}

function onCallFailed(step: SessionStep): void {
  const { call } = step.model;
  if (!call) return;
  if (call.orphaned) return step.endOrphanedCall("media-lost");
  step.endRoom(call.established ? "media-lost" : "connect-failed");
  step.enqueue({ name: "failed", input: { roomId: call.roomId, path: call.path } });
}

function onDataChannelMessage(
  step: SessionStep,
  { message }: Extract<CallInput, { type: "data-channel-message" }>,
): void {
  const { call } = step.model;
  if (!call) return;
  const { roomId } = call;
  if (message.type === "data")
    return step.emit({ type: "emit", event: { type: "data", roomId, data: message.data } });
  // Nobody sees them on the way, and the operator wants to.
  if (call.chat === "server") return;
  if (message.type === "typing")
    return step.emit({ type: "set-partner-typing", typing: message.typing });
  step.receiveChat(roomId, message.text, step.time.nowMs);
}

function onChatSent(step: SessionStep, text: string): void {
  const { model, time } = step;
  const { call } = model;
  if (!call) return;
  step.emit({ type: "end-own-typing" });
  const { roomId } = call;
  const event = { type: "chat", roomId, from: "me", text, at: time.nowMs } as const;
  model.messages = withMessage(model.messages, { from: "me", text, at: event.at });
  if (call.chat === "direct") return step.emit({ type: "emit", event });
  const id = model.nextKey++;
  const mutation = { name: "say", input: { roomId, text } } as const;
  step.emit({ type: "enqueue-telling", mutation, chat: id });
  step.emit({ type: "emit", event: { ...event, id } });
}

// ---------------------------------------------------------------------------------------------
// Results of mutations

function onMutationResult(
  step: SessionStep,
  input: Exclude<MutationInput, { type: "signal-refused" | "chat-undelivered" }>,
): void {
  const { model } = step;
  const entry = model.pending.find(({ key }) => key === input.key);
  if (!entry) return;
  const { mutation, request } = entry;
  const remove = () => (model.pending = model.pending.filter(({ key }) => key !== input.key));
  const rejoin = () => {
    if (model.wanted && !model.call) step.join();
  };
  switch (input.type) {
    case "mutation-answered":
      remove();
      if (mutation.name === "join") model.challenges = 0;
      if (request === undefined) return;
      if (mutation.name !== "again") rejoin();
      return step.resolve(request, {
        ok: true,
        accepted: input.accepted,
        ...(input.caseId !== undefined && { caseId: input.caseId }),
      });
    case "mutation-refused":
      if (mutation.name === "join" || mutation.name === "skip") step.refusedToJoin(input.error);
      if (isSuspended(mutation, input.error)) step.fail(input.error);
      if (request !== undefined && (mutation.name === "report" || mutation.name === "block")) {
        const { roomId } = mutation.input;
        // The refused mutation has not ended the room.
        if (model.serverRoom === roomId) step.skip(roomId);
        else rejoin();
        step.resolve(request, { ok: false, error: input.error });
      }
      if (mutation.name === "again") {
        model.asksAgain = false;
        step.resolve(request, { ok: false, error: input.error });
      }
      remove();
      return;
    case "mutation-dropped":
      remove();
      return step.resolve(request, { ok: true, accepted: false });
    default:
      input satisfies never;
  }
}

/** The server would have the room exist again, but not with this peer. */
function isSuspended({ name, input }: Mutation, error: PeerStreamError): boolean {
  if (name !== "connected" || input.proof === undefined) return false;
  return error.kind === "rejected" && error.reason === "suspended";
}
