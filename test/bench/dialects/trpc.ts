/** tRPC, as `src/client` speaks it. */
import * as frames from "../frames.ts";
import type { Client, Dialect, Heard, SignalKind } from "./dialect.ts";
import { initOf, numberIn, roomIdIn, sdpOf, textOf } from "./signals.ts";

const wishes = {
  interests: [],
  languages: ["en-US"],
  mode: "video",
  relayOnly: false,
  autoRejoin: false,
};
/** Ids of calls; those of signals follow. */
const [eventsId, joinId, leaveId, signalId] = [1, 2, 3, 10];
let mutations = 0;
const newMutationId = () => frames.mutationId(mutations++);

class TrpcClient implements Client {
  readonly path: string = "/trpc?connectionParams=1";
  roomId = "";
  #token: string | undefined;
  /** As it came, so that its id is looked for only when the session is resumed. */
  #lastEvent = "";

  get greeting(): string[] {
    const lastEventId = /"id":"([^"]+)"\}\}$/.exec(this.#lastEvent)?.[1];
    return this.#token === undefined
      ? [frames.connectionParams(), frames.events(eventsId)]
      : [frames.connectionParams(this.#token), frames.events(eventsId, lastEventId)];
  }

  get join() {
    return frames.join(joinId, wishes, newMutationId());
  }

  get leave() {
    return frames.leave(leaveId, newMutationId());
  }

  signals(kind: SignalKind, numbers: readonly number[]): string[] {
    const calls = numbers.map((n) => {
      const [call, id] = [n + signalId, newMutationId()];
      if (kind === "candidate") return frames.candidate(call, this.roomId, initOf(n), id);
      if (kind === "text") return frames.say(call, this.roomId, textOf(n), id);
      return frames.description(call, "offer", this.roomId, sdpOf(n), id);
    });
    return [frames.frameOf(calls)];
  }

  hear(text: string): Heard {
    if (text === "PING") return { kind: "reply", reply: "PONG" };
    if (text === "PONG") return { kind: "ping" };
    if (text.startsWith(`{"id":${eventsId},`)) return this.#hearEvent(text);
    if (text.includes('"error"')) throw new Error(text);
    const id = Number(text.slice(6, text.indexOf(",", 6)));
    return id >= signalId ? { kind: "taken", n: id - signalId } : undefined;
  }

  #hearEvent(text: string): Heard {
    if (text.includes('"error"')) throw new Error(text);
    // What only says that the subscription is open has no id.
    if (text.includes('"type":"data"')) this.#lastEvent = text;
    const n = numberIn(text);
    if (n >= 0) return { kind: "signal", n };
    if (text.includes('-offer"')) {
      this.roomId = roomIdIn(text);
      return { kind: "paired" };
    }
    if (!text.includes('"session"')) return undefined;
    this.#token = /"token":"([^"]+)"/.exec(text)?.[1];
    const isResumed = text.includes('"resumed":true') && roomIdIn(text) === this.roomId;
    return { kind: "ready", isResumed };
  }
}

/** Signals one in each frame, without ids of mutations: what a simple client of the protocol sends. */
class PlainTrpcClient extends TrpcClient {
  override readonly path = "/trpc";

  override get greeting() {
    return [frames.events(eventsId)];
  }

  override signals(kind: SignalKind, numbers: readonly number[]) {
    return numbers.flatMap((n) =>
      super.signals(kind, [n]).map((frame) => frame.replace(/,"id":"[0-9a-f]{32}"\}/, "}")),
    );
  }
}

export const trpc: Dialect = {
  acknowledges: true,
  pairing: "on request",
  ping: { from: "client", text: frames.ping, everyMs: 5000, isAnswered: true },
  client: () => new TrpcClient(),
};

export const plainTrpc: Dialect = { ...trpc, client: () => new PlainTrpcClient() };
