/** Levelling with two real nodes on a real Redis: nobody loses anything, and behind a proxy that keeps peers on a node it stops. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { startCluster, type Cluster } from "../support/cluster.ts";
import { connectPeer, signalsOf, type TestPeer } from "../support/server.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(90_000);

const perMinute = 300;
const METRICS_TOKEN = "the token of those who scrape";
const ADMIN_TOKEN = "the token of the tests' operator";
const env = {
  LEVEL_PEERS_PER_MINUTE: String(perMinute),
  METRICS_TOKEN,
  ADMIN_TOKEN,
  LOG_LEVEL: "info",
};

/** Peers by node, as each node tells its operator. */
async function peersOf(cluster: Cluster, index: number) {
  const response = await fetch(`${cluster.at(index).http}/admin/overview`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
  });
  const { result } = (await response.json()) as {
    result: { data: { nodes?: { name: string; peers: number; draining: boolean }[] } };
  };
  return (result.data.nodes ?? []).map(({ peers }) => peers);
}

async function levelled(cluster: Cluster, index: number): Promise<number> {
  const response = await fetch(`${cluster.at(index).http}/metrics`, {
    headers: { authorization: `Bearer ${METRICS_TOKEN}` },
  });
  const text = await response.text();
  return Number(/^peer_stream_levelled_total\{[^}]*\} (\d+)$/m.exec(text)?.[1]);
}

/** Peers of which the first `first` connect to node 0, the others to node 1, and all later where `choose` says. */
async function crowd(cluster: Cluster, first: number, all: number, choose: (n: number) => number) {
  let chosen = 0;
  return Promise.all(
    Array.from({ length: all }, (_, n) => {
      let isFirst = true;
      return connectPeer({
        ws() {
          const to = isFirst ? (n < first ? 0 : 1) : choose(chosen++);
          isFirst = false;
          return cluster.at(to).ws;
        },
      });
    }),
  );
}

test("40 peers on one node and 2 on the other become nearly level, within the bound, and nobody loses anything", async () => {
  await using cluster = await startCluster(2, env);
  await using stack = new AsyncDisposableStack();
  const peers = await crowd(cluster, 40, 42, (n) => n % 2);
  for (const peer of peers) stack.use(peer);
  const tokens = peers.map(({ token }) => token.split(".")[0]);

  // Eight calls, of which the last is still being set up; the others are idle or wait.
  const rooms: [string, TestPeer, TestPeer][] = [];
  for (let n = 0; n < 16; n += 2) {
    const [one, other] = [peers[n], peers[n + 1]] as [TestPeer, TestPeer];
    const interests = [`room ${n}`];
    await one.client.join.mutate({ interests });
    await other.client.join.mutate({ interests });
    const { roomId } = await one.next("wait-for-offer");
    if (n < 14) await one.client.connected.mutate({ roomId });
    rooms.push([roomId, one, other]);
  }
  const [, settingUp, itsPartner] = rooms.at(-1) as [string, TestPeer, TestPeer];
  let moved = 0;
  settingUp.onLost(() => (moved += 1));
  itsPartner.onLost(() => (moved += 1));

  // Signals all the while, numbered.
  let sent = 0;
  let isOver = false;
  const talking = (async () => {
    while (!isOver) {
      for (const [roomId, one] of rooms) {
        const candidate = { candidate: String(sent), sdpMid: "0", sdpMLineIndex: 0 };
        await one.client.addIceCandidate.mutate({ roomId, candidate });
      }
      sent += 1;
    }
  })();
  const begunAt = performance.now();
  await until(
    "they are not level",
    async () => {
      const [own = 0, other = 0] = (await peersOf(cluster, 0)).toSorted((a, b) => b - a);
      return own + other === 42 && own <= 26;
    },
    60_000,
  );
  isOver = true;
  await talking;
  const minutes = (performance.now() - begunAt) / 60_000;
  const asked = (await levelled(cluster, 0)) + (await levelled(cluster, 1));
  expect(asked).toBeGreaterThanOrEqual(14);
  // They are spread over each minute.
  expect(asked).toBeLessThanOrEqual(perMinute * minutes + perMinute / 60 + 1);
  expect(await levelled(cluster, 1)).toBe(0);
  // No session was lost, no event was, and none came twice.
  expect(peers.map(({ token }) => token.split(".")[0])).toEqual(tokens);
  for (const [, , other] of rooms) {
    await until("a signal is missing", () => signalsOf(other).length >= sent);
    expect(signalsOf(other)).toEqual(Array.from({ length: sent }, (_, n) => n));
  }
  expect(peers.flatMap(({ types }) => types.filter((type) => type === "resync"))).toEqual([]);
  expect(
    peers.flatMap(({ types }) => types.filter((type) => type === "partner-disconnected")),
  ).toEqual([]);
  // Who was about to be connected was left alone.
  expect(moved).toBe(0);
});

test("behind a proxy that keeps peers on a node it stops, and says so once", async () => {
  await using cluster = await startCluster(2, env);
  await using stack = new AsyncDisposableStack();
  for (const peer of await crowd(cluster, 40, 42, () => 0)) stack.use(peer);
  const said = () => (cluster.nodes[0]?.output ?? "").match(/came back to this node/g)?.length ?? 0;
  await until("it has not noticed", () => said() === 1, 60_000);
  const asked = await levelled(cluster, 0);
  expect(asked).toBeLessThanOrEqual(20);
  // Nothing happens any more, for longer than any pause between two.
  await Bun.sleep(5000);
  expect(await levelled(cluster, 0)).toBe(asked);
  expect(said()).toBe(1);
});
