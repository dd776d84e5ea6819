/** What a session runner is made of. */
import type { IceServer } from "../protocol.ts";
import type { CallCode } from "./call-code.ts";
import type { SolveChallenge } from "./challenge-solver.ts";
import type { Connection } from "./connection.ts";
import type { Log } from "./log.ts";
import type { MediaSettings } from "./media-settings.ts";
import type { PagePeer } from "./page-peers.ts";
import type { Timers, Rtc } from "./platform.ts";

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
