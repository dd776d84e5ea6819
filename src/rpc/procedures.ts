/** The kinds of procedures, and who may call them. */
import { initTRPC } from "@trpc/server";
import { reject } from "../domain/rejection.ts";
import type { Caller } from "../engine/engine.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import { limits } from "../protocol.ts";
import { createTurnstile, type CallKind, type Turnstile } from "./call-limits.ts";
import { nobody, type Connection, type Context } from "./context.ts";
import { formatError, refusal } from "./errors.ts";

const t = initTRPC.context<Context>().create({ isDev: false, errorFormatter: formatError });

export const { router } = t;

/** Counts a call, or the bytes of one, for its session, or for what else lasts. @throws a refusal for one too many. */
function count({ connection, limits: callLimits }: Context, kind: CallKind, tokens?: number) {
  const { caller, kind: way, addressHash } = connection;
  // An HTTP request is a connection of its own: without a session its address is all that lasts.
  const of = caller?.sessionId ?? (way === "http" ? addressHash : connection);
  const refused = callLimits.take(kind, of, tokens);
  if (refused) throw refusal(refused);
}

/**
 * Counts what is relayed to the partner by its size: a peer on a slow line is to have its own answers in time, and they
 * come behind what its partner has sent. @throws a refusal for too much.
 */
export function countBytes(ctx: Context, bytes: number): void {
  count(ctx, "bytes", bytes);
}

interface Terms {
  /**
   * Only for a session. On a socket that has none yet the caller is nobody: idle, in no room. An HTTP request
   * has no events to begin a session with, so there it needs a valid token.
   */
  withSession: boolean;
  /** How it is limited; not at all without. */
  kind?: CallKind;
}

/** Everything but subscriptions: a few at a time per connection, the rest in order. */
function callable({ withSession, kind }: Terms) {
  return t.procedure.use((options) => {
    const { ctx } = options;
    const { kind: way, caller } = ctx.connection;
    if (withSession && way === "http" && !caller) throw refusal(reject("unauthorized"));
    if (kind) count(ctx, kind);
    // tRPC's types know of promises alone; the binding takes a plain value as well.
    return through(ctx.connection, () => proceed(options)) as ReturnType<typeof options.next>;
  });
}

/**
 * Lets a few calls of a connection run at a time. A call that returns at once takes no time of others, so only those that
 * have to be awaited are counted.
 */
export function through<Result>(
  connection: Connection,
  call: () => MaybePromise<Result>,
): MaybePromise<Result> {
  const { turnstile, beginning } = connection;
  const turn = turnstile?.enter() ?? beginning;
  const made = turn ? turn.then(call) : call();
  if (!(made instanceof Promise)) {
    turnstile?.leave();
    return made;
  }
  const inside = turnstile ?? firstInto(connection);
  const leave = () => inside.leave();
  void made.then(leave, leave);
  return made;
}

function firstInto(connection: Connection): Turnstile {
  connection.turnstile = createTurnstile(limits.callsInFlightMax);
  void connection.turnstile.enter();
  return connection.turnstile;
}

/**
 * To the next step: at once where the socket's way of calling can, and in a promise where only tRPC's is at hand.
 * tRPC's types know of promises alone.
 */
function proceed<Result>(options: { next: () => Promise<Result> }): Promise<Result> {
  return "proceed" in options
    ? (options as { proceed: typeof options.next }).proceed()
    : options.next();
}

/** For everybody, with or without a session. */
export const publicProcedure = callable({ withSession: false, kind: "signals" });
/** What is told to the partner, and questions. */
export const signalProcedure = callable({ withSession: true, kind: "signals" });
/** What changes where a peer stands. */
export const intentProcedure = callable({ withSession: true, kind: "intents" });
/** To go is always allowed. */
export const freeProcedure = callable({ withSession: true });

/**
 * A stream for everybody. Of the wide bucket: tRPC's client gives up a
 * subscription that is refused, and one on a bad network opens it often.
 */
export const streamProcedure = t.procedure.use((options) => {
  count(options.ctx, "signals");
  return proceed(options);
});

/** Counts a stream more. @throws a refusal for one too many. */
export function openStream(connection: Connection): void {
  if (connection.subscriptions >= limits.subscriptionsMax)
    throw refusal(reject("rate-limited", { retryAfterMs: 1000 }));
  connection.subscriptions += 1;
}

/** Until the answer is called, calls wait: the session they are made for is only just beginning. */
export function beginSession(connection: Connection): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  connection.beginning = promise;
  return () => {
    if (connection.beginning === promise) connection.beginning = undefined;
    resolve();
  };
}

/** Who calls, and under which id: the same id in another procedure is another mutation. */
export function callerOf(call: {
  ctx: Context;
  path: string;
  input: { id?: string | undefined };
}): Caller {
  const caller = call.ctx.connection.caller ?? nobody;
  if (call.input.id === undefined) return caller;
  return { ...caller, mutationId: `${call.path} ${call.input.id}` };
}
