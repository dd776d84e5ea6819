/** Standing offers: while a peer waits, its connection and offer are ready for its next partner. */
import {
  limits,
  type Candidate,
  type IceAnswer,
  type IceServer,
  type Mode,
  type RoomTerms,
  type StandingOffer,
} from "../protocol.ts";
import { openCallConnection, type PreparedOffer } from "./call-connection.ts";
import type { MediaSettings } from "./media-settings.ts";
import type { Connection } from "./connection.ts";
import { readCandidate } from "./negotiation.ts";
import type { Timer, Timers, Rtc } from "./platform.ts";
import { readRefusal } from "./refusal.ts";

/** Whoever is paired at once on entering the lobby prepares nothing. */
const BEGIN_MS = 200;
/** The offer is left with the server by then, with the candidates that there are. Those that come later follow at the end. */
const GATHER_MS_MAX = 1000;
/** It is renewed before TURN credentials expire: a server's own are valid for 300 s unless it is set otherwise. */
const RENEW_MS_MAX = 240_000;
/** The time between two preparations for one ticket doubles up to this. */
const BACKOFF_MS_MAX = 60_000;

/** What standing offers are made of. */
export interface StandingOffersParts {
  connection: Pick<Connection, "call">;
  rtc: Rtc;
  timers: Timers;
  settings: MediaSettings | undefined;
  /** The page's own. */
  iceServers: IceServer[] | undefined;
  /** The server's, for a peer that waits, in a bounded time; undefined if it does not answer. Must not reject. */
  fetchIceServers(): Promise<IceAnswer | undefined>;
}

/** What an offer is for, and what it sends. */
export interface StandingTerms extends Pick<RoomTerms, "mode" | "relayOnly"> {
  local: MediaStream | undefined;
}

interface Preparation extends PreparedOffer {
  /** Of its terms; empty once it is outdated. Until it is taken back it is used nevertheless. */
  key: string;
  readonly mode: Mode;
  /** As asked for, or as the server has it for all rooms. */
  readonly relayOnly: boolean;
  /** Empty until the offer is made. */
  sdp: string;
  candidates: Candidate[];
  published: number;
  readonly renewAfterMs: number;
}

/**
 * Keeps an offer with the server (`standby`) while the peer waits: at most one at a time, and one connection.
 *
 * Another offer is made only after the server has confirmed that it dropped the one before, so that it is always known
 * which offer a partner has received. Nothing is made while the page is hidden.
 */
export class StandingOffers {
  readonly #parts: StandingOffersParts;
  #terms: StandingTerms | undefined;
  /** What of the terms needs another offer when it changes; empty without terms. */
  #key = "";
  #isReachable = false;
  #isHidden = false;
  /** The server does not know `standby`, or fails at it. */
  #isRefused = false;
  #current: Preparation | undefined;
  /** For whatever is due next: to prepare, to publish, or to renew. */
  #timer: Timer | undefined;
  /** A preparation that waits for ICE servers is abandoned when this changes. */
  #turn = 0;
  /** Preparations for this ticket. */
  #tries = 0;

  constructor(parts: StandingOffersParts) {
    this.#parts = parts;
  }

  /** @param terms - of the room that the peer waits for; undefined if it does not wait, or for a room without media. */
  update(terms: StandingTerms | undefined, isReachable: boolean): void {
    const key = terms ? [terms.mode, terms.relayOnly, ...kindsOf(terms.local)].join() : "";
    const isSame = key === this.#key && isReachable === this.#isReachable;
    this.#terms = terms;
    this.#key = key;
    this.#isReachable = isReachable;
    if (isSame) return;
    if (terms) return this.#proceed();
    this.#tries = 0;
    this.#drop();
  }

  /** Replaces the offer: after a change of network, or before credentials expire. */
  renew(): void {
    if (!this.#current?.key) return;
    this.#current.key = "";
    this.#proceed();
  }

  setHidden(isHidden: boolean): void {
    this.#isHidden = isHidden;
    if (!this.#current) this.#proceed();
  }

  /** The prepared offer, for the call in a room; undefined without one that suits it. It belongs to the caller then. */
  take(room: Pick<RoomTerms, "mode" | "relayOnly">): PreparedOffer | undefined {
    const current = this.#current;
    if (!current?.sdp || current.mode !== room.mode) return undefined;
    // It would send packets from addresses that the partner must not see.
    if (room.relayOnly && !current.relayOnly) return undefined;
    this.#current = undefined;
    return current;
  }

  #drop(): void {
    this.#stopWaiting();
    this.#current?.connection.close();
    this.#current = undefined;
  }

  #stopWaiting(): void {
    this.#turn += 1;
    this.#parts.timers.clearTimeout(this.#timer);
  }

  #wait(ms: number, next: () => void): void {
    this.#parts.timers.clearTimeout(this.#timer);
    this.#timer = this.#parts.timers.setTimeout(next, ms);
  }

  /** Does what is due. */
  #proceed(): void {
    this.#stopWaiting();
    if (!this.#terms || !this.#isReachable || this.#isRefused) return;
    if (this.#current?.key === this.#key) void this.#publish(this.#current);
    else if (this.#current) void this.#takeBack(this.#current);
    else if (!this.#isHidden) this.#backOff(() => void this.#prepare());
  }

  #backOff(next: () => void): void {
    const ms = this.#tries === 0 ? BEGIN_MS : Math.min(BACKOFF_MS_MAX, 1000 * 2 ** this.#tries);
    this.#tries += 1;
    this.#wait(ms, next);
  }

  async #prepare(): Promise<void> {
    const turn = this.#turn;
    const answer = await this.#parts.fetchIceServers();
    const terms = this.#terms;
    if (turn !== this.#turn || !terms) return;
    if (!answer) return this.#proceed();
    const { rtc, settings, iceServers = answer.iceServers } = this.#parts;
    const { mode, local } = terms;
    const relayOnly = terms.relayOnly || answer.relayOnly === true;
    let current: Preparation | undefined;
    try {
      const connection = openCallConnection(rtc, { mode, relayOnly, iceServers }, local, settings);
      const made = { key: this.#key, mode, relayOnly, connection, sdp: "", published: 0 };
      const renewAfterMs = Math.min(answer.renewAfterMs ?? RENEW_MS_MAX, RENEW_MS_MAX);
      this.#current = current = { ...made, renewAfterMs, candidates: [] };
      await this.#offer(current);
    } catch {
      // A call would fail in the same way, and says so.
      if (this.#current === current) this.#drop();
    }
  }

  async #offer(current: Preparation): Promise<void> {
    const { pc } = current.connection;
    pc.addEventListener("icecandidate", ({ candidate }) => {
      if (this.#current !== current) return;
      if (candidate) current.candidates.push(readCandidate(candidate));
      else this.#proceed();
    });
    await pc.setLocalDescription();
    if (this.#current !== current) return;
    current.sdp = pc.localDescription?.sdp ?? "";
    this.#wait(GATHER_MS_MAX, () => this.#proceed());
  }

  async #publish(current: Preparation): Promise<void> {
    const { sdp } = current;
    if (!sdp) return;
    this.#wait(current.renewAfterMs, () => this.renew());
    const candidates = current.candidates.slice(0, limits.standingCandidatesMax);
    if (await this.#standBy({ sdp, candidates })) current.published = candidates.length;
  }

  async #takeBack(current: Preparation): Promise<void> {
    const kept = await this.#standBy(null);
    if (this.#current !== current) return;
    if (kept === undefined) return this.#backOff(() => this.#proceed());
    this.#drop();
    this.#proceed();
  }

  /** Undefined if the server did not do it. What was lost with the connection is due again when the server can be reached. */
  async #standBy(offer: StandingOffer | null): Promise<boolean | undefined> {
    try {
      const { kept } = await this.#parts.connection.call("standby", { offer });
      return kept;
    } catch (error) {
      if (readRefusal(error).kind !== "server-fault") return undefined;
      this.#isRefused = true;
      this.#drop();
      return undefined;
    }
  }
}

function kindsOf(stream: MediaStream | undefined): string[] {
  return stream?.getTracks().map(({ kind }) => kind) ?? [];
}
