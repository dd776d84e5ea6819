/**
 * The shortcut for the calls that clients make most, in the form in which tRPC's client sends them: signals and messages, one in a frame or
 * several of one moment in an array, and `join`, `skip` and `leave`. Parsing such a frame as JSON, checking it by its schema and
 * serializing a signal again for the partner costs more than carrying it out. Every other frame is left to tRPC.
 */
import type { Caller } from "../engine/engine.ts";
import { isRejection, type Rejection } from "../domain/rejection.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import { limits, type Delivered, type StatusAnswer } from "../protocol.ts";
import { limitKeyOf, type Context } from "./context.ts";
import { refusal } from "./errors.ts";
import { countRunning, withMutationId } from "./procedures.ts";
import {
  findIntent,
  findSignals,
  type FoundIntent,
  type FoundMessage,
  type FoundSignal,
} from "./usual-frames.ts";

/** What the fast path answers with: a part of `FastReply` in trpc-ws/options.ts, which this must not depend on. */
export interface Reply {
  charge(calls: number): boolean;
  send(text: string): void;
  fail(call: { id: number; path: string; type: "mutation" }, cause: unknown): void;
}

/** Carries out the calls in a frame, and answers them; `false` if the frame has to be handled by tRPC. */
export function handleUsualFrame(frame: string, context: Context, reply: Reply): boolean {
  const signals = findSignals(frame);
  if (signals) return relayAll(signals, context, reply);
  const intent = findIntent(frame);
  return intent !== undefined && carryOutIntent(intent, context, reply);
}

/** The caller, if so many calls may begin now; else tRPC's way keeps them in order. */
function callerOf({ connection }: Context, calls: number): Caller | undefined {
  const { caller, beginning, turnstile } = connection;
  // Calls wait for a session that is only beginning.
  if (beginning) return undefined;
  return calls <= (turnstile ? turnstile.free : limits.callsInFlightMax) ? caller : undefined;
}

// What is refused by a limit costs no token here, and is refused again on tRPC's way, each call with its own error.

type Found = FoundSignal | FoundMessage;

function relayAll(found: readonly Found[], context: Context, reply: Reply): boolean {
  const caller = callerOf(context, found.length);
  if (!caller) return false;
  const { limits: callLimits } = context;
  const of = limitKeyOf(context.connection, caller);
  if (callLimits.take("signals", of, found.length)) return false;
  if (callLimits.take("bytes", of, totalLength(found))) {
    callLimits.giveBack("signals", of, found.length);
    return false;
  }
  // The frame itself has been charged for one.
  if (!reply.charge(found.length - 1)) return true;
  for (const one of found)
    answer(one, context, reply, deliveredJson, () =>
      relay(one, withMutationId(caller, one.path, one.mutationId), context),
    );
  return true;
}

function relay(one: Found, caller: Caller, context: Context): MaybePromise<Delivered | Rejection> {
  const { roomId, json } = one;
  if (one.path === "say") return context.say(caller, roomId, json);
  return context.signaling.relay(caller, { type: one.type, roomId, json });
}

function totalLength(found: readonly Found[]): number {
  let length = 0;
  for (const { json } of found) length += json.length;
  return length;
}

const deliveredJson = ({ delivered }: Delivered) =>
  delivered ? '{"delivered":true}' : '{"delivered":false}';

function carryOutIntent(intent: FoundIntent, context: Context, reply: Reply): boolean {
  const caller = callerOf(context, 1);
  if (!caller) return false;
  // Leaving must always work.
  const isLimited = intent.path !== "leave";
  const of = limitKeyOf(context.connection, caller);
  if (isLimited && context.limits.take("intents", of)) return false;
  answer(intent, context, reply, statusJson, () =>
    begin(intent, withMutationId(caller, intent.path, intent.mutationId), context),
  );
  return true;
}

const statusJson = ({ status }: StatusAnswer) => `{"status":"${status}"}`;

function begin(
  intent: FoundIntent,
  caller: Caller,
  context: Context,
): MaybePromise<StatusAnswer | Rejection> {
  switch (intent.path) {
    case "join":
      return context.join(caller, intent.wishes);
    case "skip":
      return context.skip(caller, intent.roomId);
    case "leave":
      return context.signaling.leave(caller);
  }
}

/** Makes a call and sends its result, or its error. */
function answer<Result extends object>(
  { id, path }: Found | FoundIntent,
  { connection }: Context,
  reply: Reply,
  toJson: (result: Result) => string,
  call: () => MaybePromise<Result | Rejection>,
): void {
  const fail = (cause: unknown) => reply.fail({ id, path, type: "mutation" }, cause);
  const respond = (result: Result | Rejection) =>
    isRejection(result)
      ? fail(refusal(result))
      : reply.send(`{"id":${id},"result":{"type":"data","data":${toJson(result)}}}`);
  try {
    const made = call();
    if (!(made instanceof Promise)) return respond(made);
    countRunning(connection, made);
    made.then(respond, fail);
  } catch (cause) {
    fail(cause);
  }
}
