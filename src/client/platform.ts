/** What the client needs of where it runs: by default the browser's own, which no other file uses, or what options give in its place. */
import type { IceServer, Mode } from "../protocol.ts";
import type { MediaSource } from "./camera.ts";
import { createLog, type Log, type Logger } from "./log.ts";
import type { PeerStreamError } from "./state.ts";

/** The browser's part of WebRTC, replaceable for tests. */
export interface Rtc {
  connect(configuration: RTCConfiguration): RTCPeerConnection;
  stream(): MediaStream;
}

import type { TokenStorage } from "./token-store.ts";

/** The required part of `fetch`. */
export type Fetch = (url: string, init: RequestInit) => Promise<unknown>;

/**
 * What happens to a page or an app. After `pageshow` (a page comes back from the back-forward cache), `resume` and `online`
 * connections may be gone, or look open and deliver nothing.
 */
export type LifecycleEvent =
  /** The page is unloaded, or enters the back-forward cache: this peer leaves. */
  "pagehide" | "pageshow" | "freeze" | "resume" | "online" | "hidden" | "visible";

/** Reports what happens to the page or app. */
export interface Lifecycle {
  /** Calls `listener` with every further event. Returns a function that unsubscribes. */
  subscribe(listener: (event: LifecycleEvent) => void): () => void;
}

/** Options that replace what a browser has, for tests and where there is no browser. Default: the browser's. */
export interface PlatformOptions {
  /** WebRTC. */
  rtc?: Rtc;
  /** Devices and screens: `navigator.mediaDevices`. */
  media?: MediaSource;
  /** Stores the session's token. Default: `sessionStorage`, because a tab is a session. */
  storage?: TokenStorage;
  /** Stores the chosen camera and microphone. Default: `localStorage`. */
  deviceStorage?: TokenStorage;
  /** Reports what happens to the page. Default: the events of `window` and `document`. */
  lifecycle?: Lifecycle;
  WebSocket?: typeof WebSocket;
  /** Has to give the body of a response as a stream where HTTP replaces WebSockets. */
  fetch?: Fetch;
  /**
   * Takes what is logged for debugging, such as `console`: states, transports, and signals and refusals by kind; never tokens, addresses or what
   * people write. Default: the console where `deviceStorage` has anything under `peer-stream.debug`, else nothing.
   */
  logger?: Logger;
  setTimeout?: Timers["setTimeout"];
  clearTimeout?: Timers["clearTimeout"];
}

/** What `setTimeout` returns. */
export type Timer = ReturnType<typeof setTimeout>;

/** The part of the timers of HTML that is used. */
export interface Timers {
  setTimeout(run: () => void, ms?: number): Timer;
  clearTimeout(timer: Timer | undefined): void;
}

/** Where the client runs. Nothing of the browser is used before a member is. */
export interface Platform {
  readonly rtc: Rtc;
  readonly media: MediaSource | undefined;
  readonly storage: TokenStorage;
  readonly deviceStorage: TokenStorage;
  readonly lifecycle: Lifecycle;
  readonly WebSocket: typeof WebSocket | undefined;
  readonly fetch: Fetch;
  readonly timers: Timers;
  readonly log: Log;
  /** Creates elements for pictures of a video; undefined where there are none. */
  readonly document: Pick<Document, "createElement"> | undefined;
  /** The page's own URL; undefined outside a browser. */
  readonly pageUrl: string | undefined;
  /** What is missing for a room of this mode; undefined for nothing. */
  findUnsupported(mode: Mode): PeerStreamError | undefined;
}

/** @param iceServers - the page's own, if any: a connection is created with them once, to find out whether they are valid. */
export function createPlatform(options: PlatformOptions & { iceServers?: IceServer[] }): Platform {
  const { setTimeout: start = browserTimers.setTimeout } = options;
  const { clearTimeout: stop = browserTimers.clearTimeout } = options;
  const deviceStorage = options.deviceStorage ?? lazyStorage("localStorage");
  const platform: Platform = {
    rtc: options.rtc ?? browserRtc,
    get media() {
      return options.media ?? globalThis.navigator?.mediaDevices;
    },
    storage: options.storage ?? lazyStorage("sessionStorage"),
    deviceStorage,
    log: createLog(options.logger, deviceStorage),
    lifecycle: options.lifecycle ?? pageLifecycle,
    get WebSocket() {
      return options.WebSocket ?? globalThis.WebSocket;
    },
    fetch: options.fetch ?? ((url, init) => fetch(url, init)),
    // Browsers throw if these are called as methods of another object.
    timers: { setTimeout: (run, ms) => start(run, ms), clearTimeout: (timer) => stop(timer) },
    get document() {
      return globalThis.document;
    },
    get pageUrl() {
      return globalThis.location?.href;
    },
    findUnsupported(mode) {
      const lacks = (what: "WebSocket" | "WebRTC"): PeerStreamError => {
        const message = `there is no ${what} here: it is switched off, or this is no browser`;
        return { kind: "unsupported", what, message, cause: undefined };
      };
      if (!platform.WebSocket) return lacks("WebSocket");
      // Text goes through the server.
      if (options.rtc || mode === "text") return undefined;
      if (typeof RTCPeerConnection === "undefined") return lacks("WebRTC");
      try {
        // A configuration that the constructor rejects would fail in every room.
        new RTCPeerConnection(options.iceServers && { iceServers: options.iceServers }).close();
        return undefined;
      } catch (cause) {
        const message = `the browser can't set up a call: ${String(cause)}`;
        return { kind: "call-setup", message, cause };
      }
    },
  };
  return platform;
}

/** Those of every environment. */
export const browserTimers: Timers = {
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

/**
 * 128 random bits. Not `crypto.randomUUID`, which is missing on pages over plain HTTP (W3C Secure Contexts). React Native has no WebCrypto, and
 * Math.random will do where an id only distinguishes the mutations of one session.
 */
export function randomId(): string {
  const bytes = new Uint8Array(16);
  if (typeof crypto === "undefined") bytes.forEach((_, at) => (bytes[at] = 256 * Math.random()));
  else crypto.getRandomValues(bytes);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Of React Native's classes some versions have neither. Their sockets dispatch any object that has a type. */
export function createCloseEvent(code: number): CloseEvent {
  const event = typeof Event === "undefined" ? { type: "close" } : new Event("close");
  return Object.assign(event, { code, reason: "", wasClean: false }) as CloseEvent;
}

const browserRtc: Rtc = {
  connect: (configuration) => new RTCPeerConnection(configuration),
  stream: () => new MediaStream(),
};

const pageLifecycle: Lifecycle = {
  subscribe(listener) {
    const ending = new AbortController();
    const onEvent = (event: Event) => {
      if (event.type === "visibilitychange") listener(document.visibilityState);
      // The first one is not from the back-forward cache, which restores a page without its connections (HTML, 7.4.6.1).
      else if (event.type !== "pageshow" || (event as PageTransitionEvent).persisted)
        listener(event.type as LifecycleEvent);
    };
    const observe = (target: Partial<EventTarget> | undefined, types: string[]) => {
      for (const type of types)
        target?.addEventListener?.(type, onEvent, { signal: ending.signal });
    };
    observe(globalThis, ["pagehide", "pageshow", "online"]);
    // Page Lifecycle, 4; of Chromium.
    observe(globalThis.document, ["freeze", "resume", "visibilitychange"]);
    // WICG Network Information; of Chromium. `change` also comes when an estimate of the speed changes.
    const network = (globalThis.navigator as { connection?: EventTarget & { type?: string } })
      ?.connection;
    let kind = network?.type;
    const onChange = () => {
      if (kind === (kind = network?.type)) return;
      listener("online");
    };
    network?.addEventListener("change", onChange, { signal: ending.signal });
    return () => ending.abort();
  },
};

/** Looks the storage up at every access, because the look-up itself throws where cookies are blocked. */
function lazyStorage(name: "sessionStorage" | "localStorage"): TokenStorage {
  return {
    getItem: (key) => globalThis[name]?.getItem(key) ?? null,
    setItem: (key, value) => globalThis[name]?.setItem(key, value),
  };
}

/** A stream of these tracks. */
export function streamOf(
  rtc: Pick<Rtc, "stream">,
  tracks: readonly MediaStreamTrack[],
): MediaStream {
  const stream = rtc.stream();
  for (const track of tracks) stream.addTrack(track);
  return stream;
}
