/** One WebSocket, as tRPC's protocol needs it: no runtime's own type. */

export interface Socket {
  readonly open: boolean;
  send(text: string): void;
  close(code: number, reason: string): void;
  /** Ends it without the closing handshake: the other side no longer answers. */
  terminate(): void;
}

/** What the binding of a runtime calls. */
export interface SocketListener {
  message(data: string | Uint8Array): void;
  close(): void;
}

/** What is known of a socket's HTTP request. */
export interface Upgrade {
  /** Path and query. */
  url: string;
  /** A keyed hash of the address bucket it comes from. */
  addressHash: string;
  /** Gives back its place. */
  release: () => void;
}

/** Takes a socket that has just opened. */
export type AcceptSocket = (socket: Socket, upgrade: Upgrade) => SocketListener;
