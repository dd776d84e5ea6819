/** What two members of a room tell each other through the server besides signals: words, that one types, and what each sends. */
import { isRejection, reject, type Rejection } from "../domain/rejection.ts";
import { readRoomId } from "../domain/room-id.ts";
import { mediaIn } from "../domain/session.ts";
import type { Caller, Engine } from "../engine/engine.ts";
import { chain, type MaybePromise } from "../maybe-promise.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Delivered, Media } from "../protocol.ts";
import type { System } from "../system.ts";

export interface TalkParts {
  engine: Pick<Engine, "send" | "media">;
  system: Pick<System, "now">;
  metrics: Pick<Metrics, "messaged">;
}

/** With an engine that is synchronous `say` and `typing` are, so that a text costs no promise, as a signal does not. */
export class Talk {
  readonly #parts: TalkParts;

  constructor(parts: TalkParts) {
    this.#parts = parts;
  }

  /** @param json the text as a string in JSON, without control characters. `undefined`: it is dropped, which the sender is not told. */
  say(
    caller: Caller,
    roomId: string,
    json: string | undefined,
  ): MaybePromise<Delivered | Rejection> {
    const { metrics, system } = this.#parts;
    if (readRoomId(roomId).chat !== "server") return wrongMode;
    if (json === undefined) {
      metrics.messaged("dropped");
      return notDelivered;
    }
    const event = `{"type":"message","roomId":${JSON.stringify(roomId)},"text":${json},"at":${system.now()}}`;
    return chain(this.#relay(caller, roomId, event), (relayed) => {
      if (!isRejection(relayed)) metrics.messaged(relayed.delivered ? "delivered" : "too-late");
      return relayed;
    });
  }

  /** Whether a message of the caller's would be delivered now. */
  canSay(caller: Caller, roomId: string): MaybePromise<boolean | Rejection> {
    if (readRoomId(roomId).chat !== "server") return wrongMode;
    const { sessionId, generation, streaming } = caller;
    // Without the id of its mutation, whose result is not known yet.
    return this.#parts.engine.send({ sessionId, generation, streaming }, roomId, undefined);
  }

  typing(caller: Caller, roomId: string, typing: boolean): MaybePromise<Delivered | Rejection> {
    if (readRoomId(roomId).chat !== "server") return wrongMode;
    return this.#relay(caller, roomId, JSON.stringify({ type: "typing", roomId, typing }));
  }

  media(caller: Caller, roomId: string, media: Media): MaybePromise<Delivered | Rejection> {
    const allowed = mediaIn(readRoomId(roomId).mode);
    if ((media.audio && !allowed.audio) || (media.video && !allowed.video)) return wrongMode;
    return this.#parts.engine.media(caller, roomId, media);
  }

  #relay(caller: Caller, roomId: string, event: string): MaybePromise<Delivered | Rejection> {
    return chain(this.#parts.engine.send(caller, roomId, event), (delivered) =>
      isRejection(delivered) ? delivered : { delivered },
    );
  }
}

const wrongMode = reject("wrong-mode");
const notDelivered: Delivered = { delivered: false };
