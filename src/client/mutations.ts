/** The mutations that this client calls, with the types that the server's router gives them. */
import type { createTRPCClient } from "@trpc/client";
import type { inferRouterInputs, inferRouterOutputs } from "@trpc/server";
import type { Signal } from "../protocol.ts";
import type { FactsDeclaration } from "../protocol/declaration.ts";
import type { AppRouter } from "../rpc/router.ts";

/** Whatever facts are declared: that is the server's to check. */
export type AnyAppRouter = AppRouter<FactsDeclaration>;

type Inputs = inferRouterInputs<AnyAppRouter>;
export type Outputs = inferRouterOutputs<AnyAppRouter>;

export type MutationName =
  | "join"
  | "skip"
  | "again"
  | "leave"
  | "offer"
  | "answer"
  | "addIceCandidate"
  | "say"
  | "typing"
  | "media"
  | "connected"
  | "failed"
  | "hint"
  | "standby"
  | "report"
  | "block";
export type Input<K extends MutationName> = NonNullable<Exclude<Inputs[K], void>>;
export type Answer<K extends MutationName> = Outputs[K];

/** One call of a mutation, discriminated by `name`. Its `id` is added by the mutation queue. */
export type Mutation = { [K in MutationName]: { name: K; input: Input<K> } }[MutationName];

/** The mutation that relays a signal to the partner. */
export function signalMutation(signal: Signal): Mutation {
  const { roomId } = signal;
  if (signal.type === "add-ice-candidate")
    return { name: "addIceCandidate", input: { roomId, candidate: signal.candidate } };
  return { name: signal.type, input: { roomId, sdp: signal.sdp } };
}

/** What a peer tells its partner through the server besides signals. */
export type Telling = Extract<Mutation, { name: "say" | "typing" | "media" }>;

export type Rpc = ReturnType<typeof createTRPCClient<AnyAppRouter>>;

const mutations: { [K in MutationName]: (rpc: Rpc, input: Input<K>) => Promise<Answer<K>> } = {
  join: (rpc, input) => rpc.join.mutate(input),
  skip: (rpc, input) => rpc.skip.mutate(input),
  again: (rpc, input) => rpc.again.mutate(input),
  leave: (rpc, input) => rpc.leave.mutate(input),
  offer: (rpc, input) => rpc.offer.mutate(input),
  answer: (rpc, input) => rpc.answer.mutate(input),
  addIceCandidate: (rpc, input) => rpc.addIceCandidate.mutate(input),
  say: (rpc, input) => rpc.say.mutate(input),
  typing: (rpc, input) => rpc.typing.mutate(input),
  media: (rpc, input) => rpc.media.mutate(input),
  connected: (rpc, input) => rpc.connected.mutate(input),
  failed: (rpc, input) => rpc.failed.mutate(input),
  hint: (rpc, input) => rpc.hint.mutate(input),
  standby: (rpc, input) => rpc.standby.mutate(input),
  report: (rpc, input) => rpc.report.mutate(input),
  block: (rpc, input) => rpc.block.mutate(input),
};

/** Calls a mutation over tRPC. Rejects with a `TRPCClientError`. */
export function callMutation<K extends MutationName>(
  rpc: Rpc,
  name: K,
  input: Input<K>,
): Promise<Answer<K>> {
  return mutations[name](rpc, input);
}
