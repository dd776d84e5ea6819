/** Who is not in a room can do nothing to it, and learns nothing of it; and what peers say stays between them. */
import { describe, expect, test } from "bun:test";
import { createSessionTokens } from "../../src/rpc/session-token.ts";
import { openRawSocket } from "../support/raw-socket.ts";
import {
  connectPeer,
  httpClient,
  operatorToken,
  startServer,
  type TestPeer,
  type TestServer,
} from "../support/server.ts";
import { until } from "../support/until.ts";

type Client = TestPeer["client"];

/** Everything that names a room. */
const attempts = {
  offer: (client, roomId) => client.offer.mutate({ roomId, sdp: "v=0" }),
  answer: (client, roomId) => client.answer.mutate({ roomId, sdp: "v=0" }),
  addIceCandidate: (client, roomId) =>
    client.addIceCandidate.mutate({ roomId, candidate: { candidate: "candidate:1" } }),
  endOfCandidates: (client, roomId) =>
    client.addIceCandidate.mutate({ roomId, candidate: { candidate: "" } }),
  say: (client, roomId) => client.say.mutate({ roomId, text: "Hello" }),
  typing: (client, roomId) => client.typing.mutate({ roomId, typing: true }),
  media: (client, roomId) => client.media.mutate({ roomId, audio: false, video: false }),
  connected: (client, roomId) => client.connected.mutate({ roomId }),
  failed: (client, roomId) => client.failed.mutate({ roomId }),
  skip: (client, roomId) => client.skip.mutate({ roomId }),
  again: (client, roomId) => client.again.mutate({ roomId }),
  report: (client, roomId) => client.report.mutate({ roomId, reason: "spam" }),
  block: (client, roomId) => client.block.mutate({ roomId }),
} satisfies Record<string, (client: Client, roomId: string) => Promise<unknown>>;

/** All that the caller of an attempt gets to see. */
async function seenBy(call: Promise<unknown>): Promise<object> {
  try {
    return { answered: await call };
  } catch (error) {
    const { message, data, shape } = error as { message: string; data?: object; shape?: object };
    return { message, data, shape };
  }
}

/** Looks like a room's id, and is none. */
const noRoom = `chat.${"x".repeat(22)}`;

async function pair(server: TestServer, stack: AsyncDisposableStack, interests: string[]) {
  const one = stack.use(await connectPeer(server));
  const other = stack.use(await connectPeer(server));
  await one.client.join.mutate({ interests });
  await other.client.join.mutate({ interests });
  return { one, other, roomId: (await one.next("wait-for-offer")).roomId };
}

/**
 * A room of Alice's and Bob's, and everybody who is not in it.
 */
async function stage() {
  await using building = new AsyncDisposableStack();
  const server = building.use(startServer({ chat: "server" }));
  const former = building.use(await connectPeer(server));
  const alice = building.use(await connectPeer(server));
  await alice.client.join.mutate();
  await former.client.join.mutate();
  const { roomId: formerRoomId } = await alice.next("wait-for-offer");
  await former.client.leave.mutate();
  await alice.next("lobby");
  const bob = building.use(await connectPeer(server));
  await bob.client.join.mutate();
  const { roomId } = await bob.next("create-offer");
  await alice.next("wait-for-offer");

  const other = await pair(server, building, ["elsewhere"]);
  const idle = building.use(await connectPeer(server));
  const waiting = building.use(await connectPeer(server));
  await waiting.client.join.mutate({ mode: "audio" });
  const absent = building.use(await connectPeer(server));
  absent.unsubscribe();

  const http = (token?: string) => httpClient(server, token);
  const forged = createSessionTokens(["a secret of somebody else's"]).sign(
    { sessionId: alice.token.split(".")[0] ?? "", generation: 1 },
    Date.now(),
  );
  const outsiders: Record<string, Client> = {
    "somebody idle": idle.client,
    "somebody idle, over HTTP": http(idle.token),
    "somebody who waits": waiting.client,
    "somebody who waits, over HTTP": http(waiting.token),
    "somebody without a stream of events": absent.client,
    "somebody without a session, over HTTP": http(),
    "somebody with a forged token of a member, over HTTP": http(forged),
    "a member of another room": other.one.client,
    "a member of another room, over HTTP": http(other.other.token),
    "a former partner": former.client,
    "a former partner, over HTTP": http(former.token),
  };
  const owned = building.move();
  return {
    server,
    alice,
    bob,
    other,
    roomId,
    formerRoomId,
    outsiders,
    bystanders: [alice, bob, other.one, other.other, waiting],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

describe("a room", () => {
  test("can't be reached from outside, by any call, over the socket or HTTP; nor told from one that is not", async () => {
    await using scene = await stage();
    const { server, alice, bob, other, roomId, outsiders, bystanders } = scene;
    const toldBefore = bystanders.map(({ told }) => told.length);

    for (const [who, client] of Object.entries(outsiders))
      for (const [what, attempt] of Object.entries(attempts)) {
        const whenItExists = await seenBy(attempt(client, roomId));
        const whenItDoesNot = await seenBy(attempt(client, noRoom));
        // The same words, to the letter, also where the call changes nothing.
        expect({ who, what, seen: whenItExists }).toEqual({ who, what, seen: whenItDoesNot });
        if (what !== "skip") expect(whenItExists).toHaveProperty("data.reason");
        expect(JSON.stringify(whenItExists)).not.toContain(roomId);
      }

    // The members' own signals come after all that, and are the first thing they are told.
    await bob.client.offer.mutate({ roomId, sdp: "for Alice" });
    await alice.client.answer.mutate({ roomId, sdp: "for Bob" });
    expect((await alice.next("offer")).sdp).toBe("for Alice");
    expect((await bob.next("answer")).sdp).toBe("for Bob");
    expect(bystanders.map(({ told }, index) => told.length - (toldBefore[index] ?? 0))).toEqual([
      1, 1, 0, 0, 0,
    ]);
    expect(bystanders.flatMap(({ errors }) => errors)).toEqual([]);
    const signal = { roomId: other.roomId, sdp: "elsewhere" };
    expect(await other.one.client.offer.mutate(signal)).toEqual({ delivered: true });
    expect(server.reports).toEqual([]);
  });

  test("that has ended is a race for its former members: nothing arrives, and nobody is punished", async () => {
    await using scene = await stage();
    const { alice, bob, formerRoomId, outsiders } = scene;
    const before = alice.told.length + bob.told.length;
    for (const who of ["a former partner", "a former partner, over HTTP"])
      for (const what of [
        "offer",
        "answer",
        "addIceCandidate",
        "endOfCandidates",
        "say",
        "typing",
        "media",
      ] as const) {
        const client = outsiders[who];
        if (!client) throw new Error(who);
        expect(await attempts[what](client, formerRoomId)).toEqual({ delivered: false });
      }
    await alice.client.stats.query();
    expect(alice.told.length + bob.told.length).toBe(before);
  });

  test("is lost to a tab that another has taken over from", async () => {
    await using scene = await stage();
    const { server, alice, bob, roomId } = scene;
    await using second = await connectPeer(server, { token: alice.token });
    await until("Alice is refused", () => alice.errors.length > 0);
    const before = bob.told.length;
    for (const attempt of Object.values(attempts))
      expect(await seenBy(attempt(alice.client, roomId))).toMatchObject({
        data: { reason: "taken-over" },
      });
    expect(await second.client.answer.mutate({ roomId, sdp: "mine" })).toEqual({ delivered: true });
    expect((await bob.next("answer")).sdp).toBe("mine");
    expect(bob.told.length).toBe(before + 1);
  });

  test("tells its members nothing of each other but the room", async () => {
    await using scene = await stage();
    const { alice, bob } = scene;
    const secrets = [bob.token, bob.token.split(".")[0] ?? "", "127.0.0.1", "address"];
    for (const secret of secrets) expect(JSON.stringify(alice.told)).not.toContain(secret);
  });
});

test("what peers say, and who they are, is in no log line, no metric and no report", async () => {
  const canary = "CANARY";
  await using server = startServer({
    ice: { turnUrls: ["turn:127.0.0.1"], turnSecret: `${canary}-turn-secret` },
    // It fails for each text, in all ways in which it can.
    message({ text }) {
      if (text.includes("parsed")) JSON.parse(text);
      if (text.includes("quoted")) throw new Error(text);
      if (text.includes("thrown")) throw text; // oxlint-disable-line no-throw-literal
      return text.includes("spoilt") ? `${text}\0` : text;
    },
    chat: "server",
  });
  await using alice = await connectPeer(server);
  await using bob = await connectPeer(server);
  const interests = [`${canary} interest`];
  await alice.client.join.mutate({ interests, id: `${canary}-id` });
  await bob.client.join.mutate({ interests, languages: ["en"] });
  const { roomId, iceServers } = await alice.next("wait-for-offer");
  await bob.client.offer.mutate({ roomId, sdp: `v=0\r\ns=${canary}` });
  await alice.client.answer.mutate({ roomId, sdp: `${canary} answer` });
  await alice.client.addIceCandidate.mutate({
    roomId,
    candidate: { candidate: `${canary} 192.0.2.77`, sdpMid: canary, usernameFragment: canary },
  });

  for (const what of ["sent", "parsed", "quoted", "thrown", "spoilt"])
    await bob.client.say.mutate({ roomId, text: `${canary} ${what}` });
  expect((await alice.next("message")).text).toBe(`${canary} sent`);
  await seenBy(bob.client.say.mutate({ roomId, text: `${canary}\0` }));

  // Refused calls: whatever they carried is not worth a line either.
  const wrong = { roomId: canary, sdp: canary, [canary]: canary } as never;
  await seenBy(alice.client.offer.mutate(wrong));
  await seenBy(alice.client.offer.mutate({ roomId: `${canary}-room`, sdp: canary }));
  await seenBy(alice.client.join.mutate({ mode: canary } as never));
  await using socket = await openRawSocket(`${server.ws}/trpc?connectionParams=1&${canary}=1`);
  socket.send(JSON.stringify({ method: "connectionParams", data: { token: canary } }));
  const named = (path: string) => ({ id: path, method: "query", params: { path, input: canary } });
  for (const path of [canary, `${canary}\n{"level":50}`, "stats"])
    await socket.ask(JSON.stringify(named(path)), path);
  await socket.ask(`${canary}{`, null);
  for (const path of [`/trpc/${canary}?input=${canary}`, `/trpc/stats,${canary}`, `/${canary}`])
    await fetch(server.http + path, {
      headers: {
        authorization: `Bearer ${canary}`,
        "user-agent": canary,
        "x-forwarded-for": canary,
        referer: `http://${canary}/`,
      },
    });
  await alice.client.report.mutate({ roomId, reason: "spam" });
  await bob.client.leave.mutate();

  const metrics = await fetch(`${server.http}/metrics`, {
    headers: { authorization: `Bearer ${operatorToken}` },
  });
  const logged = [...server.lines, await metrics.text()].join("\n");
  const reported = JSON.stringify(server.reports);
  expect(logged).toContain("reported");
  expect(logged).toContain("refused");
  expect(logged).toContain("the hook message failed");
  expect(logged).toMatch(/^peer_stream_messages_total\{outcome="delivered"\} 1$/m);
  expect(logged).toMatch(/^peer_stream_messages_total\{outcome="dropped"\} 4$/m);
  expect(logged).toMatch(/^peer_stream_hook_faults_total\{hook="message"\} 4$/m);
  expect(reported).toContain("spam");
  const secrets = [
    canary,
    alice.token,
    bob.token,
    iceServers.find(({ credential }) => credential)?.credential ?? "no credential",
    "127.0.0.1",
    "192.0.2.77",
  ];
  // An operator is told whom a report names, so as to suspend them; a log is not.
  const sessionIds = [alice, bob].map(({ token }) => token.split(".")[0] ?? "no session");
  for (const secret of [...secrets, ...sessionIds])
    expect(logged.split("\n").filter((line) => line.includes(secret))).toEqual([]);
  for (const secret of secrets) expect(reported).not.toContain(secret);
});
