/**
 * One connection of tRPC v11's WebSocket protocol over an abstract socket. The rules are those of tRPC's own handler
 * (`@trpc/server/adapters/ws`), which the differential tests compare with, and what a server open to strangers needs
 * besides: a malformed call is answered under its own id and affects no other in its frame; a frame that is too large is
 * answered for each call in it; initialisation has a deadline; calls are limited.
 */
import { getTRPCErrorFromUnknown, getTRPCErrorShape, TRPCError } from "@trpc/server";
import { isObservable } from "@trpc/server/observable";
import { isAsyncIterable } from "@trpc/server/unstable-core-do-not-import";
import { closeCodes } from "./close-codes.ts";
import { isAwaitable, type Invoke } from "./invoke.ts";
import { KeepAlive, type KeepAliveWheel } from "./keep-alive.ts";
import type { FastCall, FastReply, TrpcWebSocketLimits, TrpcWebSocketOptions } from "./options.ts";
import {
  isLonger,
  malformed,
  noCall,
  parseJson,
  prefixOf,
  readConnectionParams,
  readMessage,
  type About,
  type Call,
} from "./requests.ts";
import { opaqueError, responsePrefix, type CallId, type ResponseEncoder } from "./responses.ts";
import type { Socket, SocketListener, UpgradeRequest } from "./socket.ts";
import { Subscription, type SubscriptionHost } from "./subscription.ts";

/** What all connections of a server have in common. */
export interface ConnectionParts<Context, Data> {
  options: TrpcWebSocketOptions<Context, Data>;
  elapsed: () => number;
  schedule: (delayMs: number, task: () => void) => () => void;
  limits: TrpcWebSocketLimits;
  initTimeoutMs: number;
  encoder: ResponseEncoder;
  invoke: Invoke;
  /** `undefined`: keep-alive is off. */
  wheel: KeepAliveWheel | undefined;
  onClose: (connection: Connection<Context, Data>, code: number) => void;
}

/** While a connection is being initialised. */
interface Initialisation<Data> {
  readonly request: UpgradeRequest<Data>;
  readonly cancelTimeout: () => void;
  /** Whether the first message, with the connection parameters, has yet to come. */
  awaitsParams: boolean;
  /** Frames that arrived while `createContext` is pending. */
  readonly frames: (string | Uint8Array)[];
}

/** A class, as there is one per socket, and closures would cost memory for each of them. */
export class Connection<Context, Data> implements SocketListener, SubscriptionHost, FastReply {
  readonly socket: Socket;
  readonly data: Data;
  readonly #parts: ConnectionParts<Context, Data>;
  readonly #keepAlive: KeepAlive | undefined;
  /** Few, and nearly always one: a map would take more memory. */
  #subscriptions: Subscription[] = [];
  #initialisation: Initialisation<Data> | undefined;
  #context: Context | undefined;
  /** Why there is no context. */
  #failure: TRPCError | undefined;
  /** The time at which the bucket of calls is full again (generic cell rate algorithm). */
  #callsFullAt = 0;
  /** For queries and mutations, which nothing aborts; made when a procedure asks for it. */
  #neverAborted: AbortSignal | undefined;

  constructor(parts: ConnectionParts<Context, Data>, socket: Socket, data: Data) {
    this.socket = socket;
    this.data = data;
    this.#parts = parts;
    this.#keepAlive = parts.wheel && new KeepAlive(socket, parts.wheel);
  }

  /** What `createContext` has made. */
  get context(): Context | undefined {
    return this.#context;
  }

  get encoder(): ResponseEncoder {
    return this.#parts.encoder;
  }

  // -------------------------------------------------------------------------------------------
  // The socket's events

  open(request: UpgradeRequest<Data>): void {
    // Parsed as tRPC parses it, or a socket could announce parameters without getting a deadline.
    const { searchParams } = new URL(request.url, "ws://localhost");
    if (searchParams.get("connectionParams") === "1") this.#initialise(request, true);
    else this.#createContext(request, () => ({}));
  }

  message(data: string | Uint8Array): void {
    // What arrives after the socket was closed is neither read nor answered.
    if (!this.isOpen) return;
    const now = this.#parts.elapsed();
    if (!this.charge(1, now)) return;
    this.#keepAlive?.touch(now);
    if (data === "PONG") return;
    if (data === "PING") return this.socket.send("PONG");
    if (isLonger(data, this.#parts.limits.frameBytesMax)) return this.#rejectLargeFrame(data);
    const initialisation = this.#initialisation;
    if (!initialisation) return this.#read(data);
    if (initialisation.awaitsParams) {
      initialisation.awaitsParams = false;
      return this.#createContext(initialisation.request, () => readConnectionParams(data));
    }
    if (initialisation.frames.push(data) > this.#parts.limits.pendingFramesMax)
      this.socket.close(closeCodes.tooManyRequests, "too many requests");
  }

  close(code = 1006): void {
    this.#keepAlive?.end();
    this.#initialisation?.cancelTimeout();
    this.#initialisation = undefined;
    for (const subscription of this.#subscriptions) subscription.stop();
    this.#parts.onClose(this, code);
  }

  // -------------------------------------------------------------------------------------------
  // Initialisation

  #initialise(request: UpgradeRequest<Data>, awaitsParams: boolean): void {
    const { schedule, initTimeoutMs } = this.#parts;
    const cancelTimeout = schedule(initTimeoutMs, () =>
      this.socket.close(closeCodes.initTimeout, "not initialised in time"),
    );
    this.#initialisation = { request, cancelTimeout, awaitsParams, frames: [] };
  }

  #createContext(request: UpgradeRequest<Data>, params: () => Record<string, unknown>): void {
    const { socket } = this;
    try {
      const { url, headers, data } = request;
      const created = this.#parts.options.createContext({
        url,
        headers,
        data,
        connectionParams: params(),
        socket,
      });
      if (!isAwaitable(created)) return this.#begin(created);
      if (!this.#initialisation) this.#initialise(request, false);
      Promise.resolve(created).then(
        (context) => this.#begin(context),
        (cause) => this.#failToBegin(cause),
      );
    } catch (cause) {
      this.#failToBegin(cause);
    }
  }

  #begin(context: Context): void {
    this.#context = context;
    const initialisation = this.#initialisation;
    this.#initialisation = undefined;
    if (!initialisation) return;
    initialisation.cancelTimeout();
    if (this.isOpen) for (const frame of initialisation.frames) this.#read(frame);
  }

  #failToBegin(cause: unknown): void {
    const initialisation = this.#initialisation;
    initialisation?.cancelTimeout();
    this.#initialisation = undefined;
    const failure = (this.#failure = getTRPCErrorFromUnknown(cause));
    this.#sendErrorTo([responsePrefix(null)], failure);
    // Each call that has waited is answered with the failure, so that its caller learns why.
    if (this.isOpen) for (const frame of initialisation?.frames ?? []) this.#read(frame);
    // In a turn of its own, so that the error reaches the peer before.
    const { closeCodeOf = () => 1000 } = this.#parts.options;
    this.#parts.schedule(0, () => this.socket.close(closeCodeOf(failure), ""));
  }

  // -------------------------------------------------------------------------------------------
  // Frames

  #read(data: string | Uint8Array): void {
    const { fastPath } = this.#parts.options;
    if (fastPath && typeof data === "string" && !this.#failure)
      if (fastPath(data, this.#context as Context, this)) return;
    let parsed: unknown;
    try {
      parsed = parseJson(data);
    } catch (cause) {
      return this.#sendErrorTo([responsePrefix(null)], malformed(cause));
    }
    if (!Array.isArray(parsed)) return this.#start(this.#admit(parsed, 0));
    if (!this.charge(parsed.length - 1)) return;
    if (parsed.length > this.#parts.limits.batchCallsMax)
      return this.#rejectBatch(
        parsed,
        new TRPCError({ code: "BAD_REQUEST", message: "Batch call exceeds maximum size" }),
      );
    // A frame is read whole before any call in it begins: a subscription that it also stops never begins.
    const admitted = parsed.map((raw, index) => this.#admit(raw, index));
    for (const one of admitted) this.#start(one);
  }

  /** Counts calls. Closes a socket that keeps calling although it is refused. */
  charge(calls: number, now = this.#parts.elapsed()): boolean {
    const { perS, burst } = this.#parts.limits.calls;
    if (perS === 0 || calls <= 0) return true;
    const fullAt = Math.max(this.#callsFullAt, now) + (calls * 1000) / perS;
    if (fullAt - now > (burst * 1000) / perS) {
      this.socket.close(closeCodes.tooManyRequests, "too many requests");
      return false;
    }
    this.#callsFullAt = fullAt;
    return true;
  }

  #start(admitted: Call | Subscription | undefined): void {
    if (admitted instanceof Subscription) admitted.run();
    else if (admitted) this.#run(admitted);
  }

  /** Reads one member of a frame. Returns what is to begin, if anything. */
  #admit(raw: unknown, batchIndex: number): Call | Subscription | undefined {
    const { transformer } = this.#parts.options.router._def._config;
    const message = readMessage(raw, batchIndex, transformer);
    if ("malformed" in message) {
      this.#sendErrorTo([message.prefix], malformed(message.malformed));
      return undefined;
    }
    if ("stop" in message) {
      this.#subscription(message.stop)?.stop();
      return undefined;
    }
    if (message.type !== "subscription") return message;
    const refused = this.#refuseSubscription(message.id);
    if (refused) {
      this.trySendError(message, refused);
      return undefined;
    }
    const subscription = new Subscription(this, message);
    this.#subscriptions = [...this.#subscriptions, subscription];
    return subscription;
  }

  #refuseSubscription(id: CallId): TRPCError | undefined {
    if (this.#subscription(id))
      return new TRPCError({ code: "BAD_REQUEST", message: `Duplicate id ${id}` });
    const { subscriptionsMax } = this.#parts.limits;
    if (this.#subscriptions.length < subscriptionsMax) return undefined;
    const message = `A socket may have at most ${subscriptionsMax} subscriptions`;
    return new TRPCError({ code: "TOO_MANY_REQUESTS", message });
  }

  #subscription(id: CallId): Subscription | undefined {
    return this.#subscriptions.find((subscription) => subscription.id === id);
  }

  // -------------------------------------------------------------------------------------------
  // Calls

  #run(call: Call): void {
    try {
      const result = this.invoke(call, this);
      if (!(result instanceof Promise)) return this.#respond(call, result);
      result.then(
        (late) => this.#respond(call, late),
        (cause) => this.trySendError(call, cause),
      );
    } catch (cause) {
      this.trySendError(call, cause);
    }
  }

  /** Of queries and mutations. */
  get signal(): AbortSignal {
    this.#neverAborted ??= new AbortController().signal;
    return this.#neverAborted;
  }

  #respond(call: Call, result: unknown): void {
    try {
      if (isAsyncIterable(result) || isObservable(result))
        throw new TRPCError({
          code: "UNSUPPORTED_MEDIA_TYPE",
          message: `Cannot return an async iterable or observable from a ${call.type} procedure with WebSockets`,
        });
      if (this.isOpen) this.send(this.encoder.data(call.prefix, result));
    } catch (cause) {
      this.trySendError(call, cause);
    }
  }

  get isOpen(): boolean {
    return this.socket.open;
  }

  send(text: string): void {
    this.socket.send(text);
  }

  invoke(call: Call, abort: { readonly signal: AbortSignal }): unknown {
    if (this.#failure) throw this.#failure;
    const { path, input, type, batchIndex } = call;
    const ctx = this.#context;
    return this.#parts.invoke({ path, rawInput: input, ctx, type, abort, batchIndex });
  }

  release({ id }: Call): void {
    // A new list, as the old one may be iterated.
    this.#subscriptions = this.#subscriptions.filter((subscription) => subscription.id !== id);
  }

  fail({ id, path, type }: FastCall, cause: unknown): void {
    const prefix = responsePrefix(id);
    this.trySendError({ id, prefix, type, path, input: undefined, batchIndex: 0 }, cause);
  }

  // -------------------------------------------------------------------------------------------
  // Errors

  report({ type, path, input }: About, cause: unknown): TRPCError {
    const error = getTRPCErrorFromUnknown(cause);
    const { router, onError } = this.#parts.options;
    const isKnown = path !== undefined && Object.hasOwn(router._def.procedures, path);
    try {
      onError?.({ error, path: isKnown ? path : undefined, type, input, ctx: this.#context });
    } catch {
      // There is nothing else to report it to, and the peer still expects its response.
    }
    return error;
  }

  sendError(call: Call, cause: unknown): void {
    this.#sendShape(call.prefix, this.#shape(this.report(call, cause), call));
  }

  trySendError(call: Call, cause: unknown): void {
    try {
      this.sendError(call, cause);
    } catch (unserializable) {
      this.report(call, unserializable);
      this.#sendOpaqueError(call.prefix);
    }
  }

  /** Sends the same error for calls that are not made. */
  #sendErrorTo(prefixes: readonly string[], cause: TRPCError): void {
    const shape = this.#shape(this.report(noCall, cause), noCall);
    for (const prefix of prefixes)
      try {
        this.#sendShape(prefix, shape);
      } catch (unserializable) {
        this.report(noCall, unserializable);
        this.#sendOpaqueError(prefix);
      }
  }

  #rejectBatch(calls: readonly unknown[], error: TRPCError): void {
    const prefixes = calls.flatMap((call) => prefixOf(call) ?? []);
    this.#sendErrorTo(prefixes.length === 0 ? [responsePrefix(null)] : prefixes, error);
  }

  /** Answers every call in the frame, so that the client waits for none of them. Only their ids are read. */
  #rejectLargeFrame(data: string | Uint8Array): void {
    const { frameBytesMax, batchCallsMax } = this.#parts.limits;
    let calls: unknown[];
    try {
      calls = [parseJson(data)].flat();
    } catch {
      calls = [];
    }
    if (!this.charge(calls.length - 1)) return;
    calls.splice(batchCallsMax);
    const message = `A frame must be at most ${frameBytesMax} bytes`;
    this.#rejectBatch(calls, new TRPCError({ code: "BAD_REQUEST", message }));
  }

  /** The error in the shape of the router's formatter. */
  #shape(error: TRPCError, { type, path, input }: About): unknown {
    const ctx = this.#context;
    try {
      const config = this.#parts.options.router._def._config;
      return getTRPCErrorShape({ config, error, type, path, input, ctx });
    } catch (bug) {
      this.report({ type, path, input }, bug);
      return opaqueError;
    }
  }

  #sendShape(prefix: string, shape: unknown): void {
    if (this.isOpen) this.send(this.encoder.error(prefix, shape));
  }

  #sendOpaqueError(prefix: string): void {
    try {
      this.#sendShape(prefix, opaqueError);
    } catch {
      // The transformer serializes nothing at all; that has been reported.
    }
  }
}
