/** Standing offers: a peer that waits has its connection and offer ready, for whoever is paired with it. */
import { limits, type Candidate, type IceServer, type Mode, type RoomTerms } from "../protocol.ts";
import { openCallConnection, type CallConnection } from "./call-connection.ts";
import type { Rtc } from "./call.ts";
import type { Connection, IceAnswer } from "./connection.ts";
import { readCandidate } from "./negotiation.ts";
import { isUnknownProcedure } from "./refusal.ts";

/** Whoever is paired at once on entering the lobby prepares nothing. */
const BEGIN_MS = 200;
/** The offer is left with the server by then, with the candidates that there are. Those that come later follow at the end. */
const GATHER_MS_MAX = 1000;
/** It is renewed before TURN credentials expire: a server's own are valid for 300 s unless it is set otherwise. */
const RENEW_MS = 240_000;
/** The time between two preparations for one ticket doubles up to this. */
const BACKOFF_MS_MAX = 60_000;

/** What the offer of a peer that waits is for. */
export interface StandingWish {
  readonly mode: Mode;
  readonly relayOnly: boolean;
  /** The server can be reached. */
  readonly isReachable: boolean;
}

/** A connection in the state `have-local-offer`, and its offer. */
export interface PreparedOffer {
  readonly connection: CallConnection;
  readonly sdp: string;
  /** All that have been gathered. */
  readonly candidates: readonly Candidate[];
  /** How many of them the server certainly has. */
  readonly published: number;
}

/** What standing offers are made of. */
export interface StandingOffersParts {
  connection: Pick<Connection, "call">;
  rtc: Rtc;
  /** The page's own. */
  iceServers: IceServer[] | undefined;
  /** The server's, for a peer that waits, in a bounded time; undefined if it does not answer. Must not reject. */
  fetchIceServers(): Promise<IceAnswer | undefined>;
  /** What would be sent in a call. */
  local(): MediaStream | undefined;
}

interface Preparation extends PreparedOffer {
  readonly wish: StandingWish;
  /** As wished, or as the server has it for all rooms. */
  readonly relayOnly: boolean;
  /** Empty until the offer is made. */
  sdp: string;
  candidates: Candidate[];
  published: number;
  /** Is being taken back, to be replaced. Used nevertheless if a partner is found by then. */
  isOutdated: boolean;
}

/**
 * Keeps an offer with the server (`standby`) while the peer waits: at most one at a time, and one connection.
 *
 * A new offer is made only after the server has confirmed that it dropped the one before, so that it is always known which
 * offer a partner has received. Nothing is made while the page is hidden.
 */
export class StandingOffers {
  readonly #parts: StandingOffersParts;
  #wish: StandingWish | undefined;
  #current: Preparation | undefined;
  /** For whatever is due next: to begin, to publish, or to renew. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Counts beginnings and ends: a preparation that waits for ICE servers is abandoned when another one is due. */
  #turn = 0;
  /** Preparations for this ticket. */
  #tries = 0;
  #isHidden = false;
  /** The server does not know `standby`. */
  #isUnknown = false;

  constructor(parts: StandingOffersParts) {
    this.#parts = parts;
  }

  /** The peer waits with this wish; undefined if it does not wait, or in a mode without media. */
  update(wish: StandingWish | undefined): void {
    const before = this.#wish;
    const isSame = before?.mode === wish?.mode && before?.relayOnly === wish?.relayOnly;
    if (isSame && before?.isReachable === wish?.isReachable) return;
    this.#wish = wish;
    if (!wish) {
      this.#tries = 0;
      return this.#drop();
    }
    clearTimeout(this.#timer);
    if (!wish.isReachable) return;
    if (!this.#current) return this.#schedule();
    const { wish: made, isOutdated } = this.#current;
    if (isOutdated || made.mode !== wish.mode || made.relayOnly !== wish.relayOnly) this.renew();
    // The server drops the offer of a peer whose connection was lost.
    else void this.#publish();
  }

  /** Replaces the offer: after a change of network, of what is sent, or of credentials. */
  renew(): void {
    const current = this.#current;
    if (!current) return;
    current.isOutdated = true;
    clearTimeout(this.#timer);
    if (!this.#wish?.isReachable) return;
    const isCurrent = () => this.#current === current;
    this.#parts.connection.call("standby", { offer: null }).then(
      () => {
        if (!isCurrent()) return;
        this.#drop();
        this.#schedule();
      },
      () => {
        if (isCurrent()) this.#later(() => this.renew());
      },
    );
  }

  /** What is sent has changed. Only tracks of other kinds need another offer. */
  tracksChanged(): void {
    const local = this.#parts.local();
    const tracks = this.#current?.connection.tracks;
    if (tracks?.hasKindsOf(local)) tracks.replace(local).catch(() => {});
    else this.renew();
  }

  setHidden(isHidden: boolean): void {
    this.#isHidden = isHidden;
    if (!isHidden && !this.#current) this.#schedule();
  }

  /** The prepared offer, for the call in a room; undefined without one that suits it. It belongs to the caller then. */
  take(room: Pick<RoomTerms, "mode" | "relayOnly">): PreparedOffer | undefined {
    const current = this.#current;
    if (!current?.sdp || current.wish.mode !== room.mode) return undefined;
    // It has candidates that the partner must not see, and would send packets from them.
    if (room.relayOnly && !current.relayOnly) return undefined;
    clearTimeout(this.#timer);
    this.#current = undefined;
    return current;
  }

  #drop(): void {
    this.#turn += 1;
    clearTimeout(this.#timer);
    this.#current?.connection.close();
    this.#current = undefined;
  }

  #schedule(): void {
    this.#turn += 1;
    if (!this.#wish?.isReachable || this.#isHidden || this.#isUnknown) return;
    this.#later(() => void this.#prepare());
  }

  #later(begin: () => void): void {
    clearTimeout(this.#timer);
    const delayMs =
      this.#tries === 0 ? BEGIN_MS : Math.min(BACKOFF_MS_MAX, 1000 * 2 ** this.#tries);
    this.#tries += 1;
    this.#timer = setTimeout(begin, delayMs);
  }

  async #prepare(): Promise<void> {
    const { rtc, fetchIceServers, local } = this.#parts;
    const turn = this.#turn;
    const wish = this.#wish;
    if (!wish || this.#isHidden) return;
    const answer = await fetchIceServers();
    if (turn !== this.#turn) return;
    if (!answer) return this.#schedule();
    const relayOnly = wish.relayOnly || answer.relayOnly === true;
    const iceServers = this.#parts.iceServers ?? answer.iceServers;
    try {
      const connection = openCallConnection(
        rtc,
        { mode: wish.mode, relayOnly, iceServers },
        local(),
      );
      const current = { wish, connection, sdp: "", published: 0, isOutdated: false };
      this.#current = { ...current, relayOnly, candidates: [] };
      await this.#offer(this.#current);
    } catch {
      // A call would fail in the same way, and says so.
      if (turn === this.#turn) this.#drop();
    }
  }

  async #offer(current: Preparation): Promise<void> {
    const { pc } = current.connection;
    pc.addEventListener("icecandidate", ({ candidate }) => {
      if (this.#current !== current) return;
      if (candidate) current.candidates.push(readCandidate(candidate));
      else void this.#publish();
    });
    await pc.setLocalDescription();
    if (this.#current !== current) return;
    current.sdp = pc.localDescription?.sdp ?? "";
    this.#timer = setTimeout(() => void this.#publish(), GATHER_MS_MAX);
  }

  async #publish(): Promise<void> {
    const current = this.#current;
    if (!current?.sdp || current.isOutdated || !this.#wish?.isReachable) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.renew(), RENEW_MS);
    const { sdp } = current;
    const candidates = current.candidates.slice(0, limits.standingCandidatesMax);
    try {
      const offer = { sdp, candidates };
      const { kept } = await this.#parts.connection.call("standby", { offer });
      if (kept) current.published = candidates.length;
    } catch (error) {
      // What was lost with the connection is sent again when the server can be reached.
      this.#isUnknown ||= isUnknownProcedure(error);
      if (this.#isUnknown) this.#drop();
    }
  }
}
