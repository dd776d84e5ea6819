import { expect, test } from "bun:test";
import type { Server, ServerWebSocket } from "bun";
import { closeCodes } from "../../../src/trpc-ws/close-codes.ts";
import { createUpgrade } from "../../../src/trpc-ws/bun.ts";
import type { Socket } from "../../../src/trpc-ws/socket.ts";

const unreadBytesMax = 256 * 1024;

interface Opened {
  open(ws: ServerWebSocket): void;
  message(ws: ServerWebSocket, frame: string): void;
  close(): void;
}

/** Sockets on a runtime that only notes what it is told to do, and turns that end when the test says so. */
function setUp() {
  const due: (() => void)[] = [];
  let accepted: Socket | undefined;
  const upgrade = createUpgrade<undefined>(
    { schedule: () => () => {}, defer: (task) => void due.push(task) },
    (socket) => {
      accepted = socket;
      return { message() {}, close() {} };
    },
    unreadBytesMax,
  );
  function endTurn() {
    for (const task of due.splice(0)) task();
  }
  function open(unsent = 0) {
    const done: string[] = [];
    let opened: Opened | undefined;
    const server = {
      upgrade(_: Request, { data }: { data: Opened }) {
        opened = data;
        return true;
      },
    };
    const request = new Request("http://localhost/trpc");
    upgrade(server as unknown as Server<unknown>, request, undefined);
    const ws = {
      send(text: string) {
        done.push(text);
        return unsent > 0 ? -1 : text.length;
      },
      getBufferedAmount: () => unsent,
      cork(work: () => void) {
        done.push("(");
        work();
        done.push(")");
      },
      close: (code: number) => done.push(`close ${code}`),
      terminate: () => done.push("terminate"),
    };
    opened?.open(ws as unknown as ServerWebSocket);
    const socket = accepted;
    if (!socket) throw new Error("it must have been accepted");
    return { socket, done, gone: () => opened?.close() };
  }
  return {
    open,
    due,
    endTurn,
  };
}

test("what is sent is written when everything that has arrived is processed: in order, and once per socket", () => {
  const { open, due, endTurn } = setUp();
  const [one, other] = [open(), open()];
  one.socket.send("a");
  other.socket.send("b");
  one.socket.send("c");
  expect([one.done, other.done]).toEqual([[], []]);
  expect(due).toHaveLength(1);
  endTurn();
  expect([one.done, other.done]).toEqual([["(", "a", "c", ")"], ["b"]]);
  expect(due).toHaveLength(0);
  one.socket.send("d");
  expect(due).toHaveLength(1);
  endTurn();
  expect(one.done.slice(4)).toEqual(["d"]);
});

test("what it was told before it is closed is sent first, and nothing after", () => {
  const { open, endTurn } = setUp();
  const { socket, done } = open();
  socket.send("a");
  socket.send("b");
  socket.close(1000, "");
  socket.send("c");
  endTurn();
  expect(done).toEqual(["(", "a", "b", ")", "close 1000"]);
});

test("one that is terminated, or gone, sends nothing more", () => {
  const { open, endTurn } = setUp();
  const [terminated, gone] = [open(), open()];
  terminated.socket.send("a");
  terminated.socket.terminate();
  gone.socket.send("b");
  gone.gone();
  endTurn();
  expect(terminated.done).toEqual(["terminate"]);
  expect(gone.done).toEqual([]);
});

test("one that does not read is closed in the middle, and what is left is not sent", () => {
  const { open, endTurn } = setUp();
  const { socket, done } = open(257 * 1024);
  socket.send("a");
  socket.send("b");
  endTurn();
  expect(done).toEqual(["(", "a", `close ${closeCodes.slowConsumer}`, ")"]);
});
