/** ICE restarts of a call, with new TURN credentials on both sides. */
import type { IceServer, Signal } from "../protocol.ts";

/** Limit for signals that wait behind an offer. */
const HELD_SIGNALS_MAX = 200;

/** What an ICE restart is made of. */
export interface IceRestartParts {
  pc: RTCPeerConnection;
  /** That with which the connection was created. (react-native-webrtc has no `getConfiguration`.) */
  configuration: RTCConfiguration & { iceServers: IceServer[] };
  /** See `CallParts.fetchIceServers`. */
  fetchIceServers(): Promise<IceServer[] | undefined>;
  /** An offer of the partner restarts ICE. */
  onPartnerRestart(): void;
  /** Applies a signal of the partner. */
  apply(signal: Signal): void;
  /** Aborted when the call ends. */
  ended: AbortSignal;
}

/**
 * Restarts ICE with valid credentials.
 *
 * TURN credentials are short-lived, and a restart needs new allocations. Before a restart of this peer, and before the
 * answer to a restart of the partner, new credentials are requested if the ICE servers have any.
 */
export class IceRestart {
  readonly #parts: IceRestartParts;
  readonly #hasCredentials: boolean;
  /** Counts requests and cancellations: a restart that was superseded while it waited for credentials is not done. */
  #requests = 0;
  /** Signals behind an offer that waits for credentials, in order. */
  #held: Signal[] | undefined;

  constructor(parts: IceRestartParts) {
    this.#parts = parts;
    this.#hasCredentials = parts.configuration.iceServers.some(
      ({ username }) => username !== undefined,
    );
  }

  async restart(): Promise<void> {
    const request = ++this.#requests;
    if (this.#hasCredentials) await this.#renewCredentials();
    if (request === this.#requests && !this.#parts.ended.aborted) this.#parts.pc.restartIce();
  }

  /** Cancels a restart that still waits for credentials. */
  cancel(): void {
    this.#requests += 1;
  }

  /** Applies a signal of the partner: immediately, or after the credentials that its answer needs have been renewed. */
  receive(signal: Signal): void {
    const { apply, ended, onPartnerRestart } = this.#parts;
    if (this.#held) {
      if (this.#held.length < HELD_SIGNALS_MAX) this.#held.push(signal);
      return;
    }
    if (!this.#isRestart(signal)) return apply(signal);
    onPartnerRestart();
    if (!this.#hasCredentials) return apply(signal);
    this.#held = [];
    void this.#renewCredentials().then(() => {
      const held = this.#held ?? [];
      this.#held = undefined;
      if (ended.aborted) return;
      apply(signal);
      for (const next of held) this.receive(next);
    });
  }

  /** The next gathering uses credentials that are valid now. */
  async #renewCredentials(): Promise<void> {
    const { pc, configuration, ended, fetchIceServers } = this.#parts;
    const iceServers = await fetchIceServers();
    if (ended.aborted || !iceServers) return;
    try {
      pc.setConfiguration({ ...configuration, iceServers });
    } catch {
      // The restart uses the previous ones.
    }
  }

  /** Whether an offer restarts ICE (RFC 8839, 4.4.1.1.1). The first offer of a call does not. */
  #isRestart(signal: Signal): boolean {
    const current = this.#parts.pc.remoteDescription;
    const ufrag = current && ufragOf(current.sdp);
    return signal.type === "offer" && !!ufrag && ufragOf(signal.sdp) !== ufrag;
  }
}

/** The ICE user name fragment, which identifies an ICE generation (RFC 8839, 5.4). */
function ufragOf(sdp: string): string | undefined {
  return /a=ice-ufrag:([\w+/]+)/.exec(sdp)?.[1];
}
