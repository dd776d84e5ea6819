import { expect, test } from "bun:test";
import { KeepAlive, KeepAliveWheel } from "../../../src/trpc-ws/keep-alive.ts";
import { fakeSocket } from "../../support/trpc-sockets.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

const [pingMs, pongWaitMs] = [10_000, 5000];

/** Keep-alives on virtual time, and how many timers they hold. */
function setUp() {
  const system = createVirtualSystem();
  let timers = 0;
  const all = new KeepAliveWheel({
    pingMs,
    pongWaitMs,
    elapsed: system.elapsed,
    schedule(delayMs, task) {
      timers += 1;
      let isOver = false;
      const end = () => {
        if (!isOver) timers -= 1;
        isOver = true;
      };
      const cancel = system.schedule(delayMs, () => {
        end();
        task();
      });
      return () => {
        end();
        cancel();
      };
    },
  });
  /** A socket, and what was done to it, when (milliseconds from its opening). */
  function open(onDone: (what: string) => void = () => {}) {
    const openedAt = system.elapsed();
    const done: [string, number][] = [];
    const note = (what: string) => {
      done.push([what, system.elapsed() - openedAt]);
      onDone(what);
    };
    const socket = fakeSocket({
      open: true,
      send: note,
      close() {},
      terminate: () => note("terminate"),
    });
    return { keepAlive: new KeepAlive(socket, all), done };
  }
  return { system, open, timers: () => timers };
}

test("a thousand sockets share their timers, and each is pinged and ended in its time", async () => {
  const { system, open, timers } = setUp();
  const sockets: ReturnType<typeof open>[] = [];
  for (let n = 0; n < 1000; n++) {
    sockets.push(open());
    await system.advance(1);
  }
  expect(timers()).toBeLessThanOrEqual(101);
  await system.advance(pingMs + pongWaitMs + 100);
  for (const { done } of sockets) {
    expect(done.map(([what]) => what)).toEqual(["PING", "terminate"]);
    const [pingedAt = 0, endedAt = 0] = done.map(([, at]) => at);
    expect(pingedAt).toBeGreaterThanOrEqual(pingMs);
    expect(pingedAt).toBeLessThanOrEqual(pingMs + 10);
    expect(endedAt - pingedAt).toBeGreaterThanOrEqual(pongWaitMs);
    expect(endedAt - pingedAt).toBeLessThanOrEqual(pongWaitMs + 10);
  }
});

test("who goes is looked at no more, and the last one takes the timer along", async () => {
  const { system, open, timers } = setUp();
  const [first, second] = [open(), open()];
  expect(timers()).toBe(1);
  first.keepAlive.end();
  first.keepAlive.end();
  expect(timers()).toBe(1);
  await system.advance(pingMs);
  expect(first.done).toEqual([]);
  expect(second.done).toEqual([["PING", pingMs]]);
  second.keepAlive.end();
  expect(timers()).toBe(0);
});

test("one that goes while another is looked at leaves the rest their turn", async () => {
  const { system, open, timers } = setUp();
  const gone = () => second.keepAlive.end();
  const first = open(gone);
  const second = open();
  const third = open();
  await system.advance(pingMs);
  expect([first, second, third].map(({ done }) => done.length)).toEqual([1, 0, 1]);
  third.keepAlive.touch(system.elapsed());
  await system.advance(pongWaitMs);
  expect(first.done.at(-1)).toEqual(["terminate", pingMs + pongWaitMs]);
  expect(third.done).toEqual([["PING", pingMs]]);
  third.keepAlive.end();
  expect(timers()).toBe(0);
});

for (const byMs of [-4900, -100, 100, 4900, -3_600_000, 3_600_000])
  test(`A5 a wall clock that is set by ${byMs} ms changes no ping and no end by a millisecond`, async () => {
    const { system, open } = setUp();
    const sockets: ReturnType<typeof open>[] = [];
    for (let n = 0; n < 2000; n++) {
      sockets.push(open());
      await system.advance(10);
      if (n === 999) system.stepWallClock(byMs);
    }
    await system.advance(3 * (pingMs + pongWaitMs));
    for (const { done } of sockets) {
      expect(done.map(([what]) => what)).toEqual(["PING", "terminate"]);
      const [pingedAt = 0, endedAt = 0] = done.map(([, at]) => at);
      expect(pingedAt).toBeGreaterThanOrEqual(pingMs);
      expect(pingedAt).toBeLessThanOrEqual(pingMs + 10);
      expect(endedAt - pingedAt).toBeGreaterThanOrEqual(pongWaitMs);
      expect(endedAt - pingedAt).toBeLessThanOrEqual(pongWaitMs + 10);
    }
  });

test("a round that goes on holds on to nobody who has gone", () => {
  const { open } = setUp();
  const stays = open();
  const gone = Array.from({ length: 200 }, () => {
    const socket = open();
    socket.keepAlive.end();
    return new WeakRef(socket.done);
  });
  Bun.gc(true);
  expect(gone.filter((one) => one.deref()).length).toBeLessThan(20);
  stays.keepAlive.end();
});
