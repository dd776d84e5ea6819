/** Chooses between WebSocket and plain HTTP: falls back where the network cuts WebSockets, and goes back when it does not. */
import { RpcSocket, STEADY_MS, type RpcSocketParts } from "./rpc-socket.ts";
import type { Timer } from "./platform.ts";
import type { PeerStreamError } from "./state.ts";
import type { Transport } from "./transport.ts";

/** While the events arrive over HTTP, a WebSocket is tried after this time, then ever more rarely (milliseconds; at least half of it). */
const PROBE_MS_MIN = 30_000;
const PROBE_MS_MAX = 600_000;
/** While they do not, and after the network has changed, it is tried after this time (milliseconds). */
const PROBE_MS_URGENT = 10_000;
/** A move to another transport that has not succeeded within this time is given up (milliseconds). */
const MOVE_MS_MAX = 10_000;

/** What a choice of transport reports. Nothing is reported after `end()`. */
export interface TransportListener {
  /** A socket of the current transport opened, possibly to replace one that still works. */
  opened(): void;
  /** `current` is another transport. The previous one does not work, and is ended when this returns. */
  replaced(): void;
  /** WebSockets work again, as does `current`. The listener moves its stream there, then calls `completeMove`. */
  move(transport: Transport): void;
  /** The transport that was to be moved to does not work after all. */
  moveFailed(): void;
  /** The server cannot be used, and trying again does not help. */
  failed(error: PeerStreamError): void;
}

/**
 * The transport in use. It begins with a WebSocket, and falls back to HTTP when that reports that it is blocked.
 *
 * On HTTP it tries a WebSocket now and then. One that stays open for 15 s is moved to, because a network that cuts
 * WebSockets may let them open first; while no events arrive over HTTP, one that opens is enough.
 */
export class TransportChoice {
  /** The `ws:` or `wss:` URL of tRPC's endpoint. */
  readonly url: string;
  readonly #parts: RpcSocketParts;
  readonly #listener: TransportListener;
  #current: Transport;
  /** The previous transport, which still answers the calls that were made on it. */
  #previous: Transport | undefined;
  #candidate: RpcSocket | undefined;
  /** Ends the candidate, or moves to it. */
  #candidateTimer: Timer | undefined;
  #probeTimer: Timer | undefined;
  #probeAtMs = Infinity;
  /** Failed probes in a row. */
  #probes = 0;
  /** Events or answers arrive over the current transport. */
  #isWorking = false;
  #isFallingBack = false;
  #isEnded = false;

  constructor(parts: RpcSocketParts, listener: TransportListener) {
    this.url = parts.url;
    this.#parts = parts;
    this.#listener = listener;
    this.#current = this.#openSocket();
  }

  get current(): Transport {
    return this.#current;
  }

  /** An event or answer has arrived over the current transport. */
  confirm(): void {
    this.#isWorking = true;
    this.#current.confirm();
  }

  /** The stream of events on the current transport has ended. */
  streamLost(): void {
    this.#isWorking = false;
    if (this.#current.kind === "http") this.#probeWithin(PROBE_MS_URGENT);
  }

  /** The machine was asleep, or its network has changed. */
  renew(): void {
    this.#current.renew();
    if (this.#current.kind !== "http") return;
    this.#probes = 0;
    this.#probeWithin(PROBE_MS_URGENT);
  }

  /** The stream has been moved to the transport that `move` was called with. */
  completeMove(): void {
    if (!this.#candidate) return;
    this.#parts.timers.clearTimeout(this.#candidateTimer);
    this.#previous = this.#current;
    this.#current = this.#candidate;
    this.#candidate = undefined;
    this.#probes = 0;
  }

  /** The stream cannot be moved there. */
  abandonMove(): void {
    const candidate = this.#candidate;
    if (!candidate) return;
    this.#parts.timers.clearTimeout(this.#candidateTimer);
    this.#candidate = undefined;
    this.#listener.moveFailed();
    candidate.end();
    const pauseMs = Math.min(PROBE_MS_MAX, PROBE_MS_MIN * 2 ** ++this.#probes);
    this.#probeWithin(this.#isWorking ? pauseMs : PROBE_MS_URGENT);
  }

  end(): void {
    this.#isEnded = true;
    this.#parts.timers.clearTimeout(this.#candidateTimer);
    this.#parts.timers.clearTimeout(this.#probeTimer);
    for (const transport of [this.#current, this.#previous, this.#candidate]) transport?.end();
    this.#candidate = undefined;
  }

  #openSocket(): RpcSocket {
    const socket: RpcSocket = new RpcSocket(this.#parts, {
      opened: () => {
        if (socket === this.#candidate) this.#onCandidateOpen();
        else if (socket === this.#current) this.#listener.opened();
      },
      closed: () => {
        if (socket === this.#candidate) this.abandonMove();
      },
      blocked: () => {
        if (socket === this.#current) void this.#fallBack(socket);
      },
      failed: (error) => {
        if (socket === this.#candidate) this.abandonMove();
        else if (socket === this.#current) this.#listener.failed(error);
      },
    });
    return socket;
  }

  async #fallBack(blocked: RpcSocket): Promise<void> {
    if (this.#isFallingBack) return;
    this.#isFallingBack = true;
    try {
      // Few need it. What can't be loaded now is tried again when the next socket is blocked.
      const { RpcHttp } = await import("./rpc-http.ts");
      if (blocked !== this.#current || this.#isEnded) return;
      this.#replace(new RpcHttp(this.#parts));
      this.#probeWithin(PROBE_MS_MIN);
    } catch {
    } finally {
      this.#isFallingBack = false;
    }
  }

  #replace(transport: Transport): void {
    const previous = this.#current;
    this.#current = transport;
    this.#isWorking = false;
    this.#probes = 0;
    this.#listener.replaced();
    previous.end();
  }

  /** Tries a WebSocket after half of `ms` to `ms`, at the latest. */
  #probeWithin(ms: number): void {
    if (this.#candidate) return;
    const delayMs = ms * (0.5 + this.#parts.random() / 2);
    const atMs = performance.now() + delayMs;
    if (atMs >= this.#probeAtMs) return;
    this.#probeAtMs = atMs;
    this.#parts.timers.clearTimeout(this.#probeTimer);
    this.#probeTimer = this.#parts.timers.setTimeout(() => {
      this.#probeAtMs = Infinity;
      this.#candidate = this.#openSocket();
      // A wrong URL is not looked for any more.
      this.#candidate.confirm();
    }, delayMs);
  }

  #onCandidateOpen(): void {
    this.#parts.timers.clearTimeout(this.#candidateTimer);
    this.#candidateTimer = this.#parts.timers.setTimeout(
      () => this.#move(),
      this.#isWorking ? STEADY_MS : 0,
    );
  }

  #move(): void {
    const candidate = this.#candidate;
    if (!candidate) return;
    if (this.#isWorking) {
      this.#candidateTimer = this.#parts.timers.setTimeout(() => this.abandonMove(), MOVE_MS_MAX);
      return this.#listener.move(candidate);
    }
    this.#candidate = undefined;
    this.#replace(candidate);
  }
}
