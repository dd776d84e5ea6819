/**
 * Perfect negotiation of one peer connection (W3C WebRTC 1.0, 10.7): collisions of offers, rollbacks, early candidates.
 */
import type { PreparedOffer } from "./call-connection.ts";
import type { Candidate, Signal, StandingOffer } from "../protocol.ts";
import type { Timers } from "./platform.ts";

/** Limit for candidates that arrive before a description; a browser gathers fewer than 50. */
const EARLY_CANDIDATES_MAX = 200;

/** A partner that has received a standing offer answers within this time; else it is sent as an ordinary offer. */
const ANSWER_MS_MAX = 2000;

/** What a negotiation does. */
export interface NegotiationActions {
  /** Sends a signal to the partner. */
  signal(signal: Signal): void;
  /**
   * An offer or answer could not be applied or created. `fault` is what this browser threw; absent if the partner's
   * description was invalid.
   */
  failed(fault?: unknown): void;
}

/**
 * Perfect negotiation (W3C WebRTC 1.0, 10.7): offers may collide at any time after the first one, and the impolite peer's
 * offer wins. The first offer is always that of the impolite peer, so that no room begins with a collision.
 */
export class Negotiation {
  readonly #pc: RTCPeerConnection;
  readonly #roomId: string;
  readonly #polite: boolean;
  readonly #actions: NegotiationActions;
  readonly #ended: AbortSignal;

  #isMakingOffer = false;
  #isSettingRemoteAnswer = false;
  /** A remote description has been passed to the connection, whether or not that has completed. */
  #hasRemoteDescription = false;
  readonly #earlyCandidates: Candidate[] = [];
  /** The prepared offer of this peer, until it is answered. */
  #prepared: string | undefined;
  /** The standing offer of the partner that was answered, until it arrives once more. */
  #standing: string | undefined;

  /** @param ended - aborted when the call ends; nothing is signaled after that. */
  constructor(
    pc: RTCPeerConnection,
    { roomId, polite }: { roomId: string; polite: boolean },
    actions: NegotiationActions,
    ended: AbortSignal,
  ) {
    this.#pc = pc;
    this.#roomId = roomId;
    this.#polite = polite;
    this.#actions = actions;
    this.#ended = ended;
    pc.addEventListener("negotiationneeded", () => void this.#offer(), { signal: ended });
    pc.addEventListener("icecandidate", ({ candidate }) => this.#sendCandidate(candidate), {
      signal: ended,
    });
  }

  /**
   * Uses the offer that the connection has made already.
   *
   * @param isDelivered - the partner has received it. It is sent nevertheless if no answer arrives in time.
   */
  sendPrepared(
    { sdp, candidates, published }: PreparedOffer,
    isDelivered: boolean,
    timers: Timers,
  ): void {
    this.#prepared = sdp;
    if (!isDelivered) this.repeatOffer();
    for (const candidate of candidates.slice(isDelivered ? published : 0))
      this.#signalCandidate(candidate);
    timers.setTimeout(() => this.repeatOffer(), ANSWER_MS_MAX);
  }

  /** Answers a standing offer of the partner. If it is invalid nothing is done: the partner sends it again as a signal. */
  answerStanding({ sdp, candidates }: StandingOffer): void {
    this.#standing = sdp;
    void this.#applyDescription("offer", sdp);
    for (const candidate of candidates) void this.#addCandidate(candidate);
  }

  /** Applies a signal of the partner. */
  receive(signal: Signal): void {
    if (signal.type !== "add-ice-candidate") {
      if (signal.sdp !== this.#standing)
        return void this.#applyDescription(signal.type, signal.sdp);
      // Once only: one that comes again means that the answer may not have arrived.
      this.#standing = undefined;
      return;
    }
    if (this.#hasRemoteDescription) void this.#addCandidate(signal.candidate);
    else if (this.#earlyCandidates.length < EARLY_CANDIDATES_MAX)
      this.#earlyCandidates.push(signal.candidate);
  }

  /** Sends the offer again that has no answer yet. A partner that receives it twice answers it twice. */
  repeatOffer(): void {
    if (this.#pc.signalingState === "have-local-offer") this.#sendDescription(this.#prepared);
  }

  async #offer(): Promise<void> {
    if (this.#polite && !this.#hasRemoteDescription) return;
    try {
      this.#isMakingOffer = true;
      await this.#pc.setLocalDescription();
      this.#sendDescription();
    } catch (fault) {
      // With a remote offer there was a collision: `negotiationneeded` fires again if an offer is still necessary.
      // Otherwise this browser cannot create an offer.
      if (this.#pc.signalingState !== "have-remote-offer") this.#actions.failed(fault);
    } finally {
      this.#isMakingOffer = false;
    }
  }

  /** @param sdp - instead of the current text, which may have got more candidates since. */
  #sendDescription(sdp = this.#pc.localDescription?.sdp): void {
    const type = this.#pc.localDescription?.type;
    if (this.#ended.aborted || sdp === undefined) return;
    if (type === "offer" || type === "answer")
      this.#actions.signal({ type, roomId: this.#roomId, sdp });
  }

  async #applyDescription(type: "offer" | "answer", sdp: string): Promise<void> {
    const pc = this.#pc;
    if (type === "offer" && !this.#polite && !this.#isReadyForOffer()) return;
    // An offer that was sent twice is answered twice.
    if (type === "answer" && pc.signalingState !== "have-local-offer") return;
    let isAnswering = false;
    try {
      this.#isSettingRemoteAnswer = type === "answer";
      this.#hasRemoteDescription = true;
      // On a collision this rolls the own offer back implicitly.
      const applied = pc.setRemoteDescription({ type, sdp });
      for (const candidate of this.#earlyCandidates.splice(0)) void this.#addCandidate(candidate);
      await applied;
      this.#isSettingRemoteAnswer = false;
      if (type === "answer") {
        this.#prepared = undefined;
        return;
      }
      isAnswering = true;
      await pc.setLocalDescription();
      this.#sendDescription();
    } catch (fault) {
      this.#isSettingRemoteAnswer = false;
      if (!isAnswering && sdp === this.#standing) {
        this.#standing = undefined;
        this.#hasRemoteDescription = false;
        return;
      }
      // The partner's description may be anything. An answer that cannot be created is a fault of this browser.
      this.#actions.failed(isAnswering ? fault : undefined);
    }
  }

  #isReadyForOffer(): boolean {
    if (this.#isMakingOffer) return false;
    return this.#pc.signalingState === "stable" || this.#isSettingRemoteAnswer;
  }

  async #addCandidate(candidate: Candidate): Promise<void> {
    try {
      // The connection processes it after the description that is being set.
      await this.#pc.addIceCandidate(toCandidateInit(candidate));
    } catch {
      // It belongs to an ignored offer or an earlier ICE generation, or is invalid. The call continues without it.
    }
  }

  #sendCandidate(candidate: RTCIceCandidate | null): void {
    // `null` means that gathering is complete, and is only for this peer. The empty string ends one generation, and is
    // for the partner as well (W3C WebRTC 1.0, 4.8.1.2).
    if (candidate) this.#signalCandidate(readCandidate(candidate));
  }

  #signalCandidate(candidate: Candidate): void {
    this.#actions.signal({ type: "add-ice-candidate", roomId: this.#roomId, candidate });
  }
}

/** What the partner is sent of a candidate. */
export function readCandidate(candidate: RTCIceCandidate): Candidate {
  const { candidate: line, sdpMid, sdpMLineIndex, usernameFragment } = candidate;
  return { candidate: line, sdpMid, sdpMLineIndex, usernameFragment };
}

/** Omits absent fields, because Web IDL dictionaries distinguish a missing member from `null`. */
function toCandidateInit({
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
