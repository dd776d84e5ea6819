/**
 * The entry point of the client package: random one-to-one chat in a few calls.
 *
 *     const peer = createPeerStream({ url: "wss://chat.example/trpc" });
 *     peer.subscribe((state) => show(state));
 *     await peer.camera.open();
 *     peer.start({ interests: ["chess"] });
 */
import type { Challenge, IceServer, Mode } from "../protocol.ts";
import type { FactsDeclaration } from "../protocol/declaration.ts";
import type { Rtc } from "./call.ts";
import { createCamera, type Camera, type OwnedCamera } from "./camera.ts";
import { createChallengeSolver } from "./challenge-solver.ts";
import { createConnection } from "./connection.ts";
import { createPagePeer } from "./page-peers.ts";
import { createPeer, type Peer } from "./peer.ts";
import { readEndpointUrl } from "./endpoint-url.ts";
import { detectSleep } from "./sleep-detector.ts";
import type { PeerStreamError } from "./state.ts";
import { createTokenStore, defaultTokenKey, type TokenStorage } from "./token-store.ts";
import type { PeerStream } from "./types.ts";

/** Options of `createPeerStream`. All are optional. */
export interface PeerStreamOptions {
  /**
   * The server's tRPC endpoint: a `ws:`, `wss:`, `http:` or `https:` URL, or a path on the page's own host. Default:
   * `/trpc`.
   */
  url?: string;
  /**
   * What the server's `authenticate` hook gets as `params.auth`, such as a JWT; a function is called at every connect and request. Cookies are
   * sent without this.
   */
  auth?: string | (() => string | undefined | Promise<string | undefined>);
  /**
   * Whether requests over HTTP to another origin carry cookies (Fetch, 5.4). `include` only for a server with an `authenticate` hook: others
   * refuse it. Default: `same-origin`.
   */
  credentials?: RequestCredentials;
  /** Stores the session's token. Default: `sessionStorage`, because a tab is a session. */
  storage?: TokenStorage;
  /**
   * The token's key in that storage. Default: `peer-stream.token`. If another peer stream on the page uses that key
   * already, a number is appended: each one has its own session.
   */
  storageKey?: string;
  /** Stores the chosen camera and microphone. Default: `localStorage`. */
  deviceStorage?: TokenStorage;
  /**
   * Solves a challenge of the server's own hook, such as a captcha: resolves with what the hook has to verify. `signal` is aborted when the
   * search ends before that. Proofs of work are solved without this.
   */
  onChallenge?: (challenge: Challenge, signal: AbortSignal) => Promise<string>;
  /**
   * Creates the worker that solves proofs of work, where the page's Content-Security-Policy allows no worker of a Blob: its script calls
   * `serveSolver`. Default: a worker of a Blob; where that is not allowed, they are solved without a worker.
   */
  challengeWorker?: () => Worker;
  /** Replaces the ICE servers that the server sends. */
  iceServers?: IceServer[];
  /**
   * Whether this peer, while it waits, keeps a connection and an offer ready for whoever is paired with it, so that the call
   * begins sooner. Default: true.
   */
  standingOffers?: boolean;
  /** Replaces the browser's WebRTC, for tests. */
  rtc?: Rtc;
}

/**
 * Creates an idle peer. No browser API is used, and no connection is opened, before `start`, `next`, `counts`, `site`,
 * `sampleFrames` or `camera` is used, so that it may also be created during server-side rendering.
 *
 * @throws TypeError if `url` is malformed.
 */
export function createPeerStream<Declared extends FactsDeclaration = FactsDeclaration>(
  options: PeerStreamOptions = {},
): PeerStream<Declared> {
  readEndpointUrl(options.url, pageUrl());
  const pagePeer = createPagePeer(options.storageKey ?? defaultTokenKey);
  const tokens = createTokenStore(options.storage ?? lazyStorage("sessionStorage"), () =>
    pagePeer.storageKey(),
  );
  const peer = createPeer({
    connection: createConnection({
      url: () => requireEndpointUrl(options.url),
      tokens,
      auth: async () => (typeof options.auth === "function" ? options.auth() : options.auth),
      ...(options.credentials && { credentials: options.credentials }),
    }),
    rtc: options.rtc ?? browserRtc,
    pagePeer,
    solveChallenge: createChallengeSolver(options),
    findUnsupported: (mode) => findUnsupported(options, mode),
    ...(options.iceServers && { iceServers: options.iceServers }),
    standingOffers: options.standingOffers ?? true,
  });
  const closing = new AbortController();
  const observePage = createPageObserver(peer, options, closing.signal);
  const ownCamera = createLazyCamera(peer, options, closing.signal);

  // Closures instead of methods, so that the page may pass them on detached, as event listeners.
  return {
    get state() {
      return peer.state;
    },
    get camera() {
      return ownCamera();
    },
    start(wishes) {
      observePage(wishes?.mode);
      peer.start(wishes);
    },
    next() {
      observePage();
      peer.next();
    },
    stop: () => peer.stop(),
    sendChat: (text) => peer.sendChat(text),
    sendTyping: (typing) => peer.sendTyping(typing),
    replaceTracks: (stream) => peer.replaceTracks(stream),
    setMuted: (muted) => peer.setMuted(muted),
    report: (reason, details) => peer.report(reason, details),
    still: (source) => peer.still(source),
    recentMessages: () => peer.recentMessages(),
    case: (caseId) => peer.case(caseId),
    block: () => peer.block(),
    again: () => peer.again(),
    stats: () => peer.stats(),
    counts: (lobby) => peer.counts(lobby),
    site: () => peer.site(),
    sampleFrames: (sampling) => peer.sampleFrames(sampling),
    subscribe: (listener) => peer.subscribe(listener),
    onEvent: (listener) => peer.onEvent(listener),
    states: () => peer.states(),
    events: () => peer.events(),
    close() {
      closing.abort();
      peer.close();
      pagePeer.release();
    },
  };
}

/** Returns a function that begins, once, to forward the page's lifecycle events to `peer`. */
function createPageObserver(
  peer: Peer,
  options: PeerStreamOptions,
  closing: AbortSignal,
): (mode?: Mode) => void {
  let isObserving = false;
  return (mode) => {
    if (isObserving || closing.aborted || findUnsupported(options, mode)) return;
    isObserving = true;
    const signal = closing;
    addEventListener("pagehide", () => peer.onPageHide(), { signal });
    // The back-forward cache restores a page with its state, but without its connections (HTML, 7.4.6.1).
    const onPageShow = ({ persisted }: PageTransitionEvent) => {
      if (persisted) peer.onPageShow();
    };
    addEventListener("pageshow", onPageShow, { signal });
    const onVisibility = () => peer.onVisibility(globalThis.document?.hidden ?? false);
    // It bubbles from the document.
    addEventListener("visibilitychange", onVisibility, { signal });
    onVisibility();
    signal.addEventListener(
      "abort",
      detectSleep(() => peer.onResume()),
    );
  };
}

/** Returns a function that creates the camera on first use. It is disposed of when the peer stream is closed. */
function createLazyCamera(
  peer: Peer,
  options: PeerStreamOptions,
  closing: AbortSignal,
): () => Camera {
  let camera: OwnedCamera | undefined;
  return () => {
    if (camera) return camera;
    const created = createCamera({
      source: globalThis.navigator?.mediaDevices,
      stream: (tracks) => new MediaStream(tracks),
      storage: options.deviceStorage ?? lazyStorage("localStorage"),
    });
    camera = created;
    created.subscribe((event) => {
      if (event.type === "stream") peer.cameraChanged(event.stream, event.opened === true);
    });
    if (closing.aborted) created.dispose();
    else closing.addEventListener("abort", () => created.dispose());
    return created;
  };
}

const browserRtc: Rtc = {
  connect: (configuration) => new RTCPeerConnection(configuration),
  stream: () => new MediaStream(),
};

/** What this environment lacks for a room of this mode; undefined for nothing. */
function findUnsupported(
  { rtc, iceServers }: PeerStreamOptions,
  mode: Mode = "video",
): PeerStreamError | undefined {
  const lacks = (what: "WebSocket" | "WebRTC"): PeerStreamError => {
    const message = `there is no ${what} here: it is switched off, or this is no browser`;
    return { kind: "unsupported", what, message, cause: undefined };
  };
  if (typeof WebSocket === "undefined") return lacks("WebSocket");
  // Text goes through the server.
  if (rtc || mode === "text") return undefined;
  if (typeof RTCPeerConnection === "undefined") return lacks("WebRTC");
  try {
    // A configuration that the constructor rejects would fail in every room.
    new RTCPeerConnection(iceServers && { iceServers }).close();
    return undefined;
  } catch (cause) {
    const message = `the browser can't set up a call: ${String(cause)}`;
    return { kind: "call-setup", message, cause };
  }
}

/** @throws Error for a path outside a browser. */
function requireEndpointUrl(given: string | undefined): string {
  const url = readEndpointUrl(given, pageUrl());
  if (url === undefined) throw new Error("outside a browser, url must be a whole URL");
  return url;
}

function pageUrl(): string | undefined {
  return globalThis.location?.href;
}

/** Looks the storage up at every access, because the look-up itself throws where cookies are blocked. */
function lazyStorage(name: "sessionStorage" | "localStorage"): TokenStorage {
  return {
    getItem: (key) => globalThis[name]?.getItem(key) ?? null,
    setItem: (key, value) => globalThis[name]?.setItem(key, value),
  };
}
