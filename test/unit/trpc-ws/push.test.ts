/** Subscriptions that push: what the peer is told must be what tRPC's own handler tells that iterates them. */
import { describe, expect, test } from "bun:test";
import { initTRPC, tracked, TRPCError } from "@trpc/server";
import { observable, observableToAsyncIterable } from "@trpc/server/observable";
import { observe, type Observer, type PushSource } from "../../../src/trpc-ws/observer.ts";
import { createSockets, fakeSocket, requestFor } from "../../support/trpc-sockets.ts";
import type { AcceptSocket } from "../../../src/trpc-ws/socket.ts";
import { createStockSockets } from "../../support/stock.ts";

type Begin = (observer: Observer<unknown>) => void;

/** Pushes to whoever takes that, and lets itself be iterated by everybody else. */
class Source implements PushSource<unknown> {
  readonly #begin: Begin;
  observer: Observer<unknown> | undefined;
  stops = 0;

  constructor(begin: Begin) {
    this.#begin = begin;
  }

  [observe](observer: Observer<unknown>) {
    this.observer = observer;
    this.#begin(observer);
  }

  stop() {
    this.stops += 1;
    this.observer = undefined;
  }

  [Symbol.asyncIterator]() {
    const events = observable<unknown>(({ next, error }) => {
      this[observe]({
        next,
        nextSerialized: (id, json) => next(tracked(id, JSON.parse(json) as unknown)),
        error,
      });
      return () => this.stop();
    });
    return observableToAsyncIterable(events, new AbortController().signal);
  }
}

/** One subscription of that source, under the id 1. */
function subscribe(begin: Begin, create: typeof createSockets | typeof createStockSockets) {
  const source = new Source(begin);
  const t = initTRPC.create();
  const router = t.router({ events: t.procedure.subscription(() => source) });
  const told: unknown[] = [];
  const errors: TRPCError[] = [];
  const accept: AcceptSocket<unknown> = create({
    router,
    createContext: () => ({}),
    onError: (error) => void errors.push(error),
    deadlines: { pingMs: 60_000, pongWaitMs: 60_000, firstMessageMs: 500 },
    elapsed: () => 0,
    schedule: () => () => {},
  });
  const socket = fakeSocket({
    open: true as boolean,
    send: (text: string) => void told.push(JSON.parse(text)),
    close() {},
    terminate() {},
  });
  const listener = accept(socket, requestFor("/trpc"));
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
    (observer) => {
      observer.next(data("a", 1));
      observer.next({ two: 2 });
    },
    [({ source }) => source.observer?.next(data("c", [3]))],
    4,
  ],
  ["nothing, until it is stopped", () => {}, [({ stop }) => stop()], 2],
  [
    "until it fails",
    (observer) => observer.next(1),
    [({ source }) => source.observer?.error(new TRPCError({ code: "CONFLICT", message: "taken" }))],
    4,
  ],
  [
    "until it is stopped, twice, and begins anew",
    (observer) => observer.next(1),
    [
      ({ source }) => source.observer?.next(2),
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
      for (const create of [createSockets, createStockSockets]) {
        const stage = subscribe(begin, create);
        await settle();
        for (const step of steps) {
          step(stage);
          await settle();
        }
        both.push([...stage.told]);
        stage.listener.close();
        await settle();
        expect(stage.source.observer).toBeUndefined();
      }
      const [ours, stock] = both;
      expect(ours).toEqual(stock as unknown[]);
      expect(ours).toHaveLength(answers);
    });

  test("an event goes out in the very call that made it", () => {
    const { source, told } = subscribe(() => {}, createSockets);
    source.observer?.next(1);
    expect(told).toHaveLength(2);
  });

  test("one that fails while it begins is stopped, and told of once", () => {
    const failing: Begin[] = [
      (observer) => observer.error(new Error("early")),
      () => {
        throw new Error("early");
      },
      // A value that JSON has no words for.
      (observer) => observer.next(1n),
    ];
    for (const begin of failing) {
      const { source, told, errors } = subscribe(begin, createSockets);
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
    const { source, told, socket, listener } = subscribe(() => {}, createSockets);
    const { observer } = source;
    socket.open = false;
    observer?.next(1);
    listener.close();
    observer?.next(2);
    expect(source.stops).toBe(1);
    // Started, and stopped: what the closed socket makes of that is its own affair.
    expect(told).toHaveLength(2);
  });
});
