/** What a load peer has to know of a server's protocol. */

/** A text is a message through the server; only tRPC's dialect has it. */
export type SignalKind = "candidate" | "sdp" | "text";

/** What a frame of the server's means to the load. */
export type Heard =
  /** Present; after a cut `isResumed` says whether it is the session of before. */
  | { kind: "ready"; isResumed: boolean; reply?: Frame }
  | { kind: "paired" }
  /** A signal of the partner's, by its number. */
  | { kind: "signal"; n: number }
  /** The server's word that it took one. */
  | { kind: "taken"; n: number }
  | { kind: "reply"; reply: Frame }
  /** A ping of the server's, or its answer to one. */
  | { kind: "ping"; reply?: Frame }
  | undefined;

export type Frame = string | Uint8Array<ArrayBuffer>;

/** What all clients of a protocol have in common. */
export interface Dialect {
  /** Whether each signal is acknowledged. */
  acknowledges: boolean;
  /** Two are paired when they ask for it, or as soon as both have arrived, or not by the server. */
  pairing: "on request" | "on arrival" | "none";
  /** What keeps an idle connection alive, and how often. What the WebSocket's own pings do is not seen here. */
  ping?:
    | { from: "client"; text: string; everyMs: number; isAnswered: boolean }
    | { from: "server"; everyMs: number };
  client(): Client;
}

/**
 * One client, as its library would word it, byte for byte, over a WebSocket from the start. It keeps what it needs to resume its
 * session: `path` and `greeting` are those of the next socket.
 */
export interface Client {
  readonly path: string;
  /** What has to be asked for over HTTP before the first socket. */
  reserve?(origin: string): Promise<void>;
  /** What is said first, if the client speaks first. */
  readonly greeting: readonly Frame[];
  /** Empty while it has no partner. */
  roomId: string;
  readonly join: Frame;
  readonly leave: Frame;
  /** The frames in which the client sends these signals at one moment. */
  signals(kind: SignalKind, numbers: readonly number[]): Frame[];
  hear(data: Frame): Heard;
  /** Where the server pairs nobody: the load gives the room a name and its members each other's ids. */
  id?: string;
  partnerId?: string;
}
