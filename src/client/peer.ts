import type {
  EndReason,
  IceServer,
  PeerEvent,
  PeerState,
  ReportReason,
  RoomTerms,
  Signal,
} from "../protocol.ts";
import { createCall, type Call, type Rtc } from "./call.ts";
import type { PartnerMedia } from "./chat.ts";
import type { Connection, ConnectionListener } from "./connection.ts";
import { createEmitter } from "./emitter.ts";
import { createOutbox } from "./outbox.ts";
import { createOutgoing } from "./outgoing.ts";
import type { PagePeer } from "./page-peers.ts";
import {
  sameState,
  type PeerStreamError,
  type PeerStreamEvent,
  type PeerStreamState,
  type RoomEnd,
} from "./state.ts";
import type { Outcome, PeerStream, StartOptions, Wishes } from "./surface.ts";
import { createTypingSign } from "./typing-sign.ts";

/** What a peer is made of. */
export interface PeerParts {
  connection: Connection;
  rtc: Rtc;
  /** Used instead of those the server names, if given. */
  iceServers?: IceServer[];
  /** What this environment lacks, looked for before anything is sent. */
  lacking?: () => PeerStreamError | undefined;
  /** Knows the other peers on the same page. */
  pagePeer?: Pick<PagePeer, "enter" | "leave">;
}

/** A peer stream, and what the page's coming and going does to it. */
export interface Peer extends Omit<PeerStream, "camera"> {
  /** The camera has other tracks now; `opened`: because the page has opened it. */
  cameraChanged(stream: MediaStream | undefined, opened: boolean): void;
  /** The page goes away, for good or into the back-forward cache. */
  depart(): void;
  /** The page came back out of the back-forward cache. */
  comeBack(): void;
  /** The machine has slept, or changed its network. */
  wake(): void;
}

type Room = RoomTerms & { iceServers: IceServer[] };

/** The lobby, as far as the server has told. */
type Lobby = Omit<Extract<PeerStreamState, { status: "waiting" }>, "status" | "ended">;

/** A restart of the media path waits for credentials no longer than this (milliseconds). */
const ICE_SERVERS_MS_MAX = 2000;

/**
 * Creates a peer.
 *
 * Three truths meet here: what the page wants (`wanted`), where the server says that this peer stands
 * (`serverRoom`), and the call that is actually there (`call`). Events, refusals and reconnects change
 * one of them; `reconcile` and `derive` bring the others after it.
 */
export function createPeer(parts: PeerParts): Peer {
  const { connection, rtc, iceServers, pagePeer } = parts;
  const states = createEmitter<PeerStreamState>();
  const events = createEmitter<PeerStreamEvent>();
  // Apart, so that a signal that has to wait never holds up a wish to leave.
  const intents = createOutbox((name, input) => connection.call(name, input));
  const signals = createOutbox((name, input) => connection.call(name, input));

  let current: PeerStreamState = { status: "idle" };
  /** Whether the page wants a partner. */
  let wanted = false;
  let wishes: Required<Wishes> = withDefaults({});
  /** Wishes were given that the server has not been told. */
  let unsaid = false;
  const outgoing = createOutgoing(() => rtc.stream());

  /** Whether the server has spoken since the connection last dropped. */
  let present = false;
  /** The connection dropped and is not back; unlike `!present`, not so before the first word. */
  let away = false;
  /** No `session` event has come on this stream yet; what it tells may be another page's past. */
  let newStream = false;
  /** The room the server last said this peer is in. */
  let serverRoom: string | undefined;
  /** The room last been in, for reports that come a moment late. */
  let lastRoom: string | undefined;

  let lobby: Lobby = { since: Date.now() };
  let error: PeerStreamError | undefined;
  let endedBy: RoomEnd | undefined;

  let call: Call | undefined;
  let sharedInterests: string[] = [];
  // By the monotonic clock, for what took how long.
  let searchingSince = performance.now();
  let pairedAt = performance.now();
  let connectedAt: number | undefined;
  /** The media path is being mended. */
  let broken = false;
  /** Until when the partner may come back. */
  let partnerDeadline: number | undefined;
  /** The server has lost the room (it was restarted, or the grace of one of the two has ended); the call continues. */
  let orphaned = false;
  /** The partner has closed its end of the call. */
  let hungUp = false;
  /** A room with another peer on this very page, until the server has ended it. */
  let ownRoom: string | undefined;
  /** What the partner sends, once it has told. */
  let partnerMedia: PartnerMedia | undefined;
  let closed = false;

  const typingSign = createTypingSign({
    send: (typing) => call?.send({ type: "typing", typing }) ?? false,
    partnerTypes(typing) {
      if (call) events.emit({ type: "typing", typing, roomId: call.roomId });
    },
  });

  const listener: ConnectionListener = {
    event: (event) => {
      if (closed) return;
      hear(event);
      publish();
    },
    away: () => {
      if (closed) return;
      present = false;
      away = true;
      intents.hold();
      signals.hold();
      checkHungUp();
      publish();
    },
    opened: () => {
      if (closed) return;
      intents.turnOver();
      signals.turnOver();
    },
    ended: (reason) => {
      if (!closed) halt(reason, true);
    },
  };

  // -------------------------------------------------------------------------------------------
  // What the page sees

  function derive(): PeerStreamState {
    const ended = endedBy === undefined ? {} : { ended: endedBy };
    if (call) {
      const { roomId, remote } = call;
      const reconnecting = { status: "reconnecting", roomId, sharedInterests } as const;
      const told = partnerMedia && { partnerMedia };
      const shown = call.established ? { remote, ...told } : {};
      if (away) return { ...reconnecting, ...shown, what: "signaling" };
      if (partnerDeadline !== undefined) {
        return { ...reconnecting, ...shown, what: "partner", deadline: partnerDeadline };
      }
      if (!call.established) return { status: "connecting", roomId, sharedInterests };
      if (broken) return { ...reconnecting, ...shown, what: "media" };
      const known = { roomId, sharedInterests, remote, ...told };
      return { status: "connected", ...known, ...(orphaned && { orphaned }) };
    }
    if (!wanted) return { status: "idle", ...(error && { error }), ...ended };
    if (away) return { status: "reconnecting", what: "signaling", ...ended };
    return { status: "waiting", ...lobby, ...ended };
  }

  function publish(): void {
    const next = derive();
    if (sameState(current, next)) return;
    current = next;
    states.emit(next);
  }

  // -------------------------------------------------------------------------------------------
  // What the server tells

  function hear(event: PeerEvent): void {
    switch (event.type) {
      case "session": {
        const first = newStream;
        const back = away;
        newStream = false;
        present = true;
        away = false;
        reconcile(event.state, first);
        intents.open();
        signals.open();
        // The offer may have fallen into the gap. A hand-over from socket to socket leaves none.
        if (back) call?.repeatOffer();
        return;
      }
      case "resync":
        // A server that had forgotten the room would have said so in `session`: this one took it away,
        // as a moderator does.
        if (event.state.status === "idle" && !orphaned) dropCall();
        return reconcile(event.state, false);
      case "lobby": {
        serverRoom = undefined;
        // A call that continues without the server is not ended for the next partner from the lobby.
        if (orphaned) return withdraw();
        dropCall();
        if (!wanted) return withdraw();
        const { waiting, online, estimateMs } = event;
        lobby = {
          since: lobby.since,
          waiting,
          online,
          ...(estimateMs !== undefined && { estimateMs }),
        };
        // Entered with the wishes from before the room.
        if (unsaid) join();
        return;
      }
      case "create-offer":
      case "wait-for-offer":
        serverRoom = event.roomId;
        if (!wanted || orphaned) return withdraw();
        return enter(event);
      case "offer":
      case "answer":
      case "add-ice-candidate":
        return call?.receive(event);
      case "partner-reconnecting":
        if (event.roomId === call?.roomId) partnerDeadline = event.deadline;
        return;
      case "partner-reconnected":
        if (event.roomId !== call?.roomId) return;
        partnerDeadline = undefined;
        call.repeatOffer();
        return;
      case "partner-disconnected":
        if (event.roomId === serverRoom) serverRoom = undefined;
        if (event.roomId === ownRoom) {
          ownRoom = undefined;
          if (wanted) join();
        }
        if (event.roomId === call?.roomId) roomEnded(event.reason);
    }
  }

  /** Brings this peer after the server's word of where it stands. `first`: on a new stream. */
  function reconcile(state: PeerState, first: boolean): void {
    serverRoom = state.status === "paired" ? state.roomId : undefined;
    if (state.status === "idle") {
      // After a restart the server knows of no room, but the two still see each other.
      if (call?.established && !first) {
        orphaned = true;
        partnerDeadline = undefined;
        return checkHungUp();
      }
      dropCall();
      if (wanted) join();
      return;
    }
    if (!wanted || (orphaned && !first && !isRoom(state))) return withdraw();
    // Stopped and started again meanwhile: whatever the server says now, it will be told to leave it.
    if (intents.has("leave")) {
      serverRoom = undefined;
      dropCall();
      return join();
    }
    if (state.status === "waiting") {
      dropCall();
      lobby = { ...lobby, since: state.since };
      // The wishes of this page may be newer than the ticket.
      if (first || unsaid) join();
      return;
    }
    if (state.roomId !== call?.roomId) {
      // Met on this page, and blocked; the room's end is on its way here.
      if (state.roomId === ownRoom) return;
      dropCall();
      // A room from before a reload: the partner talks to a page that is gone.
      if (first) {
        withdraw();
        return join();
      }
      // Left already; the server has yet to hear so, or did not listen.
      if (state.roomId === lastRoom) return skip(state.roomId);
      return enter(state);
    }
    orphaned = false;
    partnerDeadline = state.partner === "reconnecting" ? state.deadline : undefined;
  }

  /** Whether a state is that of the room of the present call. */
  function isRoom(state: PeerState): boolean {
    return state.status === "paired" && state.roomId === call?.roomId;
  }

  // -------------------------------------------------------------------------------------------
  // The call

  function enter(room: Room): void {
    if (room.roomId === call?.roomId) return;
    dropCall();
    const { roomId } = room;
    if (pagePeer?.enter(roomId, () => metOwn(roomId)) === false) return avoidOwn(roomId);
    sharedInterests = [...room.sharedInterests];
    endedBy = undefined;
    lastRoom = roomId;
    pairedAt = performance.now();
    connectedAt = undefined;
    try {
      call = begin(room);
    } catch (cause) {
      setUpFailed(roomId, cause);
    }
  }

  /** @throws what the browser throws at the configuration or the tracks. */
  function begin(room: Room): Call {
    const { roomId } = room;
    return createCall({
      room: {
        roomId,
        polite: room.polite,
        relayOnly: room.relayOnly,
        sharedInterests: room.sharedInterests,
        // Earlier servers do not say it; only peers of one mode meet.
        mode: room.mode ?? wishes.mode,
        iceServers: iceServers ?? room.iceServers,
      },
      local: outgoing.stream,
      rtc,
      canSignal: () => !orphaned,
      freshIceServers,
      listener: {
        signal: send,
        connected() {
          connectedAt = performance.now();
          tell("connected", roomId);
          publish();
        },
        interrupted(now) {
          broken = now;
          publish();
        },
        failed(fault) {
          if (fault !== undefined) return setUpFailed(roomId, fault);
          if (orphaned) partnerGone("media-lost");
          else mediaFailed(roomId);
          publish();
        },
        hungUp() {
          hungUp = true;
          checkHungUp();
          publish();
        },
        word(word) {
          if (word.type === "typing") return typingSign.partner(word.typing);
          if (word.type === "media") return partnerTold(word);
          typingSign.partnerMessage();
          events.emit({ ...word, roomId, from: "partner", at: Date.now() });
        },
      },
    });
  }

  function partnerTold({ audio, video }: PartnerMedia): void {
    if (partnerMedia?.audio === audio && partnerMedia.video === video) return;
    partnerMedia = { audio, video };
    publish();
  }

  /** Those that the server names now; undefined if the page has its own, or the server does not answer in time. */
  async function freshIceServers(): Promise<IceServer[] | undefined> {
    if (iceServers || away || closed) return undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), ICE_SERVERS_MS_MAX);
    });
    const answer = connection.iceServers().catch(() => undefined);
    return Promise.race([answer, late]).finally(() => clearTimeout(timer));
  }

  function send(signal: Signal): void {
    const { roomId } = signal;
    const relevant = () => call?.roomId === roomId && !orphaned;
    if (signal.type === "add-ice-candidate") {
      const { candidate } = signal;
      return signals.put("addIceCandidate", { roomId, candidate }, { relevant });
    }
    signals.put(signal.type, { roomId, sdp: signal.sdp }, { relevant, refused });
  }

  function tell(verdict: "connected" | "failed", roomId: string): void {
    intents.put(verdict, { roomId }, { relevant: () => serverRoom === roomId });
  }

  /** Ends the call, if there is one, and forgets everything about it. */
  function dropCall(): void {
    typingSign.stop();
    if (call) pagePeer?.leave(call.roomId);
    call?.end();
    call = undefined;
    orphaned = false;
    hungUp = false;
    broken = false;
    partnerDeadline = undefined;
    partnerMedia = undefined;
  }

  function roomEnded(reason: EndReason): void {
    // The server could not reach the partner for longer than its grace, which says nothing about the call itself.
    if (reason === "lost" && call?.alive && !broken && !hungUp) {
      orphaned = true;
      partnerDeadline = undefined;
      // Out of the lobby that the server has put this peer into.
      return withdraw();
    }
    dropCall();
    look(reason);
  }

  /**
   * A partner that leaves, presses Next or reloads its page closes its end of the call, and does not come back to it; a
   * crash or a lost network closes nothing. Where the server can be heard, it tells more: who left, and why.
   */
  function checkHungUp(): void {
    if (!hungUp || !call) return;
    if (orphaned) return partnerGone("left");
    if (!away) return;
    dropCall();
    // Should the server know of the room yet when it is back, `reconcile` leaves it.
    look("left");
  }

  /** The browser can't begin a call, and could not with the next stranger: nobody is kept waiting for it. */
  function setUpFailed(roomId: string, cause: unknown): void {
    dropCall();
    tell("failed", roomId);
    const message = `the browser can't set up a call: ${String(cause)}`;
    halt({ kind: "call-setup", message, cause });
  }

  /** The partner is another peer on this page, which has found out first. */
  function metOwn(roomId: string): void {
    ownRoom = roomId;
    dropCall();
    publish();
  }

  /** As `metOwn`, found out by this peer: it has the server keep the two apart for good. */
  function avoidOwn(roomId: string): void {
    ownRoom = roomId;
    lastRoom = roomId;
    intents.put("block", { roomId }, { relevant: () => true });
  }

  function mediaFailed(roomId: string): void {
    const established = call?.established;
    dropCall();
    tell("failed", roomId);
    look(established ? "media-lost" : "connect-failed");
  }

  /** The partner of an orphaned call is gone: there is no room that could tell. */
  function partnerGone(reason: RoomEnd): void {
    dropCall();
    look(reason);
    if (wanted) join();
  }

  /** Waits for the next partner, or not, as wished. The server does the same by itself. */
  function look(reason: RoomEnd): void {
    endedBy = reason;
    wanted = wishes.autoRejoin;
    startWaiting();
  }

  function startWaiting(): void {
    searchingSince = performance.now();
    lobby = { since: Date.now() };
  }

  // -------------------------------------------------------------------------------------------
  // What the page wants

  function join(): void {
    // Without a word from the server it is too early; `reconcile` joins then.
    if (!present || intents.last("join", "leave") === "join") return;
    unsaid = false;
    const { interests, languages, mode, relayOnly, autoRejoin } = wishes;
    intents.put(
      "join",
      { interests, languages, mode, relayOnly, autoRejoin },
      // Names no room, so it is not for later: `reconcile` decides anew.
      { relevant: () => present && wanted, refused },
    );
  }

  function skip(roomId: string): void {
    if (intents.has("skip")) return;
    intents.put("skip", { roomId }, { relevant: () => serverRoom === roomId, refused });
  }

  /** Out of lobby and room. Safe to do late, as nothing but a later `join` comes after it. */
  function withdraw(): void {
    if (intents.last("join", "skip", "leave") === "leave") return;
    intents.put("leave", {}, { relevant: () => true });
  }

  function refused(reason: PeerStreamError): void {
    // The room is over, and its end is on its way here.
    if (reason.kind === "rejected" && reason.reason === "not-in-room") return;
    halt(reason);
  }

  /** Nothing more to be had: idle, with the reason. */
  function halt(reason: PeerStreamError, streamIsOver = reason.kind === "taken-over"): void {
    if (streamIsOver) {
      present = false;
      away = false;
      newStream = true;
      serverRoom = undefined;
      intents.hold();
      signals.hold();
      intents.clear();
    } else if (serverRoom !== undefined) withdraw();
    signals.clear();
    dropCall();
    wanted = false;
    error = reason;
    endedBy = undefined;
    publish();
  }

  /** After `close()` nothing is done any more; who asks for a partner all the same finds the reason in the state. */
  function isClosed(): boolean {
    if (!closed) return false;
    current = { status: "idle", error: closedError() };
    return true;
  }

  function start(options: StartOptions = {}): void {
    if (isClosed()) return;
    wishes = withDefaults(options);
    unsaid = true;
    if (options.stream) {
      outgoing.choose(options.stream);
      sendAnew();
    }
    search();
  }

  function search(): void {
    if (isClosed()) return;
    const lacking = wanted ? undefined : parts.lacking?.();
    if (lacking) return halt(lacking);
    error = undefined;
    endedBy = undefined;
    if (!wanted) startWaiting();
    wanted = true;
    if (connection.open(listener)) newStream = true;
    // A peer in a room keeps it; the server changes nothing for it either.
    if (!call) join();
    publish();
  }

  function next(): void {
    if (isClosed()) return;
    if (!call) return wanted ? undefined : search();
    const { roomId } = call;
    const alone = orphaned;
    dropCall();
    startWaiting();
    endedBy = undefined;
    if (alone) join();
    else skip(roomId);
    publish();
  }

  function stop(): void {
    if (closed) return;
    if (wanted) withdraw();
    wanted = false;
    error = undefined;
    endedBy = undefined;
    dropCall();
    publish();
  }

  /** Sends in the present call what is to be sent now. A browser that can't swap a track goes on as before. */
  function sendAnew(): void {
    call?.replaceTracks(outgoing.stream).catch(() => {});
  }

  /** Whether the server may have this peer in a lobby or a room, or is about to hear that it wants into one. */
  function engaged(): boolean {
    if (closed) return false;
    return wanted || intents.last("join", "skip", "leave") !== undefined;
  }

  function accuse(name: "report" | "block", reason?: ReportReason): Promise<Outcome> {
    if (closed) return Promise.resolve({ ok: false, error: closedError() });
    const roomId = call?.roomId ?? lastRoom;
    if (roomId === undefined) return Promise.resolve({ ok: true, accepted: false });
    // Out of sight at once; the server ends the room.
    if (call?.roomId === roomId) {
      dropCall();
      wanted = wishes.autoRejoin;
      startWaiting();
      endedBy = undefined;
      publish();
    }
    return new Promise((resolve) => {
      intents.put(
        name,
        { roomId, ...(reason && { reason }) },
        {
          // Names its room for good, so it is never too late.
          relevant: () => true,
          answered({ accepted }) {
            if (wanted && !call) join();
            resolve({ ok: true, accepted });
          },
          refused(error) {
            if (serverRoom === roomId) skip(roomId);
            else if (wanted && !call) join();
            resolve({ ok: false, error });
          },
          dropped: () => resolve({ ok: true, accepted: false }),
        },
      );
    });
  }

  return {
    get state() {
      return current;
    },
    start,
    next,
    stop,
    sendChat(text) {
      if (!call?.send({ type: "chat", text })) return false;
      typingSign.ownMessage();
      events.emit({ type: "chat", roomId: call.roomId, from: "me", text, at: Date.now() });
      return true;
    },
    sendTyping: typingSign.own,
    async replaceTracks(stream) {
      if (closed) return;
      outgoing.choose(stream);
      await call?.replaceTracks(outgoing.stream);
    },
    cameraChanged(stream, opened) {
      if (closed) return;
      outgoing.cameraChanged(stream, opened);
      sendAnew();
    },
    setMuted(change) {
      if (closed) return;
      outgoing.mute(change);
      call?.mediaChanged();
    },
    report: (reason) => accuse("report", reason),
    block: () => accuse("block"),
    async stats() {
      if (!call) return undefined;
      const { roomId } = call;
      const times = {
        matchMs: Math.round(pairedAt - searchingSince),
        ...(connectedAt !== undefined && { connectMs: Math.round(connectedAt - pairedAt) }),
      };
      const reading = await call.stats();
      return reading && { roomId, ...times, ...reading };
    },
    counts: () => connection.counts(),
    subscribe: (hearState) => states.subscribe(hearState),
    onEvent: (hearEvent) => events.subscribe(hearEvent),
    states: () => states.iterate({ first: () => current, keepLatest: true }),
    events: () => events.iterate(),
    depart() {
      if (!engaged()) return;
      connection.goodbye();
      dropCall();
      serverRoom = undefined;
      intents.clear();
      signals.clear();
      startWaiting();
      publish();
    },
    comeBack() {
      if (closed || !wanted) return;
      join();
      publish();
    },
    wake() {
      if (!wanted) return;
      connection.renew();
      call?.wake();
    },
    close() {
      if (closed) return;
      if (engaged()) connection.goodbye();
      closed = true;
      wanted = false;
      error = undefined;
      endedBy = undefined;
      dropCall();
      intents.hold();
      signals.hold();
      connection.close();
      intents.clear();
      signals.clear();
      publish();
      states.close();
      events.close();
    },
  };
}

function closedError(): PeerStreamError {
  const message = "close() has been called: make another peer stream";
  return { kind: "closed", message, cause: undefined };
}

function withDefaults(wishes: Wishes): Required<Wishes> {
  return {
    interests: wishes.interests ?? [],
    languages: wishes.languages ?? [],
    mode: wishes.mode ?? "video",
    relayOnly: wishes.relayOnly ?? false,
    autoRejoin: wishes.autoRejoin ?? true,
  };
}
