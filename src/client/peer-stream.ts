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
import { createCamera } from "./camera.ts";
import { createConnection } from "./connection.ts";
import { createPeer } from "./peer.ts";
import type { PeerStream } from "./surface.ts";
import { createTokenStore, type TokenStorage } from "./token-store.ts";
import { watchForWaking } from "./wake-watch.ts";

/** Options of `createPeerStream`; all of them may be left out. */
export interface PeerStreamOptions {
  /** The server's tRPC endpoint, `ws:` or `wss:`. Default: `/trpc` on the page's own host. */
  url?: string;
  /** Where the session's token is kept. Default: `sessionStorage`, because a tab is a session. */
  storage?: TokenStorage;
  /** Where the chosen camera and microphone are remembered. Default: `localStorage`. */
  deviceStorage?: TokenStorage;
  /** Used instead of the ICE servers that the server names. */
  iceServers?: IceServer[];
  /** Replaces the browser's WebRTC, for tests. */
  rtc?: Rtc;
}

/** Creates a peer that is connected to the server, and idle. */
export function createPeerStream(options: PeerStreamOptions = {}): PeerStream {
  const url = options.url ?? sameHost();
  const tokens = createTokenStore(options.storage ?? storageOf("sessionStorage"));
  const connection = createConnection({ url, tokens });
  const peer = createPeer({
    connection,
    rtc: options.rtc ?? browserRtc,
    ...(options.iceServers && { iceServers: options.iceServers }),
  });

  const camera = createCamera({
    source: navigator.mediaDevices,
    stream: (tracks) => new MediaStream(tracks),
    storage: options.deviceStorage ?? storageOf("localStorage"),
  });
  camera.subscribe((event) => {
    if (event.type === "stream") void peer.replaceTracks(event.stream);
  });

  const { depart, comeBack, wake, close, start, ...methods } = peer;
  const stopWatching = watchForWaking(wake);
  const leaving = new AbortController();
  const onPageHide = () => depart();
  // From the back-forward cache a page comes back as it was, with its connections cut (HTML, 7.4.6.1).
  const onPageShow = ({ persisted }: PageTransitionEvent) => {
    if (persisted) comeBack();
  };
  addEventListener("pagehide", onPageHide, { signal: leaving.signal });
  addEventListener("pageshow", onPageShow, { signal: leaving.signal });

  return {
    ...methods,
    camera,
    start: (wishes) => start({ ...(camera.stream && { stream: camera.stream }), ...wishes }),
    get state() {
      return peer.state;
    },
    close() {
      leaving.abort();
      stopWatching();
      camera.close();
      close();
    },
  };
}

const browserRtc: Rtc = {
  connect: (configuration) => new RTCPeerConnection(configuration),
  stream: () => new MediaStream(),
};

function sameHost(): string {
  const { protocol, host } = location;
  return `${protocol === "https:" ? "wss" : "ws"}://${host}/trpc`;
}

/** Even to look at a storage throws where cookies are blocked. */
function storageOf(name: "sessionStorage" | "localStorage"): TokenStorage | undefined {
  try {
    return globalThis[name];
  } catch {
    return undefined;
  }
}
