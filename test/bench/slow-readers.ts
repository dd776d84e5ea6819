/**
 * What a hundred frozen readers do to everybody else: `bun test/bench/slow-readers.ts`.
 *
 * A hundred healthy rooms relay candidates at a fixed rate, with and without a hundred frozen readers who are
 * sent to until they are closed, in alternating rounds of one run. Prints p50 and p99 of a signal, sent to
 * told, and their ratios.
 */
import { connectPeer, startServer, type TestPeer } from "../support/server.ts";
import { createTcpProxy } from "../support/tcp-proxy.ts";

const healthyRooms = 100;
const frozenReaders = 100;
const rounds = 5;
const roundMs = 3000;
/** Signals per second over all healthy rooms. */
const rate = 1000;

const percentile = (values: number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? 0;

async function roomOf(sender: TestPeer, receiver: TestPeer, name: string): Promise<string> {
  await receiver.client.join.mutate({ interests: [name] });
  await sender.client.join.mutate({ interests: [name] });
  return (await sender.next("create-offer")).roomId;
}

await using server = startServer({ engine: { graceMs: 600_000 } });
await using stack = new AsyncDisposableStack();
const sentAt = new Map<string, number>();
const latencies: number[] = [];
const rooms: { sender: TestPeer; roomId: string }[] = [];
for (let n = 0; n < healthyRooms; n++) {
  const sender = stack.use(await connectPeer(server));
  const receiver = stack.use(await connectPeer(server));
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
  const ticks = roundMs / 10;
  for (let tick = 0; tick < ticks; tick++) {
    for (let n = 0; n < rate / 100; n++) {
      const room = rooms[serial % rooms.length];
      const candidate = `signal ${++serial}`;
      sentAt.set(candidate, performance.now());
      void room?.sender.client.addIceCandidate.mutate({
        roomId: room.roomId,
        candidate: { candidate },
      });
    }
    await Bun.sleep(Math.max(0, startedAt + (tick + 1) * 10 - performance.now()));
  }
  return [...latencies];
}

const sdp = "x".repeat(32 * 1024);
async function withFrozenReaders<T>(run: () => Promise<T>): Promise<T> {
  await using proxy = await createTcpProxy(server.server.url);
  await using frozen = new AsyncDisposableStack();
  const pairs: { sender: TestPeer; roomId: string }[] = [];
  for (let n = 0; n < frozenReaders; n++) {
    const reader = frozen.use(await connectPeer(proxy));
    const sender = frozen.use(await connectPeer(server));
    pairs.push({ sender, roomId: await roomOf(sender, reader, `frozen ${++serial}`) });
  }
  proxy.freeze();
  let going = true;
  // A slow drip to each: about 20 MB/s in all, until its socket is closed.
  const drip = (async () => {
    for (let n = 0; going; n++) {
      const pair = pairs[n % pairs.length];
      if (pair) void pair.sender.client.offer.mutate({ roomId: pair.roomId, sdp }).catch(() => {});
      if (n % 6 === 5) await Bun.sleep(10);
    }
  })();
  const result = await run();
  going = false;
  await drip;
  proxy.thaw();
  return result;
}

await relay();
const quiet: number[][] = [];
const loaded: number[][] = [];
for (let round = 0; round < rounds; round++) {
  quiet.push(await relay());
  loaded.push(await withFrozenReaders(relay));
}
console.log(
  `${healthyRooms} healthy rooms, ${rate} signals/s, ${rounds} alternating rounds of ${roundMs} ms`,
);
for (const share of [0.5, 0.99]) {
  const ratios = quiet.map(
    (values, n) => percentile(loaded[n] ?? [], share) / percentile(values, share),
  );
  const row = (values: number[][]) => percentile(values.flat(), share).toFixed(2).padStart(8);
  console.log(
    `p${share * 100}: quiet ${row(quiet)} ms, with ${frozenReaders} frozen ${row(loaded)} ms, ratio (median of rounds) ${percentile(ratios, 0.5).toFixed(2)}`,
  );
}
process.exit(0);
