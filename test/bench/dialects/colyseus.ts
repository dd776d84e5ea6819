/** Colyseus 0.18: a seat over HTTP, then binary frames of a code, a type and MessagePack. To join is to arrive. */
import { Packr } from "msgpackr";
import type { Client, Dialect, Frame, Heard, SignalKind } from "./dialect.ts";
import { initOf, numberIn, sdpOf } from "./signals.ts";

/** From `Protocol` in @colyseus/shared-types. */
const [joinRoom, error, roomData] = [10, 11, 13];
const packr = new Packr({ useRecords: false });

/** A short string begins with its length, in MessagePack and in the schema's encoding alike. */
const typed = (type: string) => Buffer.from([roomData, 0xa0 | type.length, ...Buffer.from(type)]);
const [candidateHead, offerHead, pairedHead] = [
  typed("candidate"),
  typed("offer"),
  typed("paired"),
];

class ColyseusClient implements Client {
  #seat = "";
  /** Given at each arrival, for the next one. */
  #reconnectionToken: string | undefined;
  readonly greeting: Frame[] = [];
  readonly join = "";
  readonly leave = "";
  roomId = "";

  get path() {
    const token = this.#reconnectionToken;
    return token === undefined
      ? this.#seat
      : `${this.#seat}&reconnectionToken=${token}&skipHandshake=1`;
  }

  async reserve(origin: string) {
    const response = await fetch(`${origin}/matchmake/joinOrCreate/call`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    const seat = (await response.json()) as Record<string, string>;
    const { processId, roomId, sessionId } = seat;
    if (sessionId === undefined) throw new Error(JSON.stringify(seat));
    this.#seat = `/${processId}/${roomId}?sessionId=${sessionId}`;
  }

  signals(kind: SignalKind, numbers: readonly number[]): Frame[] {
    return numbers.map((n) =>
      kind === "candidate"
        ? Buffer.concat([candidateHead, packr.pack(initOf(n))])
        : Buffer.concat([offerHead, packr.pack({ sdp: sdpOf(n) })]),
    );
  }

  hear(data: Frame): Heard {
    const bytes = Buffer.from(data as Uint8Array<ArrayBuffer>);
    if (bytes[0] === error) throw new Error(bytes.toString("latin1"));
    if (bytes[0] === joinRoom) {
      const isResumed = this.#reconnectionToken !== undefined;
      this.#reconnectionToken = bytes.toString("latin1", 2, 2 + (bytes[1] ?? 0));
      // The client says that it has seen it, whereupon it is sent what has been waiting for that.
      return { kind: "ready", isResumed, reply: new Uint8Array([joinRoom]) };
    }
    if (bytes[0] !== roomData) return undefined;
    const n = numberIn(bytes.toString("latin1"));
    if (n >= 0) return { kind: "signal", n };
    if (!bytes.subarray(0, pairedHead.length).equals(pairedHead)) return undefined;
    this.roomId = packr.unpack(bytes.subarray(pairedHead.length)).roomId;
    return { kind: "paired" };
  }
}

export const colyseus: Dialect = {
  acknowledges: false,
  pairing: "on arrival",
  client: () => new ColyseusClient(),
};
