/**
 * What a frontend imports: a random one-to-one video chat in a handful of calls.
 *
 *     const peer = createPeerStream({ url: "wss://chat.example/trpc" });
 *     peer.subscribe((state) => show(state));
 *     peer.start({ stream, interests: ["chess"] });
 */
import type { IceServer } from "../protocol.ts";
import type { Rtc } from "./call.ts";
import { createConnection } from "./connection.ts";
import { createPeer } from "./peer.ts";
import type { PeerStream } from "./surface.ts";
import { createTokenStore, type TokenStorage } from "./token-store.ts";

/** Options of `createPeerStream`; all of them may be left out. */
export interface PeerStreamOptions {
  /** The server's tRPC endpoint, `ws:` or `wss:`. Default: `/trpc` on the page's own host. */
  url?: string;
  /** Where the session's token is kept. Default: `sessionStorage`, because a tab is a session. */
  storage?: TokenStorage;
  /** Used instead of the ICE servers that the server names. */
  iceServers?: IceServer[];
  /** Replaces the browser's WebRTC, for tests. */
  rtc?: Rtc;
}

/** Creates a peer that is connected to the server, and idle. */
export function createPeerStream(options: PeerStreamOptions = {}): PeerStream {
  const url = options.url ?? sameHost();
  const tokens = createTokenStore(options.storage ?? tabStorage());
  const connection = createConnection({ url, tokens });
  const peer = createPeer({
    connection,
    rtc: options.rtc ?? browserRtc,
    ...(options.iceServers && { iceServers: options.iceServers }),
  });

  const { depart, comeBack, close, ...methods } = peer;
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
    get state() {
      return peer.state;
    },
    close() {
      leaving.abort();
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

/** Even to look at `sessionStorage` throws where cookies are blocked. */
function tabStorage(): TokenStorage | undefined {
  try {
    return sessionStorage;
  } catch {
    return undefined;
  }
}
