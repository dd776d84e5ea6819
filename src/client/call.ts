import type { Candidate, IceServer, Mode, RoomTerms, Signal } from "../protocol.ts";
import { readCallStats, type CallCounters, type CallReading } from "./call-stats.ts";
import { chatBufferedBytesMax, decodeWord, encodeWord, type Word } from "./chat.ts";
import { createPathWatch } from "./path-watch.ts";

/** The browser's half of WebRTC, replaceable for tests. */
export interface Rtc {
  connect(configuration: RTCConfiguration): RTCPeerConnection;
  stream(): MediaStream;
}

/** What a call tells. Nothing is told after `end()`. */
interface CallListener {
  signal(signal: Signal): void;
  /** Media can flow: told once. */
  connected(): void;
  /** The media path broke and is being mended, or is whole again. */
  interrupted(broken: boolean): void;
  /**
   * It never connected, or could not be mended. The call has ended itself. `fault` is what this peer's own browser threw
   * while the call was set up, if that is why.
   */
  failed(fault?: unknown): void;
  /** The partner closed its end. It says nothing about why. */
  hungUp(): void;
  /** The partner said something, or is about to. */
  word(word: Word): void;
}

/** What a call is made of. */
export interface CallParts {
  room: RoomTerms & { iceServers: IceServer[] };
  /** This peer's media; none at all is fine, too. */
  local: MediaStream | undefined;
  rtc: Rtc;
  listener: CallListener;
  /** Whether a restart of the path could reach the partner: without signaling it is no use. */
  canSignal?: () => boolean;
  /**
   * Asks for the ICE servers with credentials that are good now, in a bounded time; `undefined` leaves those that there
   * are. Credentials for TURN are short-lived, and a restart needs new allocations. Must not reject.
   */
  freshIceServers?: () => Promise<IceServer[] | undefined>;
}

/** The direct connection to the partner of one room. */
export interface Call {
  readonly roomId: string;
  /** What the partner sends. The same object for the whole call; tracks come and go in it. */
  readonly remote: MediaStream;
  /** Whether it ever connected. */
  readonly established: boolean;
  /** Whether the partner is there at this moment: its end of the chat's channel is open. */
  readonly alive: boolean;
  /** Takes in what the partner signalled. */
  receive(signal: Signal): void;
  /**
   * Sends the offer again that has no answer yet: after a gap in the signaling nobody knows whether
   * it arrived. Twice does no harm.
   */
  repeatOffer(): void;
  /** Sends `stream` instead of what was sent so far; undefined sends nothing. */
  replaceTracks(stream: MediaStream | undefined): Promise<void>;
  /** Tells the partner what is sent now, if that has changed: something was turned on or off. */
  mediaChanged(): void;
  /** Sends a word. False when there is no way to the partner, or it is blank or too long. */
  send(word: Word): boolean;
  /** How it fares; undefined once it has ended. */
  stats(): Promise<CallReading | undefined>;
  /** The machine has slept, or changed its network: a broken path is mended at once. */
  wake(): void;
  /** Closes everything. May be called again. */
  end(): void;
}

/**
 * Begins a call: one RTCPeerConnection, negotiated by the perfect negotiation pattern (W3C WebRTC 1.0,
 * 10.7). Offers may cross at any time after the first: the impolite peer's wins. The first one is always
 * made by the impolite peer, so that a room does not begin with a crossing.
 *
 * @throws what the browser throws at the configuration or the tracks; nothing is left open then.
 */
export function createCall({
  room,
  local,
  rtc,
  listener,
  canSignal = () => true,
  freshIceServers = () => Promise.resolve(undefined),
}: CallParts): Call {
  const { roomId, polite, mode } = room;
  const remote = rtc.stream();
  const pc = rtc.connect({
    iceServers: room.iceServers,
    iceTransportPolicy: room.relayOnly ? "relay" : "all",
    bundlePolicy: "max-bundle",
  });
  const channel = openChannel(pc);
  const ending = new AbortController();
  const { signal: ended } = ending;

  let established = false;
  let makingOffer = false;
  let ignoringOffer = false;
  let settingRemoteAnswer = false;
  /** Whether a remote description has been handed to the connection, settled or not. */
  let described = false;
  const early: Candidate[] = [];
  /** Tracks whose turning on and off is noticed. */
  const watched = new WeakSet<MediaStreamTrack>();
  /** What the partner was told last of what is sent. */
  let toldMedia: string | undefined;
  let counters: CallCounters = {
    at: performance.now(),
    sentBytes: 0,
    receivedBytes: 0,
    receivedPackets: 0,
    lostPackets: 0,
  };

  /** Counts the restarts that were asked for: one that has been overtaken while it waited for credentials is off. */
  let restartsAsked = 0;
  /** Signals behind an offer that waits for credentials, in their order. */
  let held: Signal[] | undefined;

  const path = createPathWatch(
    {
      restart: () => void restart(),
      cancelRestart: () => void (restartsAsked += 1),
      canSignal,
      interrupted(broken) {
        if (!broken) restartsAsked += 1;
        listener.interrupted(broken);
      },
      giveUp: () => fail(),
    },
    polite,
  );

  pc.addEventListener("negotiationneeded", () => void offer(), { signal: ended });
  pc.addEventListener("icecandidate", ({ candidate }) => trickle(candidate), { signal: ended });
  pc.addEventListener("iceconnectionstatechange", () => path.ice(pc.iceConnectionState), {
    signal: ended,
  });
  pc.addEventListener("connectionstatechange", watchConnection, { signal: ended });
  pc.addEventListener("track", ({ track, transceiver }) => show(track, transceiver), {
    signal: ended,
  });
  channel.addEventListener("message", ({ data }) => hear(data), { signal: ended });
  channel.addEventListener("open", tellMedia, { signal: ended });
  channel.addEventListener("close", () => listener.hungUp(), { signal: ended });

  try {
    for (const track of sendable(local)) pc.addTrack(track, local ?? rtc.stream());
  } catch (fault) {
    end();
    throw fault;
  }

  const hasCredentials = room.iceServers.some(({ username }) => username !== undefined);

  async function restart(): Promise<void> {
    const mine = ++restartsAsked;
    if (hasCredentials) await renewCredentials();
    if (mine === restartsAsked && !ended.aborted) pc.restartIce();
  }

  /** Has the next gathering use credentials that are good now. */
  async function renewCredentials(): Promise<void> {
    const iceServers = await freshIceServers();
    if (ended.aborted || !iceServers) return;
    try {
      pc.setConfiguration({ ...pc.getConfiguration(), iceServers });
    } catch {
      // Then the restart is tried with those that there are.
    }
  }

  /** Whether an offer restarts ICE in a call that has been described before (RFC 8839, 4.4.1.1.1). */
  function restarts(signal: Signal): boolean {
    const before = pc.remoteDescription && ufragOf(pc.remoteDescription.sdp);
    return signal.type === "offer" && !!before && ufragOf(signal.sdp) !== before;
  }

  function receive(signal: Signal): void {
    if (held) {
      if (held.length < EARLY_CANDIDATES_MAX) held.push(signal);
      return;
    }
    if (!restarts(signal)) return handle(signal);
    path.partnerRestarted();
    if (!hasCredentials) return handle(signal);
    held = [];
    // The answer gathers anew, too.
    void renewCredentials().then(() => {
      const behind = held ?? [];
      held = undefined;
      if (ended.aborted) return;
      handle(signal);
      for (const next of behind) receive(next);
    });
  }

  function handle(signal: Signal): void {
    if (signal.type !== "add-ice-candidate") return void take(signal.type, signal.sdp);
    if (described) void addCandidate(signal.candidate);
    else if (early.length < EARLY_CANDIDATES_MAX) early.push(signal.candidate);
  }

  async function offer(): Promise<void> {
    if (polite && !described) return;
    try {
      makingOffer = true;
      await pc.setLocalDescription();
      sendDescription();
    } catch (fault) {
      // Overtaken by the partner's offer or by the end, and what is still needed fires again; or the browser can't make
      // an offer, and the first one is never made.
      if (!established && pc.signalingState !== "have-remote-offer") fail(fault);
    } finally {
      makingOffer = false;
    }
  }

  function sendDescription(): void {
    const description = pc.localDescription;
    if (ended.aborted || !description) return;
    const { type, sdp } = description;
    if (type === "offer" || type === "answer") listener.signal({ type, roomId, sdp });
  }

  async function take(type: "offer" | "answer", sdp: string): Promise<void> {
    const readyForOffer = !makingOffer && (pc.signalingState === "stable" || settingRemoteAnswer);
    const collides = type === "offer" && !readyForOffer;
    ignoringOffer = !polite && collides;
    if (ignoringOffer) return;
    // The answer to an offer that was sent twice comes twice.
    if (type === "answer" && pc.signalingState !== "have-local-offer") return;
    let answering = false;
    try {
      settingRemoteAnswer = type === "answer";
      described = true;
      // Rolls this peer's own offer back by itself, if the two have crossed.
      const setting = pc.setRemoteDescription({ type, sdp });
      for (const candidate of early.splice(0)) void addCandidate(candidate);
      await setting;
      settingRemoteAnswer = false;
      if (type === "answer") return;
      answering = true;
      await pc.setLocalDescription();
      sendDescription();
    } catch (fault) {
      settingRemoteAnswer = false;
      // The partner's words can be anything. A call that stands survives nonsense; one that does not
      // stand yet never will with this partner. An answer that this browser can't make is its own fault.
      if (!established) fail(answering ? fault : undefined);
    }
  }

  async function addCandidate(candidate: Candidate): Promise<void> {
    try {
      // The connection queues it behind the description that is being set.
      await pc.addIceCandidate(asInit(candidate));
    } catch {
      // Of an ignored offer, of a generation that is over, or nonsense: never worth a call.
    }
  }

  function trickle(candidate: RTCIceCandidate | null): void {
    // `null` says that all generations are done and is for this peer alone; the empty string ends one
    // generation and is for the partner, too (W3C WebRTC 1.0, 4.8.1.2).
    if (candidate === null) return;
    const { candidate: line, sdpMid, sdpMLineIndex, usernameFragment } = candidate;
    listener.signal({
      type: "add-ice-candidate",
      roomId,
      candidate: { candidate: line, sdpMid, sdpMLineIndex, usernameFragment },
    });
  }

  function watchConnection(): void {
    if (pc.connectionState === "connected" && !established) {
      established = true;
      path.established();
      listener.connected();
    }
    // The encryption could not be agreed on, or broke: no ICE restart helps. Only the DTLS transport itself can tell:
    // `connectionState` turns `failed` with ICE, too, and Chromium changes it before `iceConnectionState`.
    if (pc.sctp?.transport.state === "failed") fail();
  }

  /** Whether a track of this kind is sent that is neither ended nor turned off, here or on the device. */
  function isOn(kind: string): boolean {
    return pc.getTransceivers().some(({ sender: { track } }) => {
      return track?.kind === kind && track.readyState === "live" && track.enabled && !track.muted;
    });
  }

  function tellMedia(): void {
    if (ended.aborted || channel.readyState !== "open") return;
    for (const { sender } of pc.getTransceivers()) {
      const { track } = sender;
      if (!track || watched.has(track)) continue;
      watched.add(track);
      for (const event of ["ended", "mute", "unmute"])
        track.addEventListener(event, tellMedia, { signal: ended });
    }
    const frame = encodeWord({ type: "media", audio: isOn("audio"), video: isOn("video") });
    if (frame === undefined || frame === toldMedia) return;
    toldMedia = frame;
    channel.send(frame);
  }

  /** The tracks that the room's mode lets this peer send. */
  function sendable(stream: MediaStream | undefined): MediaStreamTrack[] {
    return stream?.getTracks().filter(({ kind }) => mediaIn[mode].includes(kind)) ?? [];
  }

  /** Takes a track of the partner's, unless it is of a kind that the room's mode has not: that is never received. */
  function show(track: MediaStreamTrack, transceiver: RTCRtpTransceiver): void {
    if (mediaIn[mode].includes(track.kind)) return remote.addTrack(track);
    track.stop();
    transceiver.direction = "inactive";
  }

  function hear(frame: unknown): void {
    const word = decodeWord(frame);
    if (word !== undefined) listener.word(word);
  }

  function fail(fault?: unknown): void {
    if (ended.aborted) return;
    end();
    listener.failed(fault);
  }

  function end(): void {
    if (ended.aborted) return;
    ending.abort();
    path.stop();
    pc.close();
    for (const track of remote.getTracks()) {
      track.stop();
      remote.removeTrack(track);
    }
  }

  return {
    roomId,
    remote,
    get established() {
      return established;
    },
    get alive() {
      return established && channel.readyState === "open";
    },
    receive(signal) {
      if (!ended.aborted && signal.roomId === roomId) receive(signal);
    },
    repeatOffer() {
      if (pc.signalingState === "have-local-offer") sendDescription();
    },
    async replaceTracks(stream) {
      for (const kind of ["audio", "video"] as const) {
        if (ended.aborted) return;
        const track = sendable(stream).find((own) => own.kind === kind);
        // Looked up each time: what another call of this has added meanwhile is used, not added again.
        const used = pc
          .getTransceivers()
          .find(
            ({ sender, receiver, direction }) =>
              direction !== "stopped" &&
              receiver.track.kind === kind &&
              (sender.track !== null || direction.startsWith("send")),
          );
        if (used) await used.sender.replaceTrack(track ?? null);
        else if (track && stream) pc.addTrack(track, stream);
      }
      tellMedia();
    },
    mediaChanged: tellMedia,
    send(word) {
      const frame = encodeWord(word);
      if (frame === undefined || channel.readyState !== "open") return false;
      if (channel.bufferedAmount > chatBufferedBytesMax) return false;
      channel.send(frame);
      return true;
    },
    async stats() {
      if (ended.aborted) return undefined;
      const { reading, counters: now } = readCallStats(
        await pc.getStats(),
        counters,
        performance.now(),
      );
      if (ended.aborted) return undefined;
      counters = now;
      return reading;
    },
    wake: () => path.wake(),
    end,
  };
}

/** What tells one generation of ICE from another (RFC 8839, 5.4). */
function ufragOf(sdp: string): string | undefined {
  return /a=ice-ufrag:([\w+/]+)/.exec(sdp)?.[1];
}

/** Kinds of tracks that a room of a mode has. */
const mediaIn: Record<Mode, readonly string[]> = {
  video: ["audio", "video"],
  audio: ["audio"],
  text: [],
};

/** Opens the chat's channel, negotiated out of band with a fixed id: there from the first offer on, on both ends. */
function openChannel(pc: RTCPeerConnection): RTCDataChannel {
  try {
    return pc.createDataChannel("chat", { negotiated: true, id: 0 });
  } catch (fault) {
    pc.close();
    throw fault;
  }
}

/** Candidates kept until the description they belong to; a browser makes fewer than 50. */
const EARLY_CANDIDATES_MAX = 200;

/** Leaves absent fields absent, as the platform's dictionary tells `undefined` and missing apart. */
function asInit({
  candidate,
  sdpMid,
  sdpMLineIndex,
  usernameFragment,
}: Candidate): RTCIceCandidateInit {
  return {
    candidate,
    ...(sdpMid !== undefined && { sdpMid }),
    ...(sdpMLineIndex !== undefined && { sdpMLineIndex }),
    ...(usernameFragment !== undefined && { usernameFragment }),
  };
}
