/** What a session runner is made of, and what a call tells it. */
import type { IceServer } from "../protocol.ts";
import type { CallListener, Rtc } from "./call.ts";
import type { SolveChallenge } from "./challenge-solver.ts";
import type { Connection } from "./connection.ts";
import type { Log } from "./log.ts";
import type { MediaSettings } from "./media-settings.ts";
import type { PagePeer } from "./page-peers.ts";
import type { Timer, Timers } from "./platform.ts";
import type { SessionInput } from "./session-input.ts";

/** What a session runner is made of. */
export interface SessionParts {
  connection: Connection;
  rtc: Rtc;
  timers?: Timers;
  log?: Log;
  /** Replaces the ICE servers that the server sends. */
  iceServers?: IceServer[];
  /** How audio and video are sent. */
  settings?: MediaSettings;
  /** Whether a standing offer is made while this peer waits. Default: true. */
  standingOffers?: boolean;
  /** Solves what the server asks for before a join. Default: nothing is solved. */
  solveChallenge?: SolveChallenge;
  /** Detects a partner that is another peer on the same page. */
  pagePeer?: Pick<PagePeer, "enter" | "leave">;
}

/** What happens in the call of a room, as inputs of the session model. */
export function callInputs(roomId: string, process: (input: SessionInput) => void): CallListener {
  return {
    signal: (signal) => process({ type: "local-signal", signal }),
    connected: () => process({ type: "call-connected" }),
    interrupted: (interrupted) => process({ type: "call-interrupted", interrupted }),
    failed: (cause) =>
      process(
        cause === undefined
          ? { type: "call-failed" }
          : { type: "call-setup-failed", roomId, cause },
      ),
    hungUp: () => process({ type: "call-hung-up" }),
    media: (media) => process({ type: "local-media", media }),
    quality: (quality) => process({ type: "call-quality", quality }),
    message: (message) => process({ type: "data-channel-message", message }),
  };
}

/** What `answer` resolves with; undefined if it rejects, or takes longer than `ms`. */
export function withinMs<T>(
  ms: number,
  answer: Promise<T>,
  timers: Timers,
): Promise<T | undefined> {
  let timer: Timer | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = timers.setTimeout(() => resolve(undefined), ms);
  });
  const settled = answer.catch(() => undefined);
  return Promise.race([settled, timeout]).finally(() => timers.clearTimeout(timer));
}
