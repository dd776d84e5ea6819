/** One WebSocket as tRPC's protocol needs it, independent of any runtime. A runtime's binding implements it. */
export interface Socket {
  /** Whether what is sent can still reach the peer. */
  readonly open: boolean;
  /** Whether the peer has yet to take most of what was sent: a source that can wait should wait for `whenWritable`. */
  readonly congested: boolean;
  /** Sends a text frame; nothing once the socket is not open. */
  send(text: string): void;
  /** Calls `task` once, when the socket is no longer congested; not at all if it closes before. */
  whenWritable(task: () => void): void;
  close(code: number, reason: string): void;
  /** Ends the connection without the closing handshake: the peer no longer answers. */
  terminate(): void;
}

/** What the binding of a runtime calls. */
export interface SocketListener {
  message(data: string | Uint8Array): void;
  /** Called once. @param code of the close frame; 1005 without one in it, 1006, as by default, where the connection ended without such a frame. */
  close(code?: number): void;
}

/** The HTTP request that a socket was upgraded from. */
export interface UpgradeRequest<Data> {
  /** Path and query. */
  readonly url: string;
  readonly headers: Headers;
  /** The host's own value for this socket. */
  readonly data: Data;
}

/** Takes a socket that has just opened. */
export type AcceptSocket<Data> = (socket: Socket, request: UpgradeRequest<Data>) => SocketListener;
