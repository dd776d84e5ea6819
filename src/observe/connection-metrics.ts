/** What is counted of handshakes, sockets, streams of events, and calls: by this node, for those that came to it. */
import { rejectionReasons, type RejectionReason } from "../protocol.ts";
import { tokenRefusals, type TokenRefusal } from "../rpc/session-token.ts";
import type { StreamBeginning } from "../signaling/event-streams.ts";
import { closeCodes } from "../trpc-ws/close-codes.ts";
import type { MetricMakers } from "./metric-makers.ts";

export interface ConnectionMetrics {
  socketOpened(): void;
  /** @param code as in RFC 6455, 7.4.1: 1005 of a close frame without one, 1006 without such a frame. */
  socketClosed(code: number): void;
  /** A request for a socket, or for a stream of events over HTTP, was refused. */
  handshakeRefused(reason: HandshakeRefusal): void;
  /** Any other request was refused before it became a call. */
  turnedAway(because: TurnedAway): void;
  /** A call was refused. */
  refused(reason: RejectionReason): void;
  /** A stream of events has begun. */
  began(how: StreamBeginning): void;
  /** The token of a session was not accepted: a socket's peer begins a new session. */
  tokenRefused(because: TokenRefusal): void;
  /** Peers were asked to reconnect, so that other nodes get some of them. */
  levelled(peers: number): void;
}

/** `node-full`, `address-full`: past `LIMIT_PEERS`, `LIMIT_SOCKETS_PER_ADDRESS`. `unavailable`: the storage was never reached so far. */
const handshakeRefusals = [
  "draining",
  "rate-limited",
  "node-full",
  "address-full",
  "unavailable",
  "origin",
  "forwarded",
  "malformed",
] as const;
export type HandshakeRefusal = (typeof handshakeRefusals)[number];

/** The page's origin, the name it was asked for by, a wrong operator's token, forwarding headers that contradict each other. */
const turnedAwayReasons = ["origin", "host", "operator-token", "forwarded"] as const;
export type TurnedAway = (typeof turnedAwayReasons)[number];

/** Those of RFC 6455, 7.4.1, that browsers, proxies and Bun send or report. */
const standardCodes = [1000, 1001, 1002, 1005, 1006, 1007, 1008, 1009, 1011];
const knownCodes = [...standardCodes, ...Object.values(closeCodes)].map(String);

export function createConnectionMetrics(make: MetricMakers): ConnectionMetrics {
  const closed = make.totalBy(
    "peer_stream_sockets_closed_total",
    "Sockets closed, by the code of RFC 6455 or of this server",
    "code",
    knownCodes,
  );
  const streams = make.total("peer_stream_streams_total", "Streams of events begun");
  const resumes = make.totalBy(
    "peer_stream_resumes_total",
    "Peers that came back: to all that they missed, to the present state only, or to a session that is gone",
    "outcome",
    ["whole", "partial", "failed"],
  );
  return {
    socketOpened: make.total("peer_stream_sockets_opened_total", "Sockets opened"),
    socketClosed: (code) => closed(String(code)),
    handshakeRefused: make.totalBy(
      "peer_stream_handshakes_refused_total",
      "Requests for a socket, or for a stream of events over HTTP, that were refused, by reason",
      "reason",
      handshakeRefusals,
    ),
    turnedAway: make.totalBy(
      "peer_stream_requests_turned_away_total",
      "Other requests answered before they became calls, by cause",
      "because",
      turnedAwayReasons,
    ),
    refused: make.totalBy(
      "peer_stream_refusals_total",
      "Calls refused, by reason",
      "reason",
      rejectionReasons,
    ),
    began(how) {
      streams();
      if (how !== "new") resumes(how);
    },
    tokenRefused: make.totalBy(
      "peer_stream_session_tokens_refused_total",
      "Tokens of sessions that were not accepted, by cause",
      "because",
      tokenRefusals,
    ),
    levelled: make.total(
      "peer_stream_levelled_total",
      "Peers asked to reconnect, so that other nodes get some of them",
    ),
  };
}
