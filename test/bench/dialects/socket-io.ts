/** Engine.IO 4 and Socket.IO 5, as Socket.IO's client speaks them. */
import type { Client, Dialect, Heard, SignalKind } from "./dialect.ts";
import { initOf, numberIn, roomIdIn, sdpOf } from "./signals.ts";

/** Ids of acknowledgements of signals; that of `join` is less. */
const signalId = 10;

class SocketIoClient implements Client {
  readonly path = "/socket.io/?EIO=4&transport=websocket";
  readonly greeting: string[] = [];
  readonly join: string;
  readonly leave = '42["leave"]';
  roomId = "";
  readonly #acknowledges: boolean;
  /** Given by a server that can recover sessions. */
  #privateId: string | undefined;
  /** As it came, so that its offset is looked for only when the session is recovered. */
  #lastEvent = "";

  constructor(acknowledges: boolean) {
    this.#acknowledges = acknowledges;
    this.join = acknowledges ? '420["join"]' : '42["join"]';
  }

  signals(kind: SignalKind, numbers: readonly number[]): string[] {
    return numbers.map((n) => {
      const id = this.#acknowledges ? n + signalId : "";
      return kind === "candidate"
        ? `42${id}["add-ice-candidate",{"roomId":"${this.roomId}","candidate":${JSON.stringify(initOf(n))}}]`
        : `42${id}["offer",{"roomId":"${this.roomId}","sdp":${JSON.stringify(sdpOf(n))}}]`;
    });
  }

  hear(text: string): Heard {
    if (text === "2") return { kind: "ping", reply: "3" };
    if (text.startsWith("0")) return { kind: "reply", reply: this.#connect() };
    if (text.startsWith("40")) {
      const privateId = /"pid":"([^"]+)"/.exec(text)?.[1];
      const isResumed = privateId !== undefined && privateId === this.#privateId;
      this.#privateId = privateId;
      return { kind: "ready", isResumed };
    }
    if (text.startsWith("43")) {
      if (text.includes('"error"')) throw new Error(text);
      const id = Number(text.slice(2, text.indexOf("[")));
      return id >= signalId ? { kind: "taken", n: id - signalId } : undefined;
    }
    if (text.startsWith("42")) this.#lastEvent = text;
    const n = numberIn(text);
    if (n >= 0) return { kind: "signal", n };
    if (!text.includes("-offer")) return undefined;
    this.roomId = roomIdIn(text);
    return { kind: "paired" };
  }

  #connect(): string {
    if (this.#privateId === undefined) return "40";
    // The server adds the offset to each event as its last argument.
    const offset = /,"([^"]+)"\]$/.exec(this.#lastEvent)?.[1];
    return `40${JSON.stringify({ pid: this.#privateId, offset })}`;
  }
}

export const socketIo = (acknowledges: boolean): Dialect => ({
  acknowledges,
  pairing: "on request",
  ping: { from: "server", everyMs: 25_000 },
  client: () => new SocketIoClient(acknowledges),
});
