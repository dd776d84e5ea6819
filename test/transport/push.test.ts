/** Subscriptions that push: what the peer is told must be what tRPC's own handler tells that iterates them. */
import { describe, expect, test } from "bun:test";
import { initTRPC, tracked, TRPCError } from "@trpc/server";
import { observable, observableToAsyncIterable } from "@trpc/server/observable";
import { push, type Pushing, type Sink } from "../../src/transport/push.ts";
import { createRpcSockets } from "../../src/transport/rpc-socket.ts";
import type { AcceptSocket } from "../../src/transport/socket.ts";
import { createStockSockets } from "../support/stock.ts";

type Begin = (sink: Sink<unknown>) => void;

/** Pushes to whoever takes that, and lets itself be iterated by everybody else. */
class Source implements Pushing<unknown> {
  readonly #begin: Begin;
  sink: Sink<unknown> | undefined;
  stops = 0;

  constructor(begin: Begin) {
    this.#begin = begin;
  }

  [push](sink: Sink<unknown>) {
    this.sink = sink;
    this.#begin(sink);
  }

  stop() {
    this.stops += 1;
    this.sink = undefined;
  }

  [Symbol.asyncIterator]() {
    const events = observable<unknown>(({ next, error }) => {
      this[push]({ next, fail: error });
      return () => this.stop();
    });
    return observableToAsyncIterable(events, new AbortController().signal);
  }
}

/** One subscription of that source, under the id 1. */
function subscribe(begin: Begin, create: typeof createRpcSockets | typeof createStockSockets) {
  const source = new Source(begin);
  const t = initTRPC.create();
  const router = t.router({ events: t.procedure.subscription(() => source) });
  const told: unknown[] = [];
  const errors: TRPCError[] = [];
  const accept: AcceptSocket = create({
    router,
    createContext: () => ({}),
    onError: (error) => void errors.push(error),
    deadlines: { pingMs: 60_000, pongWaitMs: 60_000, firstMessageMs: 500 },
    elapsed: () => 0,
    schedule: () => () => {},
  });
  const socket = {
    open: true,
    send: (text: string) => void told.push(JSON.parse(text)),
    close() {},
    terminate() {},
  };
  const listener = accept(socket, { url: "/trpc", addressHash: "", release() {} });
  const say = (frame: object) => listener.message(JSON.stringify(frame));
  const begun = { id: 1, method: "subscription", params: { path: "events" } };
  say(begun);
  return {
    source,
    told,
    errors,
    socket,
    listener,
    again: () => say(begun),
    stop: () => say({ id: 1, method: "subscription.stop" }),
  };
}

type Stage = ReturnType<typeof subscribe>;

const settle = () => new Promise((resolve) => setImmediate(resolve));
const data = (id: string, value: unknown) => tracked(id, value);

/** What is done once it has begun; each step when the one before has had its effect. */
type Steps = ((stage: Stage) => void)[];

const scripts: [what: string, begin: Begin, steps: Steps, answers: number][] = [
  [
    "at once, and later",
    (sink) => {
      sink.next(data("a", 1));
      sink.next({ two: 2 });
    },
    [({ source }) => source.sink?.next(data("c", [3]))],
    4,
  ],
  ["nothing, until it is stopped", () => {}, [({ stop }) => stop()], 2],
  [
    "until it fails",
    (sink) => sink.next(1),
    [({ source }) => source.sink?.fail(new TRPCError({ code: "CONFLICT", message: "taken" }))],
    4,
  ],
  [
    "until it is stopped, twice, and begins anew",
    (sink) => sink.next(1),
    [
      ({ source }) => source.sink?.next(2),
      ({ stop }) => stop(),
      ({ stop }) => stop(),
      ({ again }) => again(),
    ],
    6,
  ],
];

describe("subscriptions that push", () => {
  for (const [what, begin, steps, answers] of scripts)
    test(`${what}: as tRPC's own handler tells it`, async () => {
      const both: unknown[][] = [];
      for (const create of [createRpcSockets, createStockSockets]) {
        const stage = subscribe(begin, create);
        await settle();
        for (const step of steps) {
          step(stage);
          await settle();
        }
        both.push([...stage.told]);
        stage.listener.close();
        await settle();
        expect(stage.source.sink).toBeUndefined();
      }
      const [ours, stock] = both;
      expect(ours).toEqual(stock as unknown[]);
      expect(ours).toHaveLength(answers);
    });

  test("an event goes out in the very call that made it", () => {
    const { source, told } = subscribe(() => {}, createRpcSockets);
    source.sink?.next(1);
    expect(told).toHaveLength(2);
  });

  test("one that fails while it begins is stopped, and told of once", () => {
    const failing: Begin[] = [
      (sink) => sink.fail(new Error("early")),
      () => {
        throw new Error("early");
      },
      // A value that JSON has no words for.
      (sink) => sink.next(1n),
    ];
    for (const begin of failing) {
      const { source, told, errors } = subscribe(begin, createRpcSockets);
      expect(source.stops).toBe(1);
      expect(errors).toHaveLength(1);
      expect(told).toMatchObject([
        { result: { type: "started" } },
        { error: { message: expect.any(String) } },
        { result: { type: "stopped" } },
      ]);
    }
  });

  test("one whose socket goes is stopped once, and pushes to nobody", () => {
    const { source, told, socket, listener } = subscribe(() => {}, createRpcSockets);
    const { sink } = source;
    socket.open = false;
    sink?.next(1);
    listener.close();
    sink?.next(2);
    expect(source.stops).toBe(1);
    // Started, and stopped: what the closed socket makes of that is its own affair.
    expect(told).toHaveLength(2);
  });
});
