/** The steps that several transitions of the session model have in common. */
import { limits, type Media } from "../protocol.ts";
import type { Input, Mutation, MutationName, Telling } from "./mutations.ts";
import type { SessionCommand } from "./session-input.ts";
import {
  lastPending,
  withMessage,
  type CallModel,
  type RefusedByChallenge,
  type Room,
  type SessionModel,
  type Time,
} from "./session-model.ts";
import type { PeerStreamError, RoomEnd } from "./state.ts";

/** Challenges in a row that are solved for one `join`: a proof of work, one of the server's own hook, and one more try for each. */
const CHALLENGES_MAX = 4;

/**
 * The partner's place is kept after this share of the time that it has, or after so many milliseconds: in time, and late enough that it is
 * known by then whether media still flows, which browsers notice after about 6 s.
 */
const KEEP_SHARE = 0.875;
const KEEP_MS_MAX = 10_000;

function isChallenged(error: PeerStreamError): error is RefusedByChallenge {
  return error.kind === "rejected" && error.reason === "challenge" && error.challenge !== undefined;
}

type Draft = { -readonly [K in keyof SessionModel]: SessionModel[K] };

/**
 * One transition of the session model while it is computed: a copy of the model that may be changed, and the commands so
 * far. The methods are the steps that several inputs have in common.
 */
export class SessionStep {
  readonly model: Draft;
  readonly commands: SessionCommand[] = [];
  readonly time: Time;

  constructor(model: SessionModel, time: Time) {
    this.model = { ...model };
    this.time = time;
  }

  emit(...commands: SessionCommand[]): void {
    this.commands.push(...commands);
  }

  changeCall(changes: Partial<CallModel>): void {
    const { call } = this.model;
    if (call) this.model.call = { ...call, ...changes };
  }

  /** The partner sends this. */
  setPartnerMedia({ audio, video }: Media): void {
    const known = this.model.call?.partnerMedia;
    // The same object as long as nothing changes, so that the public state is the same, too.
    if (known && (known.audio !== audio || known.video !== video))
      this.changeCall({ partnerMedia: { audio, video } });
  }

  /** Tells the server what this peer sends, if that is not, or has not always been, all that the mode allows. */
  tellMedia(): void {
    const { call } = this.model;
    if (!call?.ownMedia || !call.partnerMedia) return;
    this.tell("media", call.ownMedia);
  }

  enqueue(mutation: Mutation, request?: number): void {
    const key = this.model.nextKey++;
    this.model.pending = [...this.model.pending, { key, mutation, request }];
    this.emit({ type: "enqueue", key, mutation });
  }

  /** Does nothing before the server has reported this peer's state: `reconcile` joins then. */
  join(): void {
    const { model } = this;
    if (model.signaling !== "connected" || lastPending(model, "join", "leave") === "join") return;
    // It joins once that is done.
    if (model.solving) return;
    model.wishesDirty = false;
    const { solution } = model;
    model.solution = undefined;
    const input = solution === undefined ? { ...model.wishes } : { ...model.wishes, solution };
    this.enqueue({ name: "join", input });
  }

  skip(roomId: string): void {
    if (lastPending(this.model, "skip") === undefined)
      this.enqueue({ name: "skip", input: { roomId } });
  }

  /** Leaves lobby and room. This may be sent late, because only a `join` that is enqueued after it puts the peer back. */
  leave(): void {
    this.model.hasTicket = false;
    if (lastPending(this.model, "join", "skip", "leave") !== "leave")
      this.enqueue({ name: "leave", input: {} });
  }

  /** Starts a call in `room`, unless there is one already. */
  enterRoom(room: Room): void {
    const { model } = this;
    if (room.roomId === model.call?.roomId) return;
    this.endCall();
    // Servers of earlier versions do not send these. Only peers of the same mode are paired.
    const { mode = model.wishes.mode, partnerFacts = {}, chat = "direct" } = room;
    this.emit({ type: "begin-call", room: { ...room, mode, partnerFacts, chat } });
  }

  /** A message of the partner's, which ends its typing indicator. */
  receiveChat(roomId: string, text: string, at: number): void {
    if (roomId !== this.model.call?.roomId) return;
    const { model } = this;
    model.messages = withMessage(model.messages, { from: "partner", text, at });
    this.emit({ type: "set-partner-typing", typing: false });
    this.emit({ type: "emit", event: { type: "chat", roomId, from: "partner", text, at } });
  }

  endCall(): void {
    const { call } = this.model;
    if (!call) return;
    // Of an orphaned call the room has ended before.
    if (!call.orphaned) this.offerAgain(call.roomId);
    this.model.call = undefined;
    this.emit({ type: "end-call", roomId: call.roomId });
  }

  /** The room has ended. From now on its members can ask to meet again. */
  offerAgain(roomId: string): void {
    this.model.again = { roomId, until: this.time.nowMs + limits.againMs };
  }

  /** This peer neither asks to meet anybody again any more, nor can it. */
  askNoMore(): void {
    this.model.again = undefined;
    this.model.asksAgain = false;
  }

  /** Whether a room is wanted that the server has put this peer into. Then a partner is, from now on. */
  isRoomWanted(): boolean {
    const { model } = this;
    if (!model.wanted && !model.asksAgain) return false;
    if (!model.wanted) this.beginSearch();
    model.wanted = true;
    return true;
  }

  /** The server has no room for the call any more, but the two still reach each other. */
  orphanCall(): void {
    if (!this.model.call) return;
    this.offerAgain(this.model.call.roomId);
    // What the partner sends it can only announce itself now.
    this.changeCall({ orphaned: true, partnerDeadline: undefined });
    this.presentProof();
  }

  /** Leaves where the server has put this peer in spite of an orphaned call, for which it waits instead. */
  leaveForCall(): void {
    this.leave();
    this.presentProof();
  }

  /** Lets the server keep the partner's place, or restore the room once the partner does the same. */
  presentProof(): void {
    const { call, pending } = this.model;
    if (!call?.proof) return;
    const { roomId, proof } = call;
    const names: MutationName[] = ["leave", "connected"];
    const last = pending.findLast(({ mutation }) => names.includes(mutation.name))?.mutation;
    if (last?.name === "connected" && last.input.proof === proof) return;
    this.enqueue({ name: "connected", input: { roomId, proof } });
  }

  /** The partner is away from the server, until then; or is not. */
  awaitPartner(partnerDeadline: number | undefined): void {
    this.changeCall({ partnerDeadline });
    if (partnerDeadline === undefined || !this.model.call?.proof) return;
    const leftMs = Math.max(0, partnerDeadline - this.time.nowMs);
    this.emit({ type: "keep-place", afterMs: Math.min(leftMs * KEEP_SHARE, KEEP_MS_MAX) });
  }

  /** Has the partner's place kept for longer, as media flows. */
  keepPlace(): void {
    const { call } = this.model;
    if (call?.partnerDeadline === undefined || !call.remote) return;
    if (call.established && !call.interrupted && !call.hungUp) this.presentProof();
  }

  /** Through the server, which tells the partner. */
  tell<Name extends "typing" | "media">(
    name: Name,
    what: Omit<Input<Name>, "id" | "roomId">,
  ): void {
    const { call } = this.model;
    if (!call || call.orphaned) return;
    const mutation = { name, input: { roomId: call.roomId, ...what } } as unknown as Telling;
    this.emit({ type: "enqueue-telling", mutation });
  }

  /** The time at which the search for a partner begins. */
  beginSearch(): void {
    this.model.searchingSinceMs = this.time.elapsedMs;
    this.model.lobby = { since: this.time.nowMs };
  }

  /** After the end of a room: waits for the next partner if the page wants that. The server does the same by itself. */
  endRoom(reason: RoomEnd): void {
    this.endCall();
    this.model.ended = reason;
    this.model.wanted = this.model.wishes.autoRejoin;
    this.beginSearch();
  }

  /** The partner of an orphaned call has left. The server has no room that it could put this peer back from. */
  endOrphanedCall(reason: RoomEnd): void {
    this.endRoom(reason);
    // Either takes back that the room is waited for.
    if (this.model.wanted) this.join();
    else this.leave();
  }

  /**
   * Ends the call if the partner has closed the data channel and the server cannot report why.
   *
   * A partner that leaves, skips or reloads its page closes the data channel; a crash or a lost network does not. While
   * the server is connected, its event follows and contains the reason.
   */
  checkHungUp(): void {
    const { call, signaling } = this.model;
    if (!call?.hungUp) return;
    if (call.orphaned) this.endOrphanedCall("left");
    // If the server still has the room after the reconnect, `reconcile` leaves it.
    else if (signaling === "lost") this.endRoom("left");
  }

  /** This browser cannot set up a call. It would fail with the next partner as well, so the search ends. */
  failSetup(roomId: string, cause: unknown): void {
    this.endCall();
    this.enqueue({ name: "failed", input: { roomId } });
    const message = `the browser can't set up a call: ${String(cause)}`;
    this.fail({ kind: "call-setup", message, cause });
  }

  /** A mutation was refused permanently. */
  refused(error: PeerStreamError): void {
    // The room has ended, and the event that reports this is on its way.
    if (error.kind === "rejected" && error.reason === "not-in-room") return;
    this.fail(error);
  }

  /** The server has refused to let this peer into the lobby: what has to be solved first is solved, for anything else the search ends. */
  refusedToJoin(error: PeerStreamError): void {
    const { model } = this;
    const isLast = ++model.challenges > CHALLENGES_MAX;
    if (!isChallenged(error) || error.challenge.kind === "rules" || isLast)
      return this.refused(error);
    model.solving = error;
    this.emit({ type: "solve-challenge", challenge: error.challenge });
  }

  /** Ends everything: idle with an error. */
  fail(error: PeerStreamError, streamEnded = error.kind === "taken-over"): void {
    const { model } = this;
    if (streamEnded) {
      model.signaling = "none";
      model.newStream = true;
      model.serverRoom = undefined;
      model.hasTicket = false;
      this.emit({ type: "hold-queues" });
      this.clearMutations();
    } else if (model.serverRoom !== undefined) this.leave();
    this.emit({ type: "clear-signals" });
    this.endCall();
    this.askNoMore();
    model.wanted = false;
    model.error = error;
    model.ended = undefined;
  }

  /** Drops all queued mutations. Requests of the page that wait for one of them are resolved as not accepted. */
  clearMutations(): void {
    const { pending } = this.model;
    this.model.pending = [];
    this.emit({ type: "clear-mutations" });
    for (const { request } of pending) this.resolve(request, { ok: true, accepted: false });
  }

  resolve(
    request: number | undefined,
    outcome: Extract<SessionCommand, { type: "resolve-request" }>["outcome"],
  ): void {
    if (request !== undefined) this.emit({ type: "resolve-request", request, outcome });
  }
}
