/** The package `peer-stream/server`: everything that a host application needs. */
export {
  createPeerStream,
  type LobbyStats,
  type PeerStream,
  type Whom,
} from "./app/create-peer-stream.ts";
export { ConfigError, readOptions as readConfig, type PeerStreamOptions } from "./app/options.ts";
export { challenge } from "./rpc/challenge.ts";
export { reject as refuse } from "./domain/rejection.ts";
export { cloudflareTurn, twilioTurn } from "./turn-providers.ts";
export {
  type IceProviderAnswer,
  type IceProvider,
  type IceRequest,
  type ProvidedServer,
} from "./ice.ts";
export type { AdmitHook, JoiningPeer, JoinWishes } from "./rpc/admit.ts";
export type { LaneHook } from "./rpc/lane.ts";
export type { IsOperator } from "./rpc/operator-hook.ts";
export type { PeerContext } from "./rpc/identity.ts";
export type { Authenticate, Credentials, Facts, Identity } from "./rpc/identity.ts";
export type { Facts as StatedFacts } from "./protocol.ts";
export type { FactDimension, FactsDeclaration } from "./protocol/declaration.ts";
export type { Want } from "./domain/facts.ts";
export type { AppRouter } from "./rpc/router.ts";
export type { MessageFallback, MessageHook, ReviewedMessage } from "./rpc/message-review.ts";
export type { Policy } from "./domain/matchmaker.ts";
export type { DecisionRecord, DecisionsRequest, ExportedDecision } from "./domain/decisions.ts";
export type { Grounds } from "./domain/moderation.ts";
export type { ReportNotice } from "./signaling/reports.ts";
export type {
  CheckedEvidence,
  Connected,
  Joined,
  LifecycleEvent,
  LifecyclePeer,
  Lifted,
  Paired,
  Reported,
  RoomEnded,
  Suspended,
} from "./domain/lifecycle.ts";
export type { LifecycleHooks } from "./observe/lifecycle-hooks.ts";
