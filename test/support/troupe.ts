/**
 * A router whose procedures do, on cue, everything a procedure can do to a socket: so that the same script can
 * be played before two implementations of the protocol, and nothing depends on the clock.
 */
import { initTRPC, lazy, TRPCError, tracked, type TRPCDataTransformer } from "@trpc/server";
import { observable } from "@trpc/server/observable";

/** What a script tells the procedures that wait under a key. */
export type Cue = { value: unknown } | { fail: Failure } | "end";

export const failures = ["trpc", "plain", "text", "abort", "unsayable"] as const;
export type Failure = (typeof failures)[number];

/** How a feed takes its being stopped. */
export const manners = [
  "heeds",
  "deaf",
  "aborts",
  "fails-late",
  "teardown-throws",
  "teardown-waits",
] as const;
export type Manner = (typeof manners)[number];

const circular: Record<string, unknown> = {};
circular["self"] = circular;
/** What JSON has no words for. */
const unsayable: unknown = circular;

function failWith(failure: Failure): never {
  switch (failure) {
    case "trpc":
      throw new TRPCError({ code: "CONFLICT", message: "on cue" });
    case "plain":
      throw new RangeError("on cue");
    case "text":
      // oxlint-disable-next-line no-throw-literal
      throw "on cue";
    case "abort":
      throw new DOMException("on cue", "AbortError");
    case "unsayable":
      throw new TRPCError({ code: "CONFLICT", message: "unsayable" });
  }
}

export interface TroupeOptions {
  transformer?: TRPCDataTransformer;
  /** A formatter that adds its own, throws over some errors, and makes others unsayable. */
  formats?: boolean;
}

interface Input {
  key: string;
  manner: Manner;
}

const readInput = (raw: unknown): Input => {
  const { key, manner } = raw as Partial<Input>;
  if (typeof key !== "string") throw new TypeError("a key is needed");
  return { key, manner: manner ?? "heeds" };
};

export function createTroupe({ transformer, formats = false }: TroupeOptions = {}) {
  const journal: string[] = [];
  const waiting = new Map<string, Set<(cue: Cue) => void>>();

  /** Calls back with each cue, until the answer is called. */
  function listen(key: string, heed: (cue: Cue) => void): () => void {
    const listeners = waiting.get(key) ?? new Set();
    waiting.set(key, listeners.add(heed));
    return () => listeners.delete(heed);
  }

  function cueFor(key: string): Promise<Cue> {
    return new Promise((resolve) => {
      const leave = listen(key, (cue) => {
        leave();
        resolve(cue);
      });
    });
  }

  /** The value of the next cue, or what it stands for. */
  async function play(key: string): Promise<unknown> {
    const cue = await cueFor(key);
    if (cue === "end") return "the end";
    return "fail" in cue ? failWith(cue.fail) : cue.value;
  }

  const t = initTRPC.context<{ name: string }>().create({
    isDev: false,
    ...(transformer && { transformer }),
    errorFormatter({ shape, error, type, path, input, ctx }) {
      if (!formats) return shape;
      if (error.message === "unsayable") return { ...shape, data: unsayable } as never;
      if (error.cause instanceof RangeError) throw new Error("the formatter's own");
      return { ...shape, data: { ...shape.data, type, path, input, name: ctx?.name ?? "nobody" } };
    },
  });

  /** Notes who is called, with what, and when it is told to stop. */
  const noted = t.procedure.use(async ({ path, ctx, batchIndex, signal, getRawInput, next }) => {
    const raw = JSON.stringify(await getRawInput());
    journal.push(`${ctx.name} ${path}(${raw}) at ${batchIndex}`);
    signal?.addEventListener("abort", () => journal.push(`${path}(${raw}) aborted`));
    // It never rejects: what is thrown further in comes as a result.
    const result = await next();
    journal.push(`${path}(${raw}) ${result.ok ? "answered" : result.error.message}`);
    return result;
  });
  const keyed = noted.input(readInput);

  const thenable = (key: string) => ({
    // oxlint-disable-next-line unicorn/no-thenable
    then: (resolve: (value: unknown) => void, reject: (cause: unknown) => void) =>
      void play(key).then(resolve, reject),
  });

  async function* feed({ key, manner }: Input, signal: AbortSignal | undefined) {
    const cues: Cue[] = [];
    let wake = () => {};
    const leave = listen(key, (cue) => {
      cues.push(cue);
      wake();
    });
    signal?.addEventListener("abort", () => wake());
    try {
      for (;;) {
        const cue = cues.shift();
        if (signal?.aborted && manner === "aborts") failWith("abort");
        if (signal?.aborted && manner === "fails-late") failWith("plain");
        if (signal?.aborted && manner !== "deaf") return;
        if (cue === "end") return;
        if (cue && "fail" in cue) failWith(cue.fail);
        if (cue) yield cue.value;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      leave();
      journal.push(`feed ${key} left`);
      if (manner === "teardown-waits") await cueFor(`${key} teardown`);
      if (manner === "teardown-throws") failWith("trpc");
    }
  }

  function disposable(
    { key, manner }: Input,
    way: "return" | typeof Symbol.asyncDispose = "return",
  ) {
    return {
      [Symbol.asyncIterator]: () => ({
        async next() {
          const cue = await cueFor(key);
          if (cue === "end") return { done: true, value: undefined };
          return { done: false, value: "fail" in cue ? failWith(cue.fail) : cue.value };
        },
        async [way]() {
          journal.push(`${key} disposed of`);
          if (manner === "teardown-waits") await cueFor(`${key} teardown`);
          if (manner === "teardown-throws") failWith("plain");
        },
      }),
    };
  }

  const router = t.router({
    echo: noted.input((value: unknown) => value).query(({ input }) => input),
    nested: t.router({
      echo: noted.input((value: unknown) => value).mutation(({ input }) => input),
    }),
    fail: keyed.mutation(({ input }) => failWith(input.key as Failure)),
    unsayable: noted.query(() => unsayable),
    slowQuery: keyed.query(({ input }) => play(input.key)),
    slow: keyed.mutation(({ input }) => play(input.key)),
    /** Promises of a kind of their own, such as the queries of database libraries, which begin when they are awaited. */
    thenable: keyed.query(({ input }) => thenable(input.key)),
    thenableMutation: keyed.mutation(({ input }) => thenable(input.key)),
    thenableFeed: keyed.subscription((({ input }: { input: Input }) => ({
      // oxlint-disable-next-line unicorn/no-thenable
      then: (resolve: (value: unknown) => void) => resolve(feed(input, undefined)),
    })) as never),
    stream: keyed.query(({ input, signal }) => feed(input, signal)),
    /** Middlewares that change everything there is to change, between parsers that see it. */
    layered: noted
      .input((raw: unknown) => ({ a: (raw as { a?: unknown }).a ?? "none" }))
      .use(({ ctx, next }) => next({ ctx: { name: `${ctx.name} renamed`, more: 1 } }))
      .input(async (raw: unknown) => {
        const { b } = raw as { b?: unknown };
        if (b === "bad") throw new TypeError("a bad b");
        return { b };
      })
      .use(async ({ input, next }) => {
        const result = await next({ input: { ...input, c: "put in" } });
        journal.push(`layered was ${result.ok ? "answered" : result.error.message}`);
        return result;
      })
      .use(({ next }) => next({ getRawInput: async () => ({ d: "in place of what came" }) }))
      .input((raw: unknown) => ({ d: (raw as { d?: unknown }).d }))
      .use(({ input, next }) => {
        if ((input as { a?: unknown }).a === "throw") throw new RangeError("on the way");
        return next();
      })
      .query(async ({ ctx, input, path }) => ({ ctx, input, path })),
    /** A parser whose result is no object takes the place of the input before it. */
    replaced: noted
      .input((raw: unknown) => raw)
      .input(((raw: unknown) => String(raw)) as never)
      .query(({ input }) => input as never),
    checked: noted
      .use(({ type, path, getRawInput, meta, next }) => {
        journal.push(`${type} ${path} ${String(meta)} ${typeof getRawInput}`);
        return next();
      })
      .output((value: unknown) => {
        if (value === "bad") throw new Error("not to be told");
        return [value];
      })
      .input((value: unknown) => value)
      .query(({ input }) => input as never),
    angry: noted
      .use(() => {
        throw new RangeError("at once");
      })
      .query(() => "never"),
    angryLater: noted
      .use(async () => {
        await Promise.resolve();
        throw new RangeError("later");
      })
      .query(() => "never"),
    noNext: t.procedure.use((() => undefined) as never).query(() => "never"),
    lazy: lazy(async () => ({ default: t.router({ echo: noted.query(() => "late") }) })),
    ownError: t.procedure
      .errors(({ shape }) => ({ ...shape, data: { ...shape.data, own: true } }))
      .use(({ next }) => next())
      .mutation(() => failWith("trpc")),

    feed: keyed.subscription(({ input, signal }) => feed(input, signal)),
    tracked: keyed.subscription(async function* ({ input, signal }) {
      let n = 0;
      for await (const value of feed(input, signal)) yield tracked(`${input.key}:${++n}`, value);
    }),
    /** Answers only when it is told to. */
    late: keyed.subscription(async function ({ input, signal }) {
      const leave = new Promise((_, reject) =>
        signal?.addEventListener("abort", () => {
          if (input.manner === "aborts") reject(new DOMException("gave up", "AbortError"));
          if (input.manner === "fails-late") reject(new Error("gave up"));
          const cause = new DOMException("gave up", "AbortError");
          if (input.manner === "teardown-waits") reject(new TRPCError({ code: "CONFLICT", cause }));
        }),
      );
      await Promise.race([play(input.key), leave]);
      return feed(input, signal);
    }),
    /** Begins, and ends by itself. */
    short: noted.subscription(async function* () {
      yield 1;
      yield undefined;
      yield tracked("three", undefined);
    }),
    unsayableFeed: keyed.subscription(async function* ({ input, signal }) {
      yield* feed(input, signal);
      yield unsayable;
    }),
    noFeed: noted.subscription((() => "not iterable") as never),
    brokenFeed: noted.subscription((() => ({
      [Symbol.asyncIterator]() {
        throw new Error("no iterator");
      },
    })) as never),
    brokenNext: noted.subscription((() => ({
      [Symbol.asyncIterator]: () => ({
        next() {
          throw new Error("no next");
        },
      }),
    })) as never),
    lateWatch: keyed.subscription((async ({ input }: { input: Input }) => {
      await play(input.key);
      return observable<unknown>((observer) => {
        journal.push("lateWatch begun");
        observer.complete();
      });
    }) as never),
    /** An iterator with a disposal of its own. */
    disposable: keyed.subscription((({ input }: { input: Input }) => disposable(input)) as never),
    lateDisposable: keyed.subscription((async ({ input }: { input: Input }) => {
      await play(input.key);
      return disposable(input, Symbol.asyncDispose);
    }) as never),
    /** An iterator that can't be disposed of. */
    bare: keyed.subscription((({ input }: { input: Input }) => ({
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          const cue = await cueFor(input.key);
          if (cue === "end") return { done: true, value: undefined };
          return { done: false, value: "fail" in cue ? failWith(cue.fail) : cue.value };
        },
      }),
    })) as never),

    watch: keyed.subscription(({ input: { key, manner } }) =>
      observable<unknown>((observer) => {
        journal.push(`watch ${key} begun`);
        observer.next("at once");
        const leave = listen(key, (cue) => {
          if (cue === "end") observer.complete();
          else if ("value" in cue) observer.next(cue.value);
          else
            try {
              failWith(cue.fail);
            } catch (error) {
              observer.error(error);
            }
        });
        return () => {
          leave();
          journal.push(`watch ${key} left`);
          if (manner === "teardown-throws") failWith("trpc");
        };
      }),
    ),
    watchNothing: noted.subscription(() =>
      observable<unknown>((observer) => {
        observer.complete();
      }),
    ),
    watchBroken: noted.subscription(() =>
      observable<unknown>(() => {
        throw new Error("no subscribing");
      }),
    ),
  });

  return {
    router,
    journal,
    cue(key: string, cue: Cue) {
      for (const heed of waiting.get(key) ?? [])
        try {
          heed(cue);
        } catch (error) {
          journal.push(`the cue met with: ${String(error)}`);
        }
    },
  };
}
