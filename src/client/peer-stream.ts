/**
 * What a frontend imports: a random one-to-one video chat in a handful of calls.
 *
 *     const peer = createPeerStream({ url: "wss://chat.example/trpc" });
 *     peer.subscribe((state) => show(state));
 *     await peer.camera.open();
 *     peer.start({ interests: ["chess"] });
 */
import type { IceServer } from "../protocol.ts";
import type { Rtc } from "./call.ts";
import { createCamera, type Camera, type OwnedCamera } from "./camera.ts";
import { createConnection } from "./connection.ts";
import { createPagePeer } from "./page-peers.ts";
import { createPeer } from "./peer.ts";
import { readEndpointUrl } from "./endpoint-url.ts";
import type { PeerStreamError } from "./state.ts";
import type { PeerStream } from "./surface.ts";
import { createTokenStore, defaultTokenKey, type TokenStorage } from "./token-store.ts";
import { watchForWaking } from "./wake-watch.ts";

/** Options of `createPeerStream`; all of them may be left out. */
export interface PeerStreamOptions {
  /**
   * The server's tRPC endpoint: a `ws:`, `wss:`, `http:` or `https:` URL, or a path on the page's own host. Default:
   * `/trpc`.
   */
  url?: string;
  /** Where the session's token is kept. Default: `sessionStorage`, because a tab is a session. */
  storage?: TokenStorage;
  /**
   * The key under which it is kept there. Default: `peer-stream.token`. If another peer stream on the page uses that key
   * already, a number is added: each one has a session of its own.
   */
  storageKey?: string;
  /** Where the chosen camera and microphone are remembered. Default: `localStorage`. */
  deviceStorage?: TokenStorage;
  /** Used instead of the ICE servers that the server names. */
  iceServers?: IceServer[];
  /** Replaces the browser's WebRTC, for tests. */
  rtc?: Rtc;
}

/**
 * Creates an idle peer. Nothing of the browser is used, and nothing is opened, before `start`, `next`, `counts` or
 * `camera` is: it may also be created on a server that renders pages.
 *
 * @throws TypeError if `url` is malformed.
 */
export function createPeerStream(options: PeerStreamOptions = {}): PeerStream {
  readEndpointUrl(options.url, pageUrl());
  const pagePeer = createPagePeer(options.storageKey ?? defaultTokenKey);
  const tokens = createTokenStore(options.storage ?? lazyStorage("sessionStorage"), () =>
    pagePeer.storageKey(),
  );
  const connection = createConnection({ url: serverUrl, tokens });
  const peer = createPeer({
    connection,
    rtc: options.rtc ?? browserRtc,
    pagePeer,
    lacking: () => lackingFor(options),
    ...(options.iceServers && { iceServers: options.iceServers }),
  });

  const { depart, comeBack, wake, cameraChanged, close, start, next, ...methods } = peer;
  const leaving = new AbortController();
  let camera: OwnedCamera | undefined;
  let attending = false;

  function serverUrl(): string {
    const url = readEndpointUrl(options.url, pageUrl());
    if (url === undefined) throw new Error("outside a browser, url must be a whole URL");
    return url;
  }

  function openCamera(): Camera {
    if (camera) return camera;
    camera = createCamera({
      source: globalThis.navigator?.mediaDevices,
      stream: (tracks) => new MediaStream(tracks),
      storage: options.deviceStorage ?? lazyStorage("localStorage"),
    });
    camera.subscribe((event) => {
      if (event.type === "stream") cameraChanged(event.stream, event.opened === true);
    });
    if (leaving.signal.aborted) camera.dispose();
    return camera;
  }

  /** Begins to follow the page's comings and goings. */
  function attend(): void {
    if (attending || leaving.signal.aborted || lackingFor(options)) return;
    attending = true;
    const { signal } = leaving;
    addEventListener("pagehide", () => depart(), { signal });
    // From the back-forward cache a page comes back as it was, with its connections cut (HTML, 7.4.6.1).
    const onPageShow = ({ persisted }: PageTransitionEvent) => {
      if (persisted) comeBack();
    };
    addEventListener("pageshow", onPageShow, { signal });
    signal.addEventListener("abort", watchForWaking(wake));
  }

  return {
    ...methods,
    get camera() {
      return openCamera();
    },
    start(wishes) {
      attend();
      start(wishes);
    },
    next() {
      attend();
      next();
    },
    get state() {
      return peer.state;
    },
    close() {
      leaving.abort();
      camera?.dispose();
      close();
      pagePeer.release();
    },
  };
}

const browserRtc: Rtc = {
  connect: (configuration) => new RTCPeerConnection(configuration),
  stream: () => new MediaStream(),
};

/** What this environment lacks for a call. */
function lackingFor({ rtc, iceServers }: PeerStreamOptions): PeerStreamError | undefined {
  const lacks = (what: "WebSocket" | "WebRTC"): PeerStreamError => {
    const message = `there is no ${what} here: it is switched off, or this is no browser`;
    return { kind: "unsupported", what, message, cause: undefined };
  };
  if (typeof WebSocket === "undefined") return lacks("WebSocket");
  if (rtc) return undefined;
  if (typeof RTCPeerConnection === "undefined") return lacks("WebRTC");
  try {
    // A constructor that throws would do so for every stranger.
    new RTCPeerConnection(iceServers && { iceServers }).close();
    return undefined;
  } catch (cause) {
    const message = `the browser can't set up a call: ${String(cause)}`;
    return { kind: "call-setup", message, cause };
  }
}

function pageUrl(): string | undefined {
  return globalThis.location?.href;
}

/** A storage that is looked for at every use: even that throws where cookies are blocked. */
function lazyStorage(name: "sessionStorage" | "localStorage"): TokenStorage {
  return {
    getItem: (key) => globalThis[name]?.getItem(key) ?? null,
    setItem: (key, value) => globalThis[name]?.setItem(key, value),
  };
}
