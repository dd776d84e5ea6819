/** What a session runner is made of, and what a call tells it. */
import type { IceServer } from "../protocol.ts";
import type { CallListener, Rtc } from "./call.ts";
import type { CallCode } from "./call-code.ts";
import type { SolveChallenge } from "./challenge-solver.ts";
import type { Connection, IceAnswer } from "./connection.ts";
import type { Log } from "./log.ts";
import type { MediaSettings } from "./media-settings.ts";
import type { PagePeer } from "./page-peers.ts";
import { MutationQueue } from "./mutation-queue.ts";
import type { Telling } from "./mutations.ts";
import { browserTimers, type Timer, type Timers } from "./platform.ts";
import type { SessionInput } from "./session-input.ts";
import { isRelevant, type SessionModel } from "./session-model.ts";
import type { StandingOffers } from "./standing-offers.ts";

/** An ICE restart waits for new credentials for at most this long (milliseconds). */
const ICE_SERVERS_MS_MAX = 2000;

/** What a session runner is made of. */
export interface SessionParts {
  connection: Connection;
  rtc: Rtc;
  /** Or what loads it. */
  callCode: CallCode | (() => Promise<CallCode>);
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
function withinMs<T>(ms: number, answer: Promise<T>, timers: Timers): Promise<T | undefined> {
  let timer: Timer | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = timers.setTimeout(() => resolve(undefined), ms);
  });
  const settled = answer.catch(() => undefined);
  return Promise.race([settled, timeout]).finally(() => timers.clearTimeout(timer));
}

/** ICE servers with new credentials; undefined if the server does not respond in time. */
export function askForIceServers(
  connection: Pick<Connection, "iceServers">,
  timers: Timers,
): Promise<IceAnswer | undefined> {
  return withinMs(ICE_SERVERS_MS_MAX, connection.iceServers(), timers);
}

export function createQueue(connection: Pick<Connection, "call">, timers: Timers): MutationQueue {
  return new MutationQueue((name, input) => connection.call(name, input), undefined, timers);
}

export function standingOffersOf(
  { StandingOffers }: CallCode,
  { connection, rtc, settings, iceServers, timers = browserTimers }: SessionParts,
  fetchIceServers: () => Promise<IceAnswer | undefined>,
): StandingOffers {
  return new StandingOffers({ connection, rtc, timers, settings, iceServers, fetchIceServers });
}

/** In the queue of the signals, so that it never delays a `leave` either. */
export function enqueueTelling(
  signals: MutationQueue,
  mutation: Telling,
  model: () => SessionModel,
  onUndelivered: () => void,
): void {
  signals.enqueue(mutation.name, mutation.input, {
    isRelevant: () => isRelevant(model(), mutation),
    answered: ({ delivered }) => {
      if (!delivered) onUndelivered();
    },
    refused: onUndelivered,
    dropped: onUndelivered,
  });
}
