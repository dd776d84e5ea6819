/** What signaling is made of. */
import type { Policy } from "../domain/matchmaker.ts";
import type { Engine } from "../engine/engine.ts";
import type { IceConfig } from "../ice.ts";
import type { Chat } from "../protocol.ts";
import type { System } from "../system.ts";
import type { Hints } from "./hints.ts";
import type { JournalParts } from "./journal.ts";
import type { ReportsParts } from "./reports.ts";
import type { RoomProofs } from "./room-proofs.ts";

export interface SignalingParts
  extends Pick<ReportsParts, "onReport" | "evidence" | "caseIds">, JournalParts {
  engine: Engine;
  system: System;
  policy: Policy;
  ice: IceConfig;
  /** Every room is relay-only. */
  forceRelay: boolean;
  /** Which way the words of rooms for video and audio take. */
  chat: Chat;
  /** Opens the proofs that the engine has had sealed. */
  proofs?: Pick<RoomProofs, "open"> | undefined;
  /** Absent: none are taken. */
  hints?: Hints | undefined;
}
