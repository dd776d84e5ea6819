/** TURN credentials from a provider, with real servers and sockets, against an imitation of Cloudflare's and Twilio's interfaces. */
import { beforeEach, afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { configuredServersFor } from "../../src/ice.ts";
import type { IceServer, PeerEvent } from "../../src/protocol.ts";
import { cloudflareTurn, twilioTurn } from "../../src/server.ts";
import { startCoturn } from "../support/coturn.ts";
import { startHost } from "../support/host.ts";
import { root } from "../support/root.ts";
import {
  connectPeer,
  operatorToken,
  refusalOf,
  startServer,
  type TestPeer,
} from "../support/server.ts";
import { startServer as startProcess } from "../support/server-process.ts";
import { hang, startTurnProvider, turnKey, twilioAccount } from "../support/turn-provider.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(60_000);

const fake = startTurnProvider();
afterAll(() => fake[Symbol.asyncDispose]());
beforeEach(() => {
  fake.answer = undefined;
  fake.asked.length = 0;
});
const { url } = fake;

const userOf = ({ iceServers }: { iceServers: readonly IceServer[] }) =>
  iceServers.find(({ username }) => username !== undefined)?.username ?? "none";

async function pairing({ told }: TestPeer) {
  const find = () => told.find(({ event }) => event.type.endsWith("-offer"))?.event;
  await until("the peer is told of its room", find);
  return find() as Extract<PeerEvent, { type: "create-offer" | "wait-for-offer" }>;
}

function start(provide = cloudflareTurn({ ...turnKey, url })) {
  return startServer({ ice: { provide, turnTtlS: 3600 }, trustLoopback: true });
}

async function metricsOf({ http }: { http: string }): Promise<string> {
  const headers = { authorization: `Bearer ${operatorToken}` };
  return (await fetch(`${http}/metrics`, { headers })).text();
}

describe("credentials of a provider", () => {
  test("are in the pairing events and in iceServers, one for each address; a suspended peer's are revoked", async () => {
    await using server = start();
    await using ann = await connectPeer(server, { address: "192.0.2.1" });
    await using bob = await connectPeer(server, { address: "198.51.100.1" });
    await ann.client.join.mutate();
    await bob.client.join.mutate();
    const users = (await Promise.all([pairing(ann), pairing(bob)])).map(userOf);
    expect(users.every((user) => fake.valid.has(user))).toBe(true);
    expect(users[0]).not.toBe(users[1]);
    expect(userOf(await ann.client.iceServers.query())).toBe(users[0] ?? "");
    expect(fake.asked).toHaveLength(2);
    expect(await metricsOf(server)).toMatch(
      /peer_stream_turn_provider_total\{outcome="given"[^}]*\} 2/,
    );
    const admin = await fetch(`${server.http}/admin/suspend`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${operatorToken}`,
        "content-type": "application/json",
      },
      body: JSON.stringify({
        subject: { kind: "address", id: "198.51.100.1" },
        until: Date.now() + 60_000,
      }),
    });
    expect(admin.status).toBe(200);
    await bob.next("resync");
    await until("the credentials are revoked", () => !fake.valid.has(users[1] ?? ""));
    expect(fake.valid.has(users[0] ?? "")).toBe(true);
  });

  test("of Twilio are given as well", async () => {
    await using server = start(twilioTurn({ ...twilioAccount, url }));
    await using ann = await connectPeer(server);
    await using bob = await connectPeer(server);
    await ann.client.join.mutate();
    await bob.client.join.mutate();
    const users = (await Promise.all([pairing(ann), pairing(bob)])).map(userOf);
    expect(users[0]).toMatch(/^user/);
    // Both come from one address.
    expect(users[1]).toBe(users[0] ?? "");
  });
});

describe("a provider that fails", () => {
  test("by hanging delays nobody's pairing: the event comes without TURN, others are not held up", async () => {
    fake.answer = hang;
    await using server = start();
    await using ann = await connectPeer(server, { address: "192.0.2.1" });
    await using bob = await connectPeer(server, { address: "198.51.100.1" });
    await ann.client.join.mutate();
    expect(await bob.client.join.mutate()).toEqual({ status: "paired" });
    const [first, second] = await Promise.all([pairing(ann), pairing(bob)]);
    expect([userOf(first), userOf(second)]).toEqual(["none", "none"]);
    // From now on nobody waits: the events are there before the answer to the join.
    await using cem = await connectPeer(server, { address: "203.0.113.1" });
    await using dan = await connectPeer(server, { address: "203.0.113.2" });
    await cem.client.join.mutate();
    await dan.client.join.mutate();
    expect(dan.types.at(-1)).toMatch(/-offer$/);
    await until("it is logged", () =>
      server.lines.some((line) => line.includes("no answer within 2000 ms")),
    );
    const warnings = server.lines.filter((line) => line.includes("no TURN credentials"));
    expect(warnings).toHaveLength(1);
    for (const secret of [turnKey.apiToken, "192.0.2.1"])
      expect(server.lines.join()).not.toContain(secret);
  });

  test.each([
    ["500", () => new Response("no", { status: 500 }), "the answer is 500, not 201"],
    ["401", () => new Response("no", { status: 401 }), "the answer is 401, not 201"],
    ["HTML", () => new Response("<html>"), "the answer is not JSON"],
    ["much", () => new Response(" ".repeat(1_000_000)), "the answer is longer than 65536 bytes"],
    [
      "wrong types",
      () => Response.json({ iceServers: [{ urls: ["turn:a.example"], username: 1 }] }),
      "the answer is not a list of ICE servers: iceServers: 0: username: ",
    ],
  ])(
    "with %s leaves peers with STUN alone, and relayOnly as without TURN",
    async (_, answer, why) => {
      fake.answer = answer;
      await using server = start();
      await using ann = await connectPeer(server);
      await using bob = await connectPeer(server);
      expect(await refusalOf(ann.client.join.mutate({ relayOnly: true }))).toMatchObject({
        reason: "relay-unavailable",
      });
      await ann.client.join.mutate();
      await bob.client.join.mutate();
      expect((await Promise.all([pairing(ann), pairing(bob)])).map(userOf)).toEqual([
        "none",
        "none",
      ]);
      expect(server.lines.join("\n")).toContain(why);
      // It is back.
      fake.answer = undefined;
      await until("there are credentials", async () =>
        userOf(await ann.client.iceServers.query()).startsWith("user"),
      );
      expect(server.lines.join("\n")).toContain("the provider gives TURN credentials again");
    },
  );
});

const ofProgram = {
  TURN_PROVIDER: "cloudflare",
  TURN_PROVIDER_ID: turnKey.keyId,
  TURN_PROVIDER_TOKEN: turnKey.apiToken,
  TURN_PROVIDER_URL: url,
};

test("the program is told of a provider by variables", async () => {
  await using server = await startProcess({ ...ofProgram, ALLOW_NO_ORIGIN: "true" });
  const ws = server.origin.replace("http", "ws");
  await using ann = await connectPeer({ ws });
  await using bob = await connectPeer({ ws });
  await ann.client.join.mutate({ relayOnly: true });
  await bob.client.join.mutate({ relayOnly: true });
  const users = (await Promise.all([pairing(ann), pairing(bob)])).map(userOf);
  expect(users.every((user) => fake.valid.has(user))).toBe(true);
  expect(JSON.parse(fake.asked[0]?.body ?? "")).toMatchObject({ ttl: 14_400 });
  expect(server.output).not.toContain(turnKey.apiToken);
});

test("a host gives a function of its own, which every room needs with forceRelay", async () => {
  const names = new Set<string>();
  const { http } = startHost({
    forceRelay: true,
    ice({ name }) {
      names.add(name);
      return [{ urls: "turn:own.example", username: "own", credential: "c" }];
    },
  });
  const ws = http.replace("http", "ws");
  await using ann = await connectPeer({ ws });
  await using bob = await connectPeer({ ws });
  await ann.client.join.mutate();
  await bob.client.join.mutate();
  const rooms = await Promise.all([pairing(ann), pairing(bob)]);
  expect(rooms.map(userOf)).toEqual(["own", "own"]);
  expect(rooms.map(({ relayOnly }) => relayOnly)).toEqual([true, true]);
  expect(names.size).toBe(1);
});

describe("bun run doctor", () => {
  async function doctor(env: Record<string, string>) {
    const { PATH = "" } = process.env;
    const child = Bun.spawn([process.execPath, "run", "--silent", "doctor"], {
      cwd: root,
      env: { PATH, ...env },
      stdout: "pipe",
      stderr: "pipe",
    });
    return new Response(child.stdout).text();
  }

  test("asks the provider, allocates with what it gives, and revokes that", async () => {
    await using coturn = await startCoturn();
    await using relayed = startTurnProvider();
    const ice = {
      stunUrls: [],
      turnUrls: [coturn.url],
      turnSecret: coturn.secret,
      turnTtlS: 300,
    };
    relayed.answer = (request) =>
      request.url.endsWith("/revoke")
        ? new Response(null, { status: 204 })
        : Response.json({ iceServers: configuredServersFor(ice, Date.now(), "doctor") });
    const printed = await doctor({ ...ofProgram, TURN_PROVIDER_URL: relayed.url });
    expect(printed).toContain("ok    TURN_PROVIDER (cloudflare) gives credentials for 14400 s");
    expect(printed).toContain(`ok    ${coturn.url} gives a relayed address, 127.0.0.1:`);
    expect(printed).toContain("ok    credentials of the provider can be revoked");
    expect(printed).not.toContain("there is no TURN server");
    expect(printed).not.toContain(turnKey.apiToken);
    expect(relayed.asked.at(-1)?.path).toMatch(/\/revoke$/);
  });

  test("says what to do about one that refuses, is away, or has no TURN server", async () => {
    const refused = await doctor({ ...ofProgram, TURN_PROVIDER_TOKEN: "another-token" });
    expect(refused).toMatch(
      /fail {2}TURN_PROVIDER \(cloudflare\) gives no credentials: the answer is 401, not 201\n +→ set TURN_PROVIDER_ID and TURN_PROVIDER_TOKEN/,
    );
    const away = await doctor({ ...ofProgram, TURN_PROVIDER_URL: "http://127.0.0.1:9" });
    expect(away).toMatch(/gives no credentials: .*\n +→ check that it can be reached from here/);
    fake.answer = () => Response.json({ iceServers: [{ urls: ["stun:a.example"] }] });
    expect(await doctor(ofProgram)).toContain(
      "fail  TURN_PROVIDER (cloudflare) gives no TURN server",
    );
  });
});
