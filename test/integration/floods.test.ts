/** Floods, each bounded in sockets, memory and answers, while fifty honest pairs go on and lose nothing. */
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  connectPeer,
  refusalOf,
  startServer,
  type TestPeer,
  type TestServer,
} from "../support/server.ts";

const pairs = 50;
const socketsPerAddress = 20;
const firstMessageMs = 300;

let server: TestServer;
let honest: { sender: TestPeer; receiver: TestPeer; roomId: string; sent: number }[];
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  server = stack.use(
    startServer({
      trustLoopback: true,
      admission: { socketsPerAddress, handshakesPerMin: 60, peersMax: 1000 },
      rates: {
        signals: { perS: 30, burst: 100 },
        intents: { perS: 2, burst: 5 },
        bytes: { perS: 32_768, burst: 131_072 },
      },
      initTimeoutMs: firstMessageMs,
    }),
  );
  honest = [];
  for (let n = 0; n < pairs; n++) {
    const receiver = stack.use(await connectPeer(server, { address: `192.0.2.${n}` }));
    const sender = stack.use(await connectPeer(server, { address: `198.51.100.${n}` }));
    await receiver.client.join.mutate();
    await sender.client.join.mutate();
    honest.push({ sender, receiver, roomId: (await sender.next("create-offer")).roomId, sent: 0 });
  }
}, 60_000);

afterAll(() => stack.disposeAsync());

/** Honest pairs signal for as long as the flood lasts; then everything sent has arrived, in order. */
async function duringFlood<T>(flood: () => Promise<T>): Promise<T> {
  let flooding = true;
  const relaying = honest.map(async (pair) => {
    while (flooding) {
      const candidate = { candidate: `${pair.sent}` };
      const answer = await pair.sender.client.addIceCandidate.mutate({
        roomId: pair.roomId,
        candidate,
      });
      expect(answer).toEqual({ delivered: true });
      pair.sent += 1;
      await Bun.sleep(40);
    }
  });
  const result = await flood();
  flooding = false;
  await Promise.all(relaying);
  for (const { receiver, sent } of honest) {
    const got = () =>
      receiver.told.flatMap(({ event }) =>
        event.type === "add-ice-candidate" ? [Number(event.candidate.candidate)] : [],
      );
    while (got().length < sent) await receiver.next("add-ice-candidate");
    expect(got()).toEqual(Array.from({ length: sent }, (_, n) => n));
    expect(receiver.types).not.toContain("partner-disconnected");
    expect(receiver.errors).toEqual([]);
  }
  return result;
}

/** Opens raw sockets from one address and answers what each was told first. */
async function openRaw(count: number, address: string, head: string) {
  const sockets: Socket[] = [];
  const answers = await Promise.all(
    Array.from({ length: count }, async () => {
      const { hostname, port } = server.server.url;
      const socket = connect(Number(port), hostname);
      sockets.push(socket);
      socket.on("error", () => {});
      socket.on("connect", () =>
        socket.write(
          `GET /trpc?connectionParams=1 HTTP/1.1\r\nHost: ${hostname}:${port}\r\nX-Forwarded-For: ${address}\r\n${head}`,
        ),
      );
      return new Promise<string>((resolve) => {
        socket.once("data", (chunk) => resolve(chunk.toString("latin1").split("\r\n")[0] ?? ""));
        socket.once("close", () => resolve("closed"));
      });
    }),
  );
  return { sockets, answers };
}

const upgradeHead =
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

describe("while fifty honest pairs talk", () => {
  test("a skip flood and a join flood are refused past the burst, and nobody is skipped by them", async () => {
    const answers = await duringFlood(async () => {
      await using mallory = await connectPeer(server, { address: "203.0.113.1" });
      const calls: Promise<Record<string, unknown>>[] = [];
      for (let n = 0; n < 500; n++) {
        // Not more at once than a batch may hold: this is about calls, not about batches.
        if (n % 100 === 99) await Promise.all(calls);
        calls.push(
          refusalOf(
            n % 2 ? mallory.client.skip.mutate() : mallory.client.join.mutate({ mode: "text" }),
          ),
        );
      }
      return Promise.all(calls);
    });
    const refused = answers.filter((answer) => answer["reason"] === "rate-limited");
    expect(refused.length).toBeGreaterThanOrEqual(490);
  }, 60_000);

  test("a mute-socket flood holds no more sockets than one address may, and those not for long", async () => {
    const { admitted, refused, closed } = await duringFlood(async () => {
      const { sockets, answers } = await openRaw(200, "203.0.113.2", upgradeHead);
      // Each socket that was let in says nothing, and is closed at its deadline.
      const closing = sockets.map(
        (socket) =>
          new Promise<void>((resolve) => {
            if (socket.destroyed) resolve();
            else socket.once("close", () => resolve());
            socket.once("end", () => socket.end());
            socket.resume();
          }),
      );
      const admitted = answers.filter((line) => line.includes(" 101 ")).length;
      const refused = answers.filter((line) => / (429|503) /.test(line)).length;
      for (const [index, socket] of sockets.entries())
        if (!answers[index]?.includes(" 101 ")) socket.destroy();
      await Promise.all(closing);
      return { admitted, refused, closed: closing.length };
    });
    expect(admitted).toBe(socketsPerAddress);
    expect(refused).toBe(200 - socketsPerAddress);
    expect(closed).toBe(200);
  }, 60_000);

  test("a slow-header flood takes no place from anybody", async () => {
    await duringFlood(async () => {
      const { hostname, port } = server.server.url;
      const sockets = Array.from({ length: 200 }, () => {
        const socket = connect(Number(port), hostname);
        socket.on("error", () => {});
        socket.write("GET /trpc HTTP/1.1\r\nHost: slow\r\nX-");
        return socket;
      });
      for (let drip = 0; drip < 20; drip++) {
        for (const socket of sockets) if (!socket.destroyed) socket.write("a");
        await Bun.sleep(25);
      }
      // Half-sent requests count nowhere: a newcomer from any address is let in.
      await using newcomer = await connectPeer(server, { address: "203.0.113.3" });
      expect(newcomer.types).toEqual(["session"]);
      for (const socket of sockets) socket.destroy();
    });
  }, 60_000);

  test("a flood of frames on one socket is answered past its bucket by refusals alone", async () => {
    const answers = await duringFlood(async () => {
      await using mallory = await connectPeer(server, { address: "203.0.113.4" });
      const answers: Record<string, unknown>[] = [];
      for (let round = 0; round < 20; round++)
        answers.push(
          ...(await Promise.all(
            Array.from({ length: 100 }, () => refusalOf(mallory.client.stats.query())),
          )),
        );
      return answers;
    });
    const refused = answers.filter((answer) => answer["reason"] === "rate-limited");
    expect(refused.length).toBeGreaterThan(1500);
  }, 60_000);
});
