/** Traces of rooms as the server knows them: without OpenTelemetry, which need not be installed. */
import type { EndReason, Mode } from "../protocol.ts";

/** Never an address, nor what peers say: rooms are named by id, sessions as in the log. */
export interface RoomTraces {
  /** Two were paired now. */
  paired(
    room: string,
    mode: Mode,
    members: readonly { sessionId: string; waitedMs: number }[],
  ): void;
  /** Media flows, as both have said now; or the two have given up. */
  connected(room: string, sessionIds: readonly string[], afterMs: number): void;
  failed(room: string, sessionIds: readonly string[], afterMs: number, reason: EndReason): void;
  /** Sends what waits. Resolves when all has been sent or lost. The caller bounds the time. */
  flush(): Promise<void>;
}

/** `full`: too many waited. `receiver`: it has not accepted them, nor a repetition. */
export const spansLostBecause = ["full", "receiver"] as const;
export type SpansLost = (typeof spansLostBecause)[number];
