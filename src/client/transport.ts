/** How the server is reached: over a WebSocket, or over plain HTTP where a network cuts WebSockets. */
import type { Rpc } from "./mutations.ts";

export type TransportKind = "websocket" | "http";

export interface Transport {
  readonly kind: TransportKind;
  readonly rpc: Rpc;
  /** Makes a call of `rpc` behind all that were made in this way before. */
  inOrder<T>(call: () => Promise<T>): Promise<T>;
  /** A Peer Stream server has responded. */
  confirm(): void;
  /** Drops what is open, as it may look open and deliver nothing. */
  renew(): void;
  /**
   * The server has refused the stream as unauthorized. Returns whether that may be because of the session's token, which is sent no more: over
   * a socket such a token just begins a new session.
   */
  dropToken(): boolean;
  /** The page is about to be unloaded: `message` is the last that may be sent, where there is an order. */
  sendLast(message: object): void;
  /** Closes everything. Calls without an answer are rejected. */
  end(): void;
}

/** The headers by which the server knows a session, and the operator a peer. */
export function credentialHeaders(
  token: string | undefined,
  auth: string | undefined,
): Record<string, string> {
  return {
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
    ...(auth !== undefined && { "x-peer-stream-auth": auth }),
  };
}
