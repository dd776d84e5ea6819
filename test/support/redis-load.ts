/** Two nodes on some Redis, a room across them through which signals flow, and couples who meet and part all the while. */
import { connectPeer, refusalOf, signalsOf, type TestPeer } from "./server.ts";
import { startServer, type ServerProcess } from "./server-process.ts";
import { unlimited } from "./cluster.ts";
import { until } from "./until.ts";

export interface Load extends AsyncDisposable {
  readonly nodes: readonly ServerProcess[];
  readonly alice: TestPeer;
  readonly bob: TestPeer;
  readonly roomId: string;
  /** Signals of alice that were answered. */
  readonly delivered: number;
  /** Meetings of couples that were completed. */
  readonly meetings: number;
  /** What was refused, other than by `unavailable`, and what was told twice or wrongly. */
  readonly wrongs: string[];
  /** How often a call was refused as `unavailable`. */
  readonly refusals: number;
  /** From when on both nodes are ready. */
  areReady(): Promise<boolean>;
  /** Resolves when signals and meetings go on. */
  goesOn(withinMs: number): Promise<void>;
  /** Ends the load, and waits for what is under way. */
  stop(): Promise<void>;
}

const coupleCount = 3;

/** @param lossy whether what was answered may be lost, as in a failover. */
export async function startLoad(env: Record<string, string>, lossy = false): Promise<Load> {
  const stack = new AsyncDisposableStack();
  const start = () =>
    startServer({
      ...unlimited,
      SESSION_SECRET: "the same on every node",
      GRACE_MS: "20000",
      ...env,
    });
  const nodes = await Promise.all([start(), start()]);
  for (const node of nodes) stack.use(node);
  const connect = async (node: number) =>
    stack.use(await connectPeer({ ws: (nodes[node]?.origin ?? "").replace("http", "ws") }));
  const wrongs: string[] = [];
  let flowing = true;
  let delivered = 0;
  let meetings = 0;
  let refusals = 0;

  /** The same call, with the same id, until it is known what became of it. */
  async function known<T>(call: () => Promise<T>): Promise<T> {
    for (;;) {
      const answer = await refusalOf(call());
      if ("answered" in answer) return answer["answered"] as T;
      if ((answer["reason"] ?? "unavailable") !== "unavailable")
        throw new Error(`refused: ${JSON.stringify(answer)}`);
      refusals += 1;
      await Bun.sleep(20);
    }
  }

  const alice = await connect(0);
  const bob = await connect(1);
  for (const peer of [alice, bob])
    await known(() => peer.client.join.mutate({ id: "join", interests: ["signals"] }));
  const { roomId } = await alice.next("wait-for-offer");

  const signals = async () => {
    for (let n = 0; flowing; n++) {
      const input = { id: `signal ${n}`, roomId, candidate: { candidate: String(n) } };
      await known(() => alice.client.addIceCandidate.mutate(input));
      delivered = n + 1;
      await Bun.sleep(10);
    }
  };

  /** The rooms that a peer was told of, each as often as it was. */
  const roomsOf = ({ told }: TestPeer) =>
    told.flatMap(({ event }) => {
      if (event.type === "create-offer" || event.type === "wait-for-offer") return [event.roomId];
      return event.type === "resync" && event.state.status === "paired" ? [event.state.roomId] : [];
    });

  const couple = async (number: number) => {
    const pair = [await connect(0), await connect(1)];
    for (let n = 0; flowing; n++) {
      const interests = [`couple ${number}, meeting ${n}`];
      const wishes = { interests, autoRejoin: false };
      const before = pair.map((peer) => roomsOf(peer).length);
      for (const peer of pair)
        await known(() => peer.client.join.mutate({ id: `join ${n}`, ...wishes }));
      const haveMet = () =>
        pair.every((peer, index) => roomsOf(peer).length > Number(before[index]));
      try {
        await until(`couple ${number} is told of its meeting`, haveMet, lossy ? 2000 : 20_000);
        const [room, other] = pair.map((peer) => roomsOf(peer).at(-1));
        if (room !== other) wrongs.push(`couple ${number} is in ${room} and ${other}`);
        meetings += 1;
      } catch (error) {
        // What a failover has lost is begun again.
        if (!lossy) throw error;
      }
      for (const peer of pair) await known(() => peer.client.leave.mutate({ id: `leave ${n}` }));
    }
    for (const peer of pair) {
      const rooms = roomsOf(peer);
      if (!lossy && new Set(rooms).size < rooms.length)
        wrongs.push(`couple ${number}: a room told twice`);
      if (peer.errors.length > 0) wrongs.push(`couple ${number}: ${String(peer.errors)}`);
    }
  };

  const running = [signals(), ...Array.from({ length: coupleCount }, (_, n) => couple(n))].map(
    (task) => task.catch((error: unknown) => void wrongs.push(String(error))),
  );
  stack.defer(() => void (flowing = false));
  return {
    nodes,
    alice,
    bob,
    roomId,
    wrongs,
    get delivered() {
      return delivered;
    },
    get meetings() {
      return meetings;
    },
    get refusals() {
      return refusals;
    },
    async areReady() {
      const answers = await Promise.all(nodes.map(({ origin }) => fetch(`${origin}/readyz`)));
      return answers.every(({ ok }) => ok);
    },
    async goesOn(withinMs) {
      const [signalsBefore, meetingsBefore] = [delivered, meetings];
      await until(
        "signals and meetings go on",
        () =>
          wrongs.length > 0 || (delivered > signalsBefore + 10 && meetings > meetingsBefore + 3),
        withinMs,
      );
    },
    async stop() {
      flowing = false;
      await Promise.all(running);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Throws unless all signals that were answered have come, each once and in order. */
export async function expectAllSignals({ bob, delivered }: Load): Promise<void> {
  await until("all signals have come", () => signalsOf(bob).length >= delivered, 15_000);
  const come = signalsOf(bob);
  const expected = Array.from({ length: delivered }, (_, n) => n);
  if (JSON.stringify(come) !== JSON.stringify(expected))
    throw new Error(`of ${delivered} signals these have come: ${String(come)}`);
}

/** Throws unless both members of the room were told where they stand, which is still in it. */
export async function expectBothToldOfTheirRoom({ alice, bob, roomId }: Load): Promise<void> {
  for (const peer of [alice, bob]) {
    const { state } = await peer.next("resync");
    if (state.status !== "paired" || state.roomId !== roomId)
      throw new Error(`told of another state: ${JSON.stringify(state)}`);
  }
}
