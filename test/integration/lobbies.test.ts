/** Lobbies as peers and operators have them: chosen by name, or given by the operator; counted apart. */
import { describe, expect, test } from "bun:test";
import { createTRPCClient, httpLink } from "@trpc/client";
import type { AppRouter } from "../../src/rpc/router.ts";
import { refuse, type PeerStreamOptions } from "../../src/server.ts";
import { connect, startHost, type Given } from "../support/host.ts";
import { startRedis } from "../support/redis.ts";
import { refusalOf } from "../support/server.ts";
import { until } from "../support/until.ts";

const lobbies = ["berlin", "Ünï 💬"];
const nobody = {
  online: 0,
  waiting: { video: 0, audio: 0, text: 0 },
  rooms: { video: 0, audio: 0, text: 0 },
};

/** Peers whose credentials are the name of a lobby are put into it. */
const authenticate: PeerStreamOptions["authenticate"] = ({ params }) =>
  params["auth"] === undefined ? {} : { lobby: String(params["auth"]) };

function start(options: PeerStreamOptions = {}) {
  const host = startHost({ lobbies, authenticate, limitIntentsPerS: 1000, ...options });
  async function arrive(given: Given = {}) {
    const peer = connect(host.ws, given);
    await peer.next("session");
    return peer;
  }
  return { ...host, arrive };
}

describe("a lobby that is on the list", () => {
  test("is where a peer waits that joins it, and has counts of its own", async () => {
    const { arrive, strangers } = start();
    const [ann, bob, cem] = [await arrive(), await arrive(), await arrive()];
    expect(await ann.client.join.mutate({ lobby: "berlin" })).toEqual({ status: "waiting" });
    expect(await ann.next("lobby")).toEqual({ type: "lobby", waiting: 1, online: 1 });
    expect(await bob.client.join.mutate({})).toEqual({ status: "waiting" });
    expect(await bob.next("lobby")).toEqual({ type: "lobby", waiting: 1, online: 2 });
    // Its name is that of the one that is always there.
    expect(await cem.client.join.mutate({ lobby: "main" })).toEqual({ status: "paired" });
    await bob.client.leave.mutate({});
    expect(await bob.client.join.mutate({ lobby: "Ünï 💬" })).toEqual({ status: "waiting" });
    // Who waits and joins another one waits there.
    expect(await bob.client.join.mutate({ lobby: "berlin" })).toEqual({ status: "paired" });
    const { roomId } = await ann.next("wait-for-offer");
    // A skip leads back to the same one.
    expect(await ann.client.skip.mutate({ roomId })).toEqual({ status: "waiting" });
    const stats = await strangers.stats();
    expect(stats.lobbies["berlin"]).toMatchObject({ online: 2, waiting: { video: 2 } });
  });

  test("can be asked for its counts, also over HTTP and without a session", async () => {
    const { arrive, http } = start();
    const [ann, bob] = [await arrive(), await arrive()];
    await ann.client.join.mutate({ lobby: "berlin", mode: "text" });
    const berlin = { ...nobody, online: 1, waiting: { ...nobody.waiting, text: 1 } };
    expect(await bob.client.stats.query({ lobby: "berlin" })).toEqual(berlin);
    expect(await bob.client.stats.query({ lobby: "main" })).toEqual({ ...nobody, online: 1 });
    expect(await bob.client.stats.query()).toEqual({ ...nobody, online: 1 });
    expect(await ann.client.stats.query()).toEqual({ ...nobody, online: 1 });
    const visitor = createTRPCClient<AppRouter>({ links: [httpLink({ url: `${http}/trpc` })] });
    expect(await visitor.stats.query({ lobby: "berlin" })).toEqual(berlin);
    expect(await refusalOf(visitor.stats.query({ lobby: "rome" }))).toMatchObject({
      reason: "bad-input",
      field: "lobby",
    });
  });
});

describe("a lobby that is not on the list", () => {
  test.each(["rome", "Berlin", "berlin ", "", "x".repeat(65), "\n", "__proto__", "\ud800"])(
    "is refused by name, and nothing is kept: %j",
    async (lobby) => {
      const { arrive, strangers } = start();
      const peer = await arrive();
      expect(await refusalOf(peer.client.join.mutate({ lobby }))).toMatchObject({
        reason: "bad-input",
        field: "lobby",
      });
      expect(await strangers.stats()).toEqual({
        ...nobody,
        online: 1,
        lobbies: { main: { ...nobody, online: 1 }, berlin: nobody, "Ünï 💬": nobody },
      });
      // Those who wait stay where they are.
      await peer.client.join.mutate({ lobby: "berlin" });
      await refusalOf(peer.client.join.mutate({ lobby }));
      expect((await strangers.stats()).lobbies["berlin"]).toMatchObject({ waiting: { video: 1 } });
    },
  );

  test("is any but main without a list", async () => {
    const { arrive } = start({ lobbies: undefined });
    const peer = await arrive();
    expect(await refusalOf(peer.client.join.mutate({ lobby: "berlin" }))).toMatchObject({
      reason: "bad-input",
      field: "lobby",
    });
    expect(await peer.client.join.mutate({ lobby: "main" })).toEqual({ status: "waiting" });
  });
});

describe("a lobby that the operator has put a peer into", () => {
  test("is where it waits; it can state the same, listed or not, and no other", async () => {
    const { arrive, strangers } = start();
    for (const own of ["acme", "berlin", "main"]) {
      const [ann, bob] = [await arrive({ auth: own }), await arrive({ auth: own })];
      for (const lobby of ["berlin", "main", "acme", "rome"].filter((one) => one !== own))
        expect(await refusalOf(ann.client.join.mutate({ lobby }))).toMatchObject({
          reason: "bad-input",
          field: "lobby",
        });
      expect(await ann.client.join.mutate({})).toEqual({ status: "waiting" });
      expect(await ann.next("lobby")).toMatchObject({ waiting: 1, online: 2 });
      expect(await bob.client.join.mutate({ lobby: own })).toEqual({ status: "paired" });
      expect((await strangers.stats()).lobbies[own]).toMatchObject({ rooms: { video: 1 } });
    }
  });

  test("is left by who comes back without it, waiting or by a skip", async () => {
    const { arrive } = start();
    const ann = await arrive({ auth: "acme" });
    expect(await ann.client.join.mutate({})).toEqual({ status: "waiting" });
    const again = await arrive({ token: ann.token() ?? "" });
    const bob = await arrive({ auth: "acme" });
    expect(await bob.client.join.mutate({})).toEqual({ status: "waiting" });
    expect(await again.client.skip.mutate({})).toEqual({ status: "waiting" });
    const cid = await arrive();
    expect(await cid.client.join.mutate({})).toEqual({ status: "paired" });
    await again.next("wait-for-offer");
  });

  test("has counts that only its own peers see", async () => {
    const { arrive } = start();
    const acme = await arrive({ auth: "acme" });
    await acme.client.join.mutate({});
    const other = await arrive({ auth: "other" });
    const ofAcme = { ...nobody, online: 1, waiting: { ...nobody.waiting, video: 1 } };
    expect(await acme.client.stats.query()).toEqual(ofAcme);
    expect(await other.client.stats.query()).toEqual({ ...nobody, online: 1 });
    const anybody = await arrive();
    expect(await anybody.client.stats.query()).toEqual({ ...nobody, online: 1 });
    for (const peer of [other, anybody])
      expect(await refusalOf(peer.client.stats.query({ lobby: "acme" }))).toMatchObject({
        reason: "bad-input",
        field: "lobby",
      });
    expect(await refusalOf(acme.client.stats.query({ lobby: "main" }))).toMatchObject({
      reason: "bad-input",
    });
  });

  test("is told to admit, as is one that the peer has chosen", async () => {
    const asked: (string | undefined)[] = [];
    const { arrive } = start({
      admit(_, { lobby }) {
        asked.push(lobby);
        return lobby === "berlin" ? refuse("suspended") : true;
      },
    });
    const [acme, anybody] = [await arrive({ auth: "acme" }), await arrive()];
    expect(await acme.client.skip.mutate({})).toEqual({ status: "waiting" });
    expect(await anybody.client.join.mutate({ lobby: "main" })).toEqual({ status: "waiting" });
    expect(await refusalOf(anybody.client.join.mutate({ lobby: "berlin" }))).toMatchObject({
      reason: "suspended",
    });
    expect(asked).toEqual(["acme", undefined, "berlin"]);
  });
});

describe("metrics", () => {
  const metricsToken = "a token of this test, for metrics";
  const headers = { authorization: `Bearer ${metricsToken}` };
  const linesOf = async (http: string, name: string) => {
    const text = await (await fetch(`${http}/metrics`, { headers })).text();
    return text
      .split("\n")
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  };

  test("have a label for each lobby on the list, and for those in which somebody is", async () => {
    const { arrive, http } = start({ metricsToken });
    const [ann, acme] = [await arrive(), await arrive({ auth: "acme" })];
    await ann.client.join.mutate({ lobby: "berlin", mode: "text" });
    await acme.client.join.mutate({ mode: "text" });
    expect(await linesOf(http, "peer_stream_site_peers_online")).toEqual([
      'peer_stream_site_peers_online{lobby="main"} 0',
      'peer_stream_site_peers_online{lobby="berlin"} 1',
      'peer_stream_site_peers_online{lobby="Ünï 💬"} 0',
      'peer_stream_site_peers_online{lobby="acme"} 1',
    ]);
    expect(await linesOf(http, "peer_stream_site_peers_waiting")).toContain(
      'peer_stream_site_peers_waiting{lobby="acme",mode="text"} 1',
    );
    const bob = await arrive();
    await bob.client.join.mutate({ lobby: "berlin", mode: "text" });
    expect(await linesOf(http, "peer_stream_site_rooms")).toContain(
      'peer_stream_site_rooms{lobby="berlin",mode="text"} 1',
    );
    const [cem, dan] = [await arrive({ auth: "acme" }), await arrive({ auth: "acme" })];
    for (const { client } of [cem, dan]) await client.join.mutate({ mode: "audio" });
    const { roomId } = await cem.next("wait-for-offer");
    await dan.client.connected.mutate({ roomId });
    const connects = await linesOf(http, "peer_stream_connect_seconds_count");
    expect(connects).toContainEqual(expect.stringMatching(/\{.*lobby="acme",mode="audio".*\} 1$/));
    const pairings = await linesOf(http, "peer_stream_pairings_total");
    expect(pairings).toContainEqual(expect.stringMatching(/\{.*lobby="acme",mode="audio".*\} 1$/));
    for (const { client, socket } of [cem, dan]) {
      await client.leave.mutate({});
      socket.close();
    }
    const waits = await linesOf(http, "peer_stream_match_wait_seconds_count");
    expect(waits).toContainEqual(expect.stringMatching(/\{.*lobby="berlin",mode="text".*\} 2$/));
    acme.socket.close();
    await until("the lobby of one that has gone has no series", async () => {
      const lines = await linesOf(http, "peer_stream_site_peers_waiting");
      return !lines.some((line) => line.includes("acme"));
    });
  });

  test("have no such label on a site without lobbies", async () => {
    const { arrive, http } = start({ lobbies: [], metricsToken });
    await (await arrive()).client.join.mutate({});
    expect(await linesOf(http, "peer_stream_site_peers_online")).toEqual([
      "peer_stream_site_peers_online 1",
    ]);
    expect(await linesOf(http, "peer_stream_site_peers_waiting")).toEqual([
      'peer_stream_site_peers_waiting{mode="video"} 1',
      'peer_stream_site_peers_waiting{mode="audio"} 0',
      'peer_stream_site_peers_waiting{mode="text"} 0',
    ]);
  });
});

test("two processes on Redis have the same lobbies and counts", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const options = { redisUrl: String(redis.url), sessionSecret: "a secret of these two hosts" };
  const [one, other] = [start(options), start(options)];
  for (const { strangers } of [one, other])
    await until("the host has Redis", async () => (await strangers.stats()).online === 0);
  const [ann, bob] = [await one.arrive(), await other.arrive()];
  const acme = await other.arrive({ auth: "acme" });
  await ann.client.join.mutate({ lobby: "berlin" });
  expect(await acme.client.join.mutate({})).toEqual({ status: "waiting" });
  expect(await refusalOf(bob.client.join.mutate({ lobby: "acme" }))).toMatchObject({
    reason: "bad-input",
  });
  const stats = await one.strangers.stats();
  expect(stats.lobbies).toMatchObject({
    main: { online: 1, waiting: { video: 0 } },
    berlin: { online: 1, waiting: { video: 1 } },
    acme: { online: 1, waiting: { video: 1 } },
  });
  expect(await bob.client.join.mutate({ lobby: "berlin" })).toEqual({ status: "paired" });
  await ann.next("wait-for-offer");
  expect((await other.strangers.stats()).lobbies["berlin"]).toMatchObject({
    online: 2,
    waiting: { video: 0 },
    rooms: { video: 1 },
  });
  for (const { strangers } of [one, other]) await strangers.stop();
}, 20_000);
