/** The entry of the package `peer-stream-client`: all that it exports, by name. */
export { createPeerStream, type PeerStreamOptions } from "./peer-stream.ts";
export type { CallStats, Levels } from "./call-stats.ts";
export type {
  Camera,
  CameraError,
  CameraEvent,
  CameraResult,
  Choice,
  Device,
  Devices,
  SourceResult,
  MediaSource,
} from "./camera.ts";
export type { AudioSettings, Degradation, VideoSettings } from "./media-settings.ts";
export { serveSolver } from "./proof-of-work.ts";
export type { Logger } from "./log.ts";
export type { Lifecycle, LifecycleEvent, PlatformOptions } from "./platform.ts";
export type {
  PastRoom,
  PeerStreamError,
  PeerStreamEvent,
  PeerStreamState,
  RoomEnd,
} from "./state.ts";
export type { TokenStorage } from "./token-store.ts";
export type {
  Counts,
  FrameSampling,
  Outcome,
  PeerStream,
  Processor,
  ReportDetails,
  Source,
  StartOptions,
  StillSource,
  Wishes,
} from "./types.ts";
export type {
  Candidate,
  CaseAnswer,
  Challenge,
  EndReason,
  Facts,
  FactValue,
  Hint,
  IceServer,
  Media,
  Mode,
  PeerEvent,
  PeerState,
  QuotedMessage,
  RejectionFields,
  RejectionReason,
  ReportReason,
  RoomTerms,
  Rules,
  SanctionReason,
  Signal,
  Stats,
  Status,
  StatusAnswer,
} from "../protocol.ts";
export type {
  FactDimension,
  FactsDeclaration,
  FactsInput,
  Site,
  WantsInput,
} from "../protocol/declaration.ts";
export type { AppRouter } from "../rpc/router.ts";
