import { describe, expect, jest, test } from "bun:test";
import fc from "fast-check";
import { createEmitter } from "../../../src/client/emitter.ts";
import { readRefusal, retryAfterRefusalMs } from "../../../src/client/refusal.ts";
import { retryDelayMs } from "../../../src/client/retry-delay.ts";
import { createTokenStore } from "../../../src/client/token-store.ts";
import { refusal } from "./fake-connection.ts";

describe("the delay before a reconnect", () => {
  test("lies between 200 ms and 10 s, for any attempt and random number", () => {
    const attempts = fc.nat({ max: 10_000 });
    const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(attempts, chance, (attempt, random) => {
        const ms = retryDelayMs(attempt, random);
        expect(ms).toBeGreaterThanOrEqual(200);
        expect(ms).toBeLessThanOrEqual(10_000);
      }),
    );
  });

  test("spreads more widely with every attempt", () => {
    expect([0, 1, 2, 3, 4, 5].map((attempt) => retryDelayMs(attempt, 0.999_999))).toEqual([
      1000, 2000, 4000, 8000, 10_000, 10_000,
    ]);
  });
});

describe("the token", () => {
  test("is kept in the storage, and read from it after a reload", () => {
    const map = new Map<string, string>();
    const storage = {
      getItem: (key: string) => map.get(key) ?? null,
      setItem: (key: string, value: string) => void map.set(key, value),
    };
    expect(createTokenStore(storage).read()).toBeUndefined();
    createTokenStore(storage).write("token");
    expect(createTokenStore(storage).read()).toBe("token");
  });

  test("is remembered when the storage throws on every use", () => {
    const broken = () => {
      throw new DOMException("blocked", "SecurityError");
    };
    const store = createTokenStore({ getItem: broken, setItem: broken });
    expect(store.read()).toBeUndefined();
    store.write("token");
    expect(store.read()).toBe("token");
  });
});

describe("a failed call", () => {
  test("without data of the server is unanswered", () => {
    expect(readRefusal(new Error("WebSocket closed"))).toEqual({ kind: "unanswered" });
    expect(readRefusal("nonsense")).toEqual({ kind: "unanswered" });
    expect(readRefusal(Object.assign(new Error("x"), { data: null }))).toEqual({
      kind: "unanswered",
    });
  });

  test("with the server's reason is that rejection, with its fields", () => {
    const cause = refusal({ reason: "suspended", until: 5 });
    expect(readRefusal(cause)).toEqual({
      kind: "rejected",
      reason: "suspended",
      message: "refused",
      cause,
      until: 5,
    });
    expect(readRefusal(refusal({ reason: "taken-over" }))).toMatchObject({ kind: "taken-over" });
    expect(readRefusal(refusal({})).kind).toBe("server-fault");
  });

  test("is worth another try only where waiting helps, and never at once", () => {
    const after = (fields: Parameters<typeof refusal>[0]) =>
      retryAfterRefusalMs(readRefusal(refusal(fields)));
    expect(after({ reason: "rate-limited", retryAfterMs: 700 })).toBe(700);
    expect(after({ reason: "draining", retryAfterMs: 0 })).toBe(100);
    expect(after({ reason: "unavailable" })).toBe(1000);
    expect(after({ reason: "suspended", until: 5 })).toBeUndefined();
    expect(after({ reason: "bad-input", field: "x" })).toBeUndefined();
  });
});

describe("an emitter", () => {
  test("calls every listener until it unsubscribes", () => {
    const emitter = createEmitter<number>();
    const received: number[] = [];
    const stop = emitter.subscribe((value) => received.push(value));
    emitter.emit(1);
    stop();
    emitter.emit(2);
    expect(received).toEqual([1]);
  });

  test("loses nothing for a slow reader, and ends it on close", async () => {
    const emitter = createEmitter<number>();
    const reader = emitter.iterate({ first: () => 0 });
    emitter.emit(1);
    emitter.emit(2);
    emitter.close();
    expect(await Array.fromAsync(reader)).toEqual([0, 1, 2]);
    expect(await Array.fromAsync(emitter.iterate())).toEqual([]);
  });

  test("skips to the newest for a reader that wants only that", async () => {
    const emitter = createEmitter<number>();
    const reader = emitter.iterate({ keepLatest: true });
    emitter.emit(1);
    emitter.emit(2);
    expect(await reader.next()).toEqual({ value: 2, done: false });
    const waiting = reader.next();
    emitter.emit(3);
    expect(await waiting).toEqual({ value: 3, done: false });
  });

  test("forgets a reader that stops reading", async () => {
    const emitter = createEmitter<number>();
    const reader = emitter.iterate();
    const waiting = reader.next();
    await reader.return?.();
    expect((await waiting).done).toBe(true);
    emitter.emit(1);
    expect((await reader.next()).done).toBe(true);
  });

  test("calls a listener with later values only, also one that a listener adds", () => {
    const emitter = createEmitter<number>();
    const received: number[] = [];
    let stop = () => {};
    const again = (value: number) => {
      received.push(value);
      if (received.length > 10) return;
      stop();
      stop = emitter.subscribe(again);
    };
    stop = emitter.subscribe(again);
    emitter.emit(1);
    emitter.emit(2);
    expect(received).toEqual([1, 2]);
  });

  test("calls no listener that another one has removed", () => {
    const emitter = createEmitter<number>();
    const received: number[] = [];
    emitter.subscribe(() => stop());
    const stop = emitter.subscribe((value) => received.push(value));
    emitter.emit(1);
    expect(received).toEqual([]);
  });

  test("continues when one listener throws", () => {
    const emitter = createEmitter<number>();
    const received: number[] = [];
    const queue = jest.spyOn(globalThis, "queueMicrotask").mockImplementation(() => {});
    emitter.subscribe(() => {
      throw new Error("of the listener");
    });
    emitter.subscribe((value) => received.push(value));
    emitter.emit(1);
    expect(received).toEqual([1]);
    expect(queue).toHaveBeenCalledTimes(1);
    queue.mockRestore();
  });
});
