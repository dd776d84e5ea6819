/**
 * tRPC v11's WebSocket protocol over an abstract socket: what `@trpc/client`'s `wsLink` speaks.
 *
 * The rules are those of tRPC's own handler (`@trpc/server/adapters/ws`), which the tests hold this against,
 * but for what a server open to strangers needs besides: each malformed call is answered under its own id and
 * costs none beside it; a frame that is too large is answered for each call in it; a first message that is
 * announced has a deadline; `onError` names only procedures that there are.
 */
import {
  getTRPCErrorFromUnknown,
  getTRPCErrorShape,
  TRPCError,
  type AnyTRPCRouter,
  type TRPCProcedureType,
} from "@trpc/server";
import { isObservable } from "@trpc/server/observable";
import {
  isAsyncIterable,
  parseConnectionParamsFromUnknown,
} from "@trpc/server/unstable-core-do-not-import";
import { limits } from "../protocol.ts";
import { createAnswers, headOf, namelessError, type Answers, type CallId } from "./answers.ts";
import { answeredUnder, isLonger, readMessage, type Call } from "./calls.ts";
import { closeCodes } from "./close-codes.ts";
import { KeepAlive, KeepAlives, type Timing } from "./deadlines.ts";
import { createInvoke, type Invoke } from "./invoke.ts";
import type { AcceptSocket, Socket, SocketListener, Upgrade } from "./socket.ts";
import { Subscription, type SubscriptionHost } from "./subscription.ts";

export interface RpcSocketOptions<Context> extends Timing {
  router: AnyTRPCRouter;
  /**
   * Once per socket, after the first message where connection parameters are announced. What it throws is
   * told, and the socket closed.
   */
  /**
   * Counts the calls of a frame against its socket's bucket: refused ones, malformed ones and those without a method
   * too, since refusing costs as much. `false` closes the socket. Absent: calls are not counted.
   */
  chargeCalls?: ((bucket: CallBucket, calls: number) => boolean) | undefined;
  createContext: (params: Record<string, unknown>, socket: Socket, upgrade: Upgrade) => Context;
  /**
   * Recognises frames that need not be read as JSON, nor their input by the router's transformer: the call that such
   * a frame makes.
   */
  recognise?: (frame: string) => Call | undefined;
  /**
   * Told of everything that is refused or goes wrong.
   * @param path of a procedure that there is: another is what a peer has made up.
   */
  onError: (error: TRPCError, path: string | undefined) => void;
}

/** What speaks tRPC with every socket it is given. */
export function createRpcSockets<Context>(options: RpcSocketOptions<Context>): AcceptSocket {
  const answers = createAnswers(options.router._def._config.transformer);
  const keepAlives = new KeepAlives(options);
  const parts = { ...options, keepAlives, invoke: createInvoke(options.router) };
  return (socket, upgrade) => new Connection(parts, answers, socket, upgrade);
}

interface Parts<Context> extends RpcSocketOptions<Context> {
  keepAlives: KeepAlives;
  invoke: Invoke;
}

/** What `chargeCalls` keeps of a socket; the meaning of the time is its own. */
export interface CallBucket {
  fullAt: number;
}

/** What an error is about; nothing, where it is of no call. */
interface About {
  type: TRPCProcedureType | "unknown";
  path: string | undefined;
  input: unknown;
}

const nothing: About = { type: "unknown", path: undefined, input: undefined };

/** A class, for its memory: there is one per socket, and closures cost each of them. */
class Connection<Context> implements SocketListener, SubscriptionHost, CallBucket {
  readonly answers: Answers;
  /** For `chargeCalls`. */
  fullAt = 0;
  readonly #options: Parts<Context>;
  readonly #socket: Socket;
  readonly #keepAlive: KeepAlive;
  /** Few, and nearly always one: a map would weigh more. */
  #subscriptions: Subscription[] = [];
  /** What every call is made with; absent until the announced first message. */
  #context: Context | undefined;
  /** Why no call can be made. */
  #failure: TRPCError | undefined;
  /** Of queries and mutations, which nothing stops: made when somebody asks for it. */
  #neverAborts: AbortSignal | undefined;
  /** What the announced first message is needed for, and how to give up its deadline. */
  #awaited: { upgrade: Upgrade; cancel: () => void } | undefined;

  constructor(options: Parts<Context>, answers: Answers, socket: Socket, upgrade: Upgrade) {
    this.answers = answers;
    this.#options = options;
    this.#socket = socket;
    this.#keepAlive = new KeepAlive(socket, options.keepAlives);
    // Read as tRPC reads it, or a socket could make it wait without a deadline.
    const { searchParams } = new URL(upgrade.url, "ws://localhost");
    if (searchParams.get("connectionParams") === "1")
      this.#awaited = {
        upgrade,
        cancel: options.schedule(options.deadlines.firstMessageMs, () =>
          socket.close(closeCodes.mute, "no first message"),
        ),
      };
    else this.#begin(() => ({}), upgrade);
  }

  // -------------------------------------------------------------------------------------------
  // What the socket tells

  message(data: string | Uint8Array): void {
    // What arrives after the socket was closed is neither read nor answered.
    if (!this.open || !this.#charge(1)) return;
    this.#keepAlive.heard();
    if (data === "PONG") return;
    if (data === "PING") return this.#socket.send("PONG");
    const isTooLarge =
      typeof data === "string"
        ? isLonger(data, limits.frameBytesMax)
        : data.byteLength > limits.frameBytesMax;
    if (isTooLarge) return this.#refuseLarge(data);
    if (!this.#awaited) return this.#read(data);
    const { upgrade, cancel } = this.#awaited;
    this.#awaited = undefined;
    cancel();
    this.#begin(() => readConnectionParams(data), upgrade);
  }

  close(): void {
    this.#keepAlive.end();
    this.#awaited?.cancel();
    for (const subscription of this.#subscriptions) subscription.stop();
  }

  // -------------------------------------------------------------------------------------------
  // Frames

  #begin(readParams: () => Record<string, unknown>, upgrade: Upgrade) {
    try {
      this.#context = this.#options.createContext(readParams(), this.#socket, upgrade);
    } catch (cause) {
      const failure = getTRPCErrorFromUnknown(cause);
      this.#failure = failure;
      this.#refuseUnder([headOf(null)], failure);
      // Not before the peer could be told why.
      this.#options.schedule(0, () => this.#socket.close(1000, ""));
    }
  }

  #read(data: string | Uint8Array) {
    const recognised = typeof data === "string" ? this.#options.recognise?.(data) : undefined;
    if (recognised) return this.#run(recognised);
    let parsed: unknown;
    try {
      parsed = parseJson(data);
    } catch (cause) {
      return this.#refuseUnder([headOf(null)], malformed(cause));
    }
    if (!Array.isArray(parsed)) return this.#start(this.#admit(parsed, 0));
    if (!this.#charge(parsed.length - 1)) return;
    if (parsed.length > limits.batchCallsMax) {
      const tooMany = new TRPCError({
        code: "BAD_REQUEST",
        message: "Batch call exceeds maximum size",
      });
      return this.#refuseEach(parsed, tooMany);
    }
    // A frame is read whole before anything in it is begun: what it also stops never begins.
    const admitted = parsed.map((raw, index) => this.#admit(raw, index));
    for (const one of admitted) this.#start(one);
  }

  /** Closes a socket that keeps calling although it is refused. */
  #charge(calls: number): boolean {
    const { chargeCalls } = this.#options;
    if (!chargeCalls || calls <= 0 || chargeCalls(this, calls)) return true;
    this.#socket.close(closeCodes.flooding, "flooding");
    return false;
  }

  #start(admitted: Call | Subscription | undefined) {
    if (admitted instanceof Subscription) admitted.run();
    else if (admitted) this.#run(admitted);
  }

  /** Reads one member of a frame, does what has to be done at once, and answers what is to be begun. */
  #admit(raw: unknown, batchIndex: number): Call | Subscription | undefined {
    const message = readMessage(raw, batchIndex, this.#options.router._def._config.transformer);
    if ("malformed" in message) {
      this.#refuseUnder([message.head], malformed(message.malformed));
      return undefined;
    }
    if ("stop" in message) {
      this.#subscriptionOf(message.stop)?.stop();
      return undefined;
    }
    if (message.type !== "subscription") return message;
    if (this.#subscriptionOf(message.id)) {
      this.refuseAnyhow(
        message,
        new TRPCError({ code: "BAD_REQUEST", message: `Duplicate id ${message.id}` }),
      );
      return undefined;
    }
    const subscription = new Subscription(this, message);
    this.#subscriptions = [...this.#subscriptions, subscription];
    return subscription;
  }

  #subscriptionOf(id: CallId): Subscription | undefined {
    return this.#subscriptions.find((subscription) => subscription.id === id);
  }

  // -------------------------------------------------------------------------------------------
  // Calls

  #run(call: Call) {
    try {
      const result = this.invoke(call, this);
      if (!(result instanceof Promise)) return this.#answer(call, result);
      result.then(
        (late) => this.#answer(call, late),
        (cause) => this.refuseAnyhow(call, cause),
      );
    } catch (cause) {
      this.refuseAnyhow(call, cause);
    }
  }

  /** Of queries and mutations. */
  get signal(): AbortSignal {
    this.#neverAborts ??= new AbortController().signal;
    return this.#neverAborts;
  }

  #answer(call: Call, result: unknown) {
    try {
      if (isAsyncIterable(result) || isObservable(result))
        throw new TRPCError({
          code: "UNSUPPORTED_MEDIA_TYPE",
          message: `Cannot return an async iterable or observable from a ${call.type} procedure with WebSockets`,
        });
      if (this.open) this.say(this.answers.data(call.head, result));
    } catch (cause) {
      this.refuseAnyhow(call, cause);
    }
  }

  get open(): boolean {
    return this.#socket.open;
  }

  say(text: string): void {
    this.#socket.send(text);
  }

  invoke(call: Call, abort: { readonly signal: AbortSignal }): unknown {
    if (this.#failure) throw this.#failure;
    const { path, input, type, batchIndex } = call;
    const ctx = this.#context;
    return this.#options.invoke({ path, rawInput: input, ctx, type, abort, batchIndex });
  }

  release({ id }: Call): void {
    // A new list: the old one may be being gone through.
    this.#subscriptions = this.#subscriptions.filter((subscription) => subscription.id !== id);
  }

  // -------------------------------------------------------------------------------------------
  // Errors

  report(about: About, cause: unknown): TRPCError {
    const error = getTRPCErrorFromUnknown(cause);
    const { path } = about;
    const { router, onError } = this.#options;
    try {
      onError(
        error,
        path !== undefined && Object.hasOwn(router._def.procedures, path) ? path : undefined,
      );
    } catch {
      // There is nobody else to tell; and the peer still waits for its answer.
    }
    return error;
  }

  refuse(call: Call, cause: unknown): void {
    this.#say(call.head, this.#shape(this.report(call, cause), call));
  }

  refuseAnyhow(call: Call, cause: unknown): void {
    try {
      this.refuse(call, cause);
    } catch (unworded) {
      this.report(call, unworded);
      this.#sayNameless(call.head);
    }
  }

  /** Calls that are not made, each told the same. */
  #refuseUnder(heads: readonly string[], cause: TRPCError) {
    const shape = this.#shape(this.report(nothing, cause), nothing);
    for (const head of heads)
      try {
        this.#say(head, shape);
      } catch (unworded) {
        this.report(nothing, unworded);
        this.#sayNameless(head);
      }
  }

  #refuseEach(calls: readonly unknown[], error: TRPCError) {
    const heads = calls.flatMap((call) => answeredUnder(call)?.head ?? []);
    this.#refuseUnder(heads.length === 0 ? [headOf(null)] : heads, error);
  }

  /** So that none of its calls is waited for; only their ids are read. */
  #refuseLarge(data: string | Uint8Array) {
    let calls: unknown[];
    try {
      calls = [parseJson(data)].flat();
    } catch {
      calls = [];
    }
    if (!this.#charge(calls.length - 1)) return;
    calls.splice(limits.batchCallsMax);
    this.#refuseEach(
      calls,
      new TRPCError({
        code: "BAD_REQUEST",
        message: `A frame must be at most ${limits.frameBytesMax} bytes`,
      }),
    );
  }

  /** As the router's formatter makes it. */
  #shape(error: TRPCError, { type, path, input }: About): unknown {
    const ctx = this.#context;
    try {
      const config = this.#options.router._def._config;
      return getTRPCErrorShape({ config, error, type, path, input, ctx });
    } catch (bug) {
      this.report({ type, path, input }, bug);
      return namelessError;
    }
  }

  #say(head: string, shape: unknown) {
    if (this.open) this.say(this.answers.error(head, shape));
  }

  #sayNameless(head: string) {
    try {
      this.#say(head, namelessError);
    } catch {
      // The transformer takes nothing at all; that has been reported.
    }
  }
}

function malformed(cause: unknown): TRPCError {
  return new TRPCError({ code: "PARSE_ERROR", cause });
}

/** @throws for a binary frame, and what is no JSON. */
function parseJson(data: string | Uint8Array): unknown {
  if (typeof data !== "string") throw new Error("JSON travels in text frames");
  return JSON.parse(data);
}

/** @throws a `PARSE_ERROR` for anything but an object of texts, or null. */
function readConnectionParams(data: string | Uint8Array): Record<string, unknown> {
  let message: unknown;
  try {
    message = parseJson(data);
    if (typeof message !== "object" || message === null || Array.isArray(message))
      throw new Error("Message was not an object");
  } catch (cause) {
    throw new TRPCError({
      code: "PARSE_ERROR",
      message: "Malformed TRPCConnectionParamsMessage",
      cause,
    });
  }
  return { ...parseConnectionParamsFromUnknown((message as { data?: unknown }).data) };
}
