/** Calls of one socket that do not wait for each other, on a real server with Redis: carried out in the order in which they were made. */
import { expect, test } from "bun:test";
import { startCluster } from "../support/cluster.ts";
import { connectPeer, httpClient } from "../support/server.ts";

/** The stock client sends what is called in one turn as one frame. */
const nextFrame = () => new Promise<void>((resolve) => setImmediate(resolve));

for (const [frames, between] of [
  ["one frame", async () => {}],
  ["a frame each", nextFrame],
] as const)
  test(`verbs and signals in ${frames} are carried out and answered in their order`, async () => {
    await using stack = new AsyncDisposableStack();
    const cluster = stack.use(await startCluster(2, { SKIP_COOLDOWN_MS: "0" }));
    const alice = stack.use(await connectPeer(cluster.at(0)));
    const bob = stack.use(await connectPeer(cluster.at(1)));
    for (let n = 0; n < 40; n++) {
      // Now and then what her node knows of her is out of date: his has ended their room.
      if (n % 2 === 0) {
        await bob.client.join.mutate({ autoRejoin: false });
        await alice.client.join.mutate({ autoRejoin: false });
        await alice.next("create-offer");
        await bob.client.leave.mutate();
        await alice.next("partner-disconnected");
      }
      const joined = alice.client.join.mutate();
      await between();
      const left = alice.client.leave.mutate();
      expect(await Promise.all([joined, left])).toEqual([
        { status: "waiting" },
        { status: "idle" },
      ]);
      const { waiting } = await httpClient(cluster.at(1)).stats.query();
      expect(waiting.video).toBe(0);
    }
    for (let n = 0; n < 20; n++) {
      await bob.client.join.mutate({ autoRejoin: false });
      await alice.client.join.mutate({ autoRejoin: false });
      const { roomId } = await alice.next("create-offer");
      const send = (id: string) =>
        alice.client.offer.mutate({ id: `${n} ${id}`, roomId, sdp: `${n} ${id}` });
      const calls: Promise<unknown>[] = [send("first")];
      await between();
      calls.push(send("second"));
      await between();
      calls.push(alice.client.leave.mutate({ id: `end ${n}` }));
      await between();
      calls.push(send("never"));
      await between();
      calls.push(alice.client.join.mutate({ id: `again ${n}`, autoRejoin: false }));
      await between();
      calls.push(alice.client.leave.mutate({ id: `away ${n}` }));
      expect(await Promise.all(calls)).toEqual([
        { delivered: true },
        { delivered: true },
        { status: "idle" },
        { delivered: false },
        { status: "waiting" },
        { status: "idle" },
      ]);
      expect((await bob.next("offer")).sdp).toBe(`${n} first`);
      expect((await bob.next("offer")).sdp).toBe(`${n} second`);
      expect((await bob.next("partner-disconnected")).roomId).toBe(roomId);
    }
    expect(bob.types.filter((type) => type === "offer")).toHaveLength(40);
  }, 30_000);
