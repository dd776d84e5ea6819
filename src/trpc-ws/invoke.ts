/**
 * Calls procedures as tRPC's own `callTRPCProcedure` does, which spends more on copying its options from middleware to middleware
 * than the middlewares themselves do.
 */
import {
  callTRPCProcedure,
  getTRPCErrorFromUnknown,
  TRPCError,
  type AnyTRPCMiddlewareFunction,
  type AnyTRPCRouter,
  type TRPCProcedureType,
} from "@trpc/server";
import {
  getParseFn,
  isObject,
  middlewareMarker,
  type MiddlewareResult,
  type Parser,
} from "@trpc/server/unstable-core-do-not-import";

interface Invocation {
  path: string;
  type: TRPCProcedureType;
  ctx: unknown;
  rawInput: unknown;
  /** The `signal` of the call is read from here, if a procedure uses it. */
  abort: { readonly signal: AbortSignal };
  /** Its index in its batch. */
  batchIndex: number;
}

/** The definition of a built procedure. */
interface Definition {
  type: TRPCProcedureType;
  meta: unknown;
  /** In order; the last one calls the resolver. */
  middlewares: readonly AnyTRPCMiddlewareFunction[];
  /** The parsers, in the order of their middlewares. */
  inputs: readonly Parser[];
  resolver: (options: object) => unknown;
  experimental_caller?: boolean;
}

type Result = MiddlewareResult<unknown>;

/** A step of a procedure, with context and input as the steps before it have left them. */
type Step = (
  call: Invocation,
  ctx: unknown,
  input: unknown,
  getRawInput: (() => Promise<unknown>) | undefined,
) => Result | Promise<Result>;

/** What a middleware may pass to `next`. */
interface Changes {
  ctx?: object;
  input?: unknown;
  getRawInput?: () => Promise<unknown>;
}

/**
 * Returns the result of a procedure, or a promise of it if something had to be awaited.
 * @throws, or rejects with, what the procedure throws; `NOT_FOUND` if there is none of that type.
 */
export type Invoke = (call: Invocation) => unknown;

/**
 * Calls the procedures of a router. The steps of each are composed once; a call uses promises only where something has to be
 * awaited.
 */
export function createInvoke(router: AnyTRPCRouter): Invoke {
  const routes = new Map<string, { type: TRPCProcedureType; first: Step }>();
  const procedures = router._def.procedures as Record<string, { _def: Definition }>;
  for (const [path, { _def: definition }] of Object.entries(procedures))
    if (!definition.experimental_caller)
      routes.set(path, { type: definition.type, first: stepsOf(definition) });

  return (call) => {
    const route = routes.get(call.path);
    // Lazy routers, experimental callers and unknown procedures are left to tRPC.
    if (route?.type !== call.type)
      return callTRPCProcedure({
        ...call,
        router,
        signal: call.abort.signal,
        getRawInput: async () => call.rawInput,
      });
    const result = route.first(call, call.ctx, undefined, undefined);
    return result instanceof Promise ? result.then(unpack) : unpack(result);
  };
}

function unpack(result: Result | undefined): unknown {
  if (!result)
    throw new TRPCError({
      code: "INTERNAL_SERVER_ERROR",
      message: "No result from middlewares - did you forget to `return next()`?",
    });
  if (!result.ok) throw result.error;
  return result.data;
}

/** Composed from the last to the first, each with a reference to the next. */
function stepsOf(definition: Definition): Step {
  const { middlewares, inputs, meta } = definition;
  let step = resolverStep(definition);
  let parsers = inputs.length;
  for (const middleware of middlewares.slice(0, -1).toReversed()) {
    if (middleware._type === "input") {
      parsers -= 1;
      step = inputStep(inputs[parsers] as Parser, step);
    } else step = middlewareStep(middleware, meta, step);
  }
  return step;
}

/** The options of a resolver. Those that are rarely used are created on access. */
class ResolverOptions {
  readonly ctx: unknown;
  readonly type: TRPCProcedureType;
  readonly path: string;
  readonly input: unknown;
  readonly meta: unknown;
  readonly batchIndex: number;
  protected readonly call: Invocation;
  protected readonly givenRawInput: RawInput;

  constructor(call: Invocation, ctx: unknown, input: unknown, raw: RawInput, meta: unknown) {
    this.ctx = ctx;
    this.type = call.type;
    this.path = call.path;
    this.input = input;
    this.meta = meta;
    this.batchIndex = call.batchIndex;
    this.call = call;
    this.givenRawInput = raw;
  }

  get signal(): AbortSignal {
    return this.call.abort.signal;
  }

  get getRawInput(): () => Promise<unknown> {
    return this.givenRawInput ?? (async () => this.call.rawInput);
  }
}

class MiddlewareOptions extends ResolverOptions {
  readonly #after: Step;

  constructor(
    after: Step,
    ...options: [call: Invocation, ctx: unknown, input: unknown, raw: RawInput, meta: unknown]
  ) {
    super(...options);
    this.#after = after;
  }

  get next(): (changes?: Changes) => Promise<Result> {
    return async (changes) => this.proceed(changes);
  }

  /** As `next`, but synchronous where nothing has to be awaited, for middlewares that know it. */
  proceed(changes?: Changes): Result | Promise<Result> {
    return this.#after(
      this.call,
      changes?.ctx ? { ...(this.ctx as object), ...changes.ctx } : this.ctx,
      changes && "input" in changes ? changes.input : this.input,
      changes?.getRawInput ?? this.givenRawInput,
    );
  }
}

function middlewareStep(middleware: AnyTRPCMiddlewareFunction, meta: unknown, after: Step): Step {
  const run = middleware as unknown as (options: MiddlewareOptions) => Result | Promise<Result>;
  return (call, ctx, input, getRawInput) => {
    try {
      const result = run(new MiddlewareOptions(after, call, ctx, input, getRawInput, meta));
      return result instanceof Promise ? result.catch(failure) : result;
    } catch (cause) {
      return failure(cause);
    }
  };
}

/** As tRPC's input middleware. */
function inputStep(parser: Parser, after: Step): Step {
  const parse = getParseFn(parser);
  const proceed = (
    call: Invocation,
    ctx: unknown,
    input: unknown,
    parsed: unknown,
    raw: RawInput,
  ) =>
    after(call, ctx, isObject(input) && isObject(parsed) ? { ...input, ...parsed } : parsed, raw);
  const refused = (cause: unknown) => failure(new TRPCError({ code: "BAD_REQUEST", cause }));

  return (call, ctx, input, getRawInput) => {
    let parsed: unknown;
    try {
      parsed = getRawInput ? getRawInput().then(parse) : parse(call.rawInput);
    } catch (cause) {
      return refused(cause);
    }
    if (!(parsed instanceof Promise)) return proceed(call, ctx, input, parsed, getRawInput);
    return parsed.then((value) => proceed(call, ctx, input, value, getRawInput), refused);
  };
}

type RawInput = (() => Promise<unknown>) | undefined;

function resolverStep({ resolver, meta }: Definition): Step {
  return (call, ctx, input, getRawInput) => {
    const done = (data: unknown): Result =>
      ({ marker: middlewareMarker, ok: true, data, ctx }) as Result;
    try {
      const data = resolver(new ResolverOptions(call, ctx, input, getRawInput, meta));
      return isAwaitable(data) ? Promise.resolve(data).then(done, failure) : done(data);
    } catch (cause) {
      return failure(cause);
    }
  };
}

/** What `await` waits for: a promise, or an object that is one in its own way, such as the queries of database libraries. */
export function isAwaitable(value: unknown): value is PromiseLike<unknown> {
  return (
    value instanceof Promise ||
    (typeof value === "object" &&
      value !== null &&
      typeof (value as { then?: unknown }).then === "function")
  );
}

function failure(cause: unknown): Result {
  return { ok: false, error: getTRPCErrorFromUnknown(cause), marker: middlewareMarker };
}
