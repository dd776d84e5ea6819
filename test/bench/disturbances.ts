/**
 * What a disturbance does to everybody else: `bun test/bench/disturbances.ts [name]`.
 *
 * A hundred healthy rooms relay candidates at a fixed rate, in rounds that alternate in one run between quiet and
 * disturbed; whoever disturbs does so from a process of its own. Prints p50 and p99 of a signal, from being sent
 * to being told, and the ratio disturbed to quiet as the median over the rounds.
 */
import { connectPeer, refusalOf, startServer, type TestPeer } from "../support/server.ts";
import { createTcpProxy } from "../support/tcp-proxy.ts";

const healthyRooms = 100;
const rounds = 5;
const roundMs = 3000;
/** Signals per second over all healthy rooms. */
const rate = 1000;
const frozenReaders = 100;
const sdp = "x".repeat(32 * 1024);

const percentile = (values: number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? 0;

async function roomOf(sender: TestPeer, receiver: TestPeer, name: string): Promise<string> {
  await receiver.client.join.mutate({ interests: [name] });
  await sender.client.join.mutate({ interests: [name] });
  return (await sender.next("create-offer")).roomId;
}

/** Each gets the server's WebSocket address, and disturbs until its process is ended. */
const disturbances: Record<string, (ws: string) => Promise<void>> = {
  /** A hundred peers stop reading, and each is sent 200 KB a second until it is closed. */
  async "frozen readers"(ws) {
    await using proxy = await createTcpProxy(new URL(ws.replace("ws", "http")));
    const pairs: { sender: TestPeer; roomId: string }[] = [];
    for (let n = 0; n < frozenReaders; n++) {
      const reader = await connectPeer(proxy, { address: `192.0.2.${n}` });
      const sender = await connectPeer({ ws }, { address: `198.51.100.${n}` });
      pairs.push({ sender, roomId: await roomOf(sender, reader, `frozen ${process.pid} ${n}`) });
    }
    proxy.freeze();
    for (let n = 0; ; n++) {
      const pair = pairs[n % pairs.length];
      if (pair) void pair.sender.client.offer.mutate({ roomId: pair.roomId, sdp }).catch(() => {});
      if (n % 6 === 5) await Bun.sleep(10);
    }
  },
  /** One peer skips as fast as it is answered. */
  async "skip flood"(ws) {
    await using mallory = await connectPeer({ ws }, { address: "203.0.113.1" });
    for (;;)
      await Promise.all(Array.from({ length: 50 }, () => refusalOf(mallory.client.skip.mutate())));
  },
  /** One address opens sockets as fast as it is refused. */
  async "handshake flood"(ws) {
    const url = `${ws.replace("ws", "http")}/trpc`;
    const headers = {
      connection: "upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      "x-forwarded-for": "203.0.113.2",
    };
    for (;;)
      await Promise.all(
        Array.from({ length: 20 }, () => fetch(url, { headers }).then((answer) => answer.text())),
      );
  },
};

const [, , name = "", ws] = process.argv;
if (ws !== undefined) {
  await disturbances[name]?.(ws);
  process.exit(0);
}

await using server = startServer({
  trustLoopback: true,
  engine: { graceMs: 600_000 },
  admission: { socketsPerAddress: 20, handshakesPerMin: 60 },
  rates: {
    signals: { perS: 1000, burst: 1000 },
    intents: { perS: 2, burst: 5 },
    bytes: { perS: 0, burst: 1 },
  },
});
await using stack = new AsyncDisposableStack();
const sentAt = new Map<string, number>();
const latencies: number[] = [];
const rooms: { sender: TestPeer; roomId: string }[] = [];
for (let n = 0; n < healthyRooms; n++) {
  const sender = stack.use(await connectPeer(server, { address: `10.0.0.${n}` }));
  const receiver = stack.use(await connectPeer(server, { address: `10.0.1.${n}` }));
  receiver.onTold((event) => {
    if (event.type !== "add-ice-candidate") return;
    const at = sentAt.get(event.candidate.candidate);
    if (at !== undefined) latencies.push(performance.now() - at);
    sentAt.delete(event.candidate.candidate);
  });
  rooms.push({ sender, roomId: await roomOf(sender, receiver, `healthy ${n}`) });
}

let serial = 0;
/** Relays at the fixed rate for one round; answers what each signal took (ms). */
async function relay(): Promise<number[]> {
  latencies.length = 0;
  const startedAt = performance.now();
  for (let tick = 1; tick <= roundMs / 10; tick++) {
    for (let n = 0; n < rate / 100; n++) {
      const room = rooms[serial % rooms.length];
      const candidate = `signal ${++serial}`;
      sentAt.set(candidate, performance.now());
      void room?.sender.client.addIceCandidate.mutate({
        roomId: room.roomId,
        candidate: { candidate },
      });
    }
    await Bun.sleep(Math.max(0, startedAt + tick * 10 - performance.now()));
  }
  return [...latencies];
}

async function disturbed(disturbance: string): Promise<number[]> {
  const child = Bun.spawn([process.execPath, import.meta.path, disturbance, server.ws], {
    stdout: "ignore",
    stderr: "inherit",
  });
  try {
    // Until it is at work.
    await Bun.sleep(1500);
    return await relay();
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
}

console.log(
  `${healthyRooms} healthy rooms, ${rate} signals/s, ${rounds} alternating rounds of ${roundMs} ms`,
);
await relay();
for (const disturbance of Object.keys(disturbances)) {
  if (!disturbance.includes(name)) continue;
  const quiet: number[][] = [];
  const loud: number[][] = [];
  for (let round = 0; round < rounds; round++) {
    quiet.push(await relay());
    loud.push(await disturbed(disturbance));
  }
  for (const share of [0.5, 0.99]) {
    const ratios = quiet.map(
      (values, n) => percentile(loud[n] ?? [], share) / percentile(values, share),
    );
    const row = (values: number[][]) => percentile(values.flat(), share).toFixed(2).padStart(8);
    console.log(
      `${disturbance.padEnd(16)} p${share * 100}: quiet ${row(quiet)} ms, disturbed ${row(loud)} ms, ratio ${percentile(ratios, 0.5).toFixed(2)}`,
    );
  }
}
process.exit(0);
