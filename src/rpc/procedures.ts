/** The kinds of procedures: who may call them, and how they are limited. */
import { initTRPC } from "@trpc/server";
import { reject } from "../domain/rejection.ts";
import type { Caller } from "../engine/engine.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import { limits } from "../protocol.ts";
import { createTurnstile, type CallKind, type Turnstile } from "./call-limits.ts";
import { anonymous, limitKeyOf, type Connection, type Context } from "./context.ts";
import { formatError, refusal } from "./errors.ts";

/**
 * Over HTTP a silent stream is pinged often enough that proxies keep it open, and that a client which misses two pings comes back
 * before its session's grace is over.
 */
const pingMs = 5000;

export const t = initTRPC.context<Context>().create({
  isDev: false,
  errorFormatter: formatError,
  sse: {
    ping: { enabled: true, intervalMs: pingMs },
    client: { reconnectAfterInactivityMs: 2.4 * pingMs },
  },
});

export const { router } = t;

/** Counts a call, or its bytes, by session; by address or socket where there is none. @throws a refusal past the limit. */
function count({ connection, limits: callLimits }: Context, kind: CallKind, tokens?: number) {
  const { caller, kind: way, addressHash } = connection;
  // Each HTTP request is a connection: without a session only its address lasts.
  const of = caller ? limitKeyOf(connection, caller) : way === "http" ? addressHash : connection;
  const refused = callLimits.take(kind, of, tokens);
  if (refused) throw refusal(refused);
}

/**
 * Counts what is relayed to the partner by its size: on a slow line the partner's own answers arrive behind it. @throws a
 * refusal past the limit.
 */
export function countBytes(ctx: Context, bytes: number): void {
  count(ctx, "bytes", bytes);
}

interface Terms {
  /**
   * Whether a session is needed. On a socket without one the caller is anonymous: idle, in no room. An HTTP request can't begin
   * a session, so it needs a valid token.
   */
  withSession: boolean;
  /** How it is limited; absent: not at all. */
  kind?: CallKind;
}

/** Queries and mutations: a few at a time per connection, the others in order. */
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
function through<Result>(
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
  if (turnstile) leaveAfter(turnstile, made);
  else countRunning(connection, made);
  return made;
}

/** Counts a call that has begun already, and has to be awaited, as one of those that run. */
export function countRunning(connection: Connection, made: Promise<unknown>): void {
  connection.turnstile ??= createTurnstile(limits.callsInFlightMax);
  void connection.turnstile.enter();
  leaveAfter(connection.turnstile, made);
}

function leaveAfter(turnstile: Turnstile, made: Promise<unknown>): void {
  const leave = () => turnstile.leave();
  void made.then(leave, leave);
}

/** Calls the next middleware: synchronously where the WebSocket binding offers it, else by tRPC's `next`. */
function proceed<Result>(options: { next: () => Promise<Result> }): Promise<Result> {
  return "proceed" in options
    ? (options as { proceed: typeof options.next }).proceed()
    : options.next();
}

/** Open to all, with or without a session. */
export const publicProcedure = callable({ withSession: false, kind: "signals" });
/** Messages to the partner, and queries. */
export const signalProcedure = callable({ withSession: true, kind: "signals" });
/** Mutations that change the peer's status. */
export const intentProcedure = callable({ withSession: true, kind: "intents" });
/** Never rate-limited: leaving must always work. */
export const freeProcedure = callable({ withSession: true });

/**
 * A subscription that is open to all. Limited as signals are: tRPC's client gives up a subscription that is refused, and on a
 * bad network it is opened often.
 */
export const streamProcedure = t.procedure.use((options) => {
  count(options.ctx, "signals");
  return proceed(options);
});

/** Counts one more stream. @throws a refusal past the limit. */
export function openStream(connection: Connection): void {
  if (connection.subscriptions >= limits.subscriptionsMax)
    throw refusal(reject("rate-limited", { retryAfterMs: 1000 }));
  connection.subscriptions += 1;
}

/** Has calls wait, until the returned function is called, for the session that is beginning. */
export function beginSession(connection: Connection): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  connection.beginning = promise;
  return () => {
    if (connection.beginning === promise) connection.beginning = undefined;
    resolve();
  };
}

/** Who makes the call. */
export function callerOf(call: {
  ctx: Context;
  path: string;
  input: { id?: string | undefined };
}): Caller {
  return withMutationId(call.ctx.connection.caller ?? anonymous, call.path, call.input.id);
}

/** The caller, with the id of its mutation. The same id in another procedure is another mutation. */
export function withMutationId(caller: Caller, path: string, id: string | undefined): Caller {
  if (id === undefined) return caller;
  const { sessionId, generation, streaming } = caller;
  return { sessionId, generation, streaming, mutationId: `${path} ${id}` };
}
