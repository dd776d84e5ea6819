/** What an operator's console reads of an engine, and the one thing that it ends: a room. Part of the port in engine.ts. */
import type { MaybePromise } from "../maybe-promise.ts";
import type { Party } from "../domain/moderation.ts";
import type { Rejection } from "../domain/rejection.ts";
import type { Entered } from "../domain/change.ts";
import type { ReportReason, Status } from "../protocol.ts";

/** What is kept of a report for the console: never anything that peers said, nor who reported. */
export interface NotedReport {
  /** Epoch milliseconds. */
  at: number;
  roomId: string;
  reason: ReportReason;
  /** Whether it counts as a vote for a suspension. */
  counted: boolean;
  /** As suspensions name it. */
  reported: Party;
  /** The operator's receiver knows the case by this. */
  caseId?: string | undefined;
}

/** The newest reports that are kept; older ones are dropped. */
export const notedReportsMax = 200;

/** A session with an open stream. */
export interface FoundSession {
  id: string;
  account?: string | undefined;
  status: Status;
  roomId?: string | undefined;
  /** In which it is; `main` is the one that is always there. */
  lobby: string;
}

export interface Found {
  sessions: FoundSession[];
  /** Whether there are more than these. */
  more: boolean;
}

export interface RoomClosing extends Entered {
  /** Whether there was such a room. */
  ended: boolean;
}

export interface OperatorView {
  /** Keeps a report for all nodes to see. A fault of the storage loses it. */
  note(report: NotedReport): MaybePromise<Rejection | undefined>;
  /** The newest ones that were noted on any node, the newest first. */
  noted(): MaybePromise<NotedReport[] | Rejection>;
  /** Sessions with an open stream, on any node, whose ids begin with `letters`; at most `max`. */
  find(letters: string, max: number): MaybePromise<Found | Rejection>;
  /**
   * Ends a room: see `closeRoom` in domain/room-closing.ts. A room neither of whose members has an open stream is not found; it ends with
   * their grace.
   */
  endRoom(roomId: string): MaybePromise<RoomClosing | Rejection>;
}
