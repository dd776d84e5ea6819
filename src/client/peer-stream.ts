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
import { loadCallCode } from "./call-code.ts";
import { createConnection } from "./connection.ts";
import { createLazyCamera } from "./lazy-camera.ts";
import { createPagePeer } from "./page-peers.ts";
import { createMediaSettings, type AudioSettings, type VideoSettings } from "./media-settings.ts";
import { createPeer, type Peer } from "./peer.ts";
import type { OwnedCamera } from "./camera.ts";
import type { ProcessedCamera } from "./processed-camera.ts";
import { readEndpointUrl } from "./endpoint-url.ts";
import { createPlatform, type Platform, type PlatformOptions, streamOf } from "./platform.ts";
import { detectSleep } from "./sleep-detector.ts";
import { createTokenStore, defaultTokenKey } from "./token-store.ts";
import type { PeerStream } from "./types.ts";

/** Options of `createPeerStream`. All are optional. */
export interface PeerStreamOptions extends PlatformOptions {
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
  /**
   * The token's key in that storage. Default: `peer-stream.token`. If another peer stream on the page uses that key
   * already, a number is appended: each one has its own session.
   */
  storageKey?: string;
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
  /** How video is sent. */
  video?: VideoSettings;
  /** How audio is sent. */
  audio?: AudioSettings;
  /** Replaces the ICE servers that the server sends. */
  iceServers?: IceServer[];
  /**
   * Whether this peer, while it waits, keeps a connection and an offer ready for whoever is paired with it, so that the call
   * begins sooner. Default: true.
   */
  standingOffers?: boolean;
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
  const platform = createPlatform(options);
  readEndpointUrl(options.url, platform.pageUrl);
  const pagePeer = createPagePeer(options.storageKey ?? defaultTokenKey);
  const tokens = createTokenStore(platform.storage, () => pagePeer.storageKey());
  const peer = createPeer({
    connection: createConnection({
      ...options,
      url: () => requireEndpointUrl(options.url, platform.pageUrl),
      tokens,
      auth: async () => (typeof options.auth === "function" ? options.auth() : options.auth),
    }),
    rtc: platform.rtc,
    callCode: () => loadCallCode(platform.timers),
    settings: createMediaSettings(options.video, options.audio),
    timers: platform.timers,
    log: platform.log,
    media: () => platform.media,
    page: () => platform.document,
    findUnsupported: (mode) => platform.findUnsupported(mode),
    pagePeer,
    solveChallenge: async (challenge, signal) => {
      const { createChallengeSolver } = await import("./challenge-solver.ts");
      return createChallengeSolver(options)(challenge, signal);
    },
    ...(options.iceServers && { iceServers: options.iceServers }),
    standingOffers: options.standingOffers ?? true,
  });
  const closing = new AbortController();
  const observePage = createPageObserver(peer, platform, closing.signal);
  const ownCamera = createOwnCamera(peer, platform, closing.signal);

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
    ...detached(peer),
    setProcessor: (processor) => ownCamera().process(processor),
    async setMuted({ release, ...muted }) {
      peer.setMuted(muted);
      return muteDevices(ownCamera(), muted, release);
    },
    close() {
      closing.abort();
      peer.close();
      pagePeer.release();
    },
  };
}

/** The methods that need nothing but the peer, as closures. */
const detached = (
  peer: Peer,
): Omit<
  PeerStream,
  "state" | "camera" | "start" | "next" | "setProcessor" | "setMuted" | "close"
> => ({
  stop: () => peer.stop(),
  sendChat: (text) => peer.sendChat(text),
  sendTyping: (typing) => peer.sendTyping(typing),
  setSource: (source) => peer.setSource(source),
  replaceTracks: (stream) => peer.replaceTracks(stream),
  shareScreen: () => peer.shareScreen(),
  stopSharing: () => peer.stopSharing(),
  send: (data) => peer.send(data),
  onData: (listener) => peer.onData(listener),
  report: (reason, details) => peer.report(reason, details),
  still: (source) => peer.still(source),
  recentMessages: () => peer.recentMessages(),
  case: (caseId) => peer.case(caseId),
  block: () => peer.block(),
  again: () => peer.again(),
  stats: () => peer.stats(),
  onStats: (listener, everyMs) => peer.onStats(listener, everyMs),
  levels: () => peer.levels(),
  counts: (lobby) => peer.counts(lobby),
  site: () => peer.site(),
  sampleFrames: (sampling) => peer.sampleFrames(sampling),
  subscribe: (listener) => peer.subscribe(listener),
  onEvent: (listener) => peer.onEvent(listener),
  states: () => peer.states(),
  events: () => peer.events(),
});

/** Returns a function that begins, once, to forward the page's lifecycle events to `peer`. */
function createPageObserver(
  peer: Peer,
  { lifecycle, timers, log, findUnsupported }: Platform,
  closing: AbortSignal,
): (mode?: Mode) => void {
  let isObserving = false;
  return (mode = "video") => {
    if (isObserving || closing.aborted || findUnsupported(mode)) return;
    isObserving = true;
    const stops = [
      lifecycle.subscribe((event) => {
        log("debug", event);
        if (event === "pagehide") peer.onPageHide();
        else if (event === "pageshow") peer.onPageShow();
        else if (event === "hidden" || event === "visible") peer.onVisibility(event === "hidden");
        else if (event !== "freeze") peer.onResume();
      }),
      detectSleep(() => peer.onResume(), timers),
    ];
    closing.addEventListener("abort", () => {
      for (const stop of stops) stop();
    });
  };
}

/** With `release` what is turned off is closed; what is turned on is opened again. */
function muteDevices(
  camera: OwnedCamera,
  muted: { audio?: boolean; video?: boolean },
  release = false,
): ReturnType<OwnedCamera["restore"]> {
  const kinds = (isMuted: boolean) =>
    (["audio", "video"] as const).filter((kind) => muted[kind] === isMuted);
  if (release) camera.release(kinds(true));
  return camera.restore(kinds(false));
}

/** Returns a function that creates the camera on first use. It is disposed of when the peer stream is closed. */
function createOwnCamera(
  peer: Peer,
  platform: Platform,
  closing: AbortSignal,
): () => ProcessedCamera {
  let camera: ProcessedCamera | undefined;
  return () => {
    if (camera) return camera;
    const { media: source, deviceStorage: storage, rtc, timers } = platform;
    const stream = (tracks: MediaStreamTrack[]) => streamOf(rtc, tracks);
    const created = createLazyCamera({ source, stream, storage }, timers);
    camera = created;
    created.subscribe((event) => {
      if (event.type === "stream" || event.type === "lost")
        peer.cameraChanged(created.stream, event.type === "stream" && event.opened === true);
    });
    if (closing.aborted) created.dispose();
    else closing.addEventListener("abort", () => created.dispose());
    return created;
  };
}

/** @throws Error for a path outside a browser. */
function requireEndpointUrl(given: string | undefined, pageUrl: string | undefined): string {
  const url = readEndpointUrl(given, pageUrl);
  if (url === undefined) throw new Error("outside a browser, url must be a whole URL");
  return url;
}
