/** Proofs of work before a join, over the wire: who has to solve one, and which solutions are worth nothing. */
import { createTRPCClient, createWSClient, wsLink } from "@trpc/client";
import { afterEach, describe, expect, test } from "bun:test";
import type { ChallengeConfig } from "../../src/safety-config.ts";
import { limits, type Challenge } from "../../src/protocol.ts";
import type { AppRouter } from "../../src/rpc/router.ts";
import { challenge, type AdmitHook } from "../../src/server.ts";
import { challengeOf, encoded, payloadOf, solutionOf } from "../support/challenges.ts";
import { engineOptions } from "../support/engine-options.ts";
import { connect, startHost } from "../support/host.ts";
import { startRedis } from "../support/redis.ts";
import { connectPeer, httpClient, refusalOf, startServer } from "../support/server.ts";

const stacks: AsyncDisposableStack[] = [];
afterEach(async () => {
  for (const stack of stacks.splice(0)) await stack.disposeAsync();
});

/** How far the server's wall clock is ahead (milliseconds). */
let aheadMs = 0;

function start(
  challenge: Partial<ChallengeConfig> = {},
  admit?: AdmitHook,
  secrets = ["a secret of the tests"],
) {
  aheadMs = 0;
  const stack = new AsyncDisposableStack();
  stacks.push(stack);
  const server = stack.use(
    startServer({
      secrets,
      trustLoopback: true,
      wallClockAheadMs: () => aheadMs,
      // Each report counts, and suspends nobody.
      engine: {
        moderation: {
          ...engineOptions.moderation,
          sessionReporters: 0,
          addressReporters: 0,
          voteAfterMs: 0,
        },
      },
      safety: { challenge: { mode: "on", difficulty: 2, passMs: 60_000, ...challenge }, admit },
    }),
  );
  const arrive = async (given: Parameters<typeof connectPeer>[1] = {}) =>
    stack.use(await connectPeer(server, given));
  return { ...server, arrive };
}

const waiting = { status: "waiting" } as const;

describe("a proof of work", () => {
  test("is asked for before a join, and let in once it is solved", async () => {
    const { arrive } = start();
    const peer = await arrive();
    const asked = await challengeOf(peer.client.join.mutate());
    expect(asked.kind).toBe("proof-of-work");
    expect(peer.types).toEqual(["session"]);
    const solution = await solutionOf(asked);
    expect(await peer.client.join.mutate({ solution })).toEqual(waiting);
    // Not again for a while: also after a reconnect, and over HTTP.
    expect(await peer.client.join.mutate({ interests: ["jazz"] })).toEqual(waiting);
    peer.cut();
    await peer.next("session");
    expect(await peer.client.join.mutate()).toEqual(waiting);
  });

  test("is solved once for all connections of a session", async () => {
    const server = start();
    const peer = await server.arrive();
    const overHttp = httpClient(server, peer.token);
    const solution = await solutionOf(await challengeOf(overHttp.join.mutate()));
    expect(await overHttp.join.mutate({ solution })).toEqual(waiting);
    expect(await overHttp.join.mutate()).toEqual(waiting);
    expect(await peer.client.join.mutate()).toEqual(waiting);
  });

  test("is asked for by a skip with which an idle peer enters the lobby, and by no other", async () => {
    const { arrive } = start();
    const [ann, bob] = [await arrive(), await arrive()];
    await challengeOf(ann.client.skip.mutate());
    for (const peer of [ann, bob])
      await peer.client.join.mutate({
        solution: await solutionOf(await challengeOf(peer.client.join.mutate())),
      });
    const { roomId } = await bob.next("create-offer");
    expect(await bob.client.skip.mutate({ roomId })).toEqual(waiting);
  });

  test("is asked for again by a skip of an idle peer on the same connection once what it has solved has lapsed", async () => {
    const { arrive } = start({ passMs: 0 });
    const peer = await arrive();
    const solution = await solutionOf(await challengeOf(peer.client.join.mutate()));
    expect(await peer.client.join.mutate({ solution })).toEqual(waiting);
    await peer.client.leave.mutate();
    await challengeOf(peer.client.skip.mutate());
  });

  test("leaves a peer in its room though its connection is another one and what it has solved has lapsed", async () => {
    const server = start({ passMs: 0 });
    const [ann, bob] = [await server.arrive(), await server.arrive()];
    for (const peer of [ann, bob])
      await peer.client.join.mutate({
        solution: await solutionOf(await challengeOf(peer.client.join.mutate())),
      });
    const { roomId } = await bob.next("create-offer");
    expect(await httpClient(server, bob.token).skip.mutate({ roomId })).toEqual(waiting);
    await challengeOf(httpClient(server, bob.token).join.mutate());
  });

  test("that was solved with a secret that is being replaced is as good", async () => {
    const old = start({}, undefined, ["the old secret of the tests"]);
    const peer = await old.arrive();
    const solution = await solutionOf(await challengeOf(peer.client.join.mutate()));
    const next = start({}, undefined, ["the new secret", "the old secret of the tests"]);
    const moved = await next.arrive({ token: peer.token });
    expect(await moved.client.join.mutate({ solution })).toEqual(waiting);
  });
});

describe("a solution is worth nothing", () => {
  const refused = async (join: Promise<unknown>) =>
    expect((await challengeOf(join)).kind).toBe("proof-of-work");

  test("a second time", async () => {
    // What it has solved lapses at once.
    const { arrive } = start({ passMs: 0 });
    const peer = await arrive();
    const solution = await solutionOf(await challengeOf(peer.client.join.mutate()));
    expect(await peer.client.join.mutate({ solution })).toEqual(waiting);
    await refused(peer.client.join.mutate({ solution }));
  });

  test("to others that use it at the same moment", async () => {
    const server = start({ passMs: 0 });
    const { token } = await server.arrive();
    const solution = await solutionOf(await challengeOf(httpClient(server, token).join.mutate()));
    const joins = Array.from({ length: 5 }, () =>
      httpClient(server, token).join.mutate({ solution }),
    );
    const results = await Promise.allSettled(joins);
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  test("on another session", async () => {
    const { arrive } = start();
    const [ann, bob] = [await arrive(), await arrive()];
    const solution = await solutionOf(await challengeOf(ann.client.join.mutate()));
    await refused(bob.client.join.mutate({ solution }));
    expect(await ann.client.join.mutate({ solution })).toEqual(waiting);
  });

  test("after its time", async () => {
    const { arrive } = start();
    const peer = await arrive();
    const [first, second] = [
      await solutionOf(await challengeOf(peer.client.join.mutate())),
      await solutionOf(await challengeOf(peer.client.join.mutate())),
    ];
    aheadMs = 119_000;
    expect(await peer.client.join.mutate({ solution: first })).toEqual(waiting);
    const late = await arrive();
    const solution = await solutionOf(await challengeOf(late.client.join.mutate()));
    aheadMs += 121_000;
    await refused(late.client.join.mutate({ solution }));
    expect(second).not.toBe(first);
  });

  test("if anything of it was changed", async () => {
    const { arrive } = start({ difficulty: 4 });
    const peer = await arrive();
    const { challenge: asked, solution } = await payloadOf(
      await challengeOf(peer.client.join.mutate()),
    );
    const { parameters, signature = "" } = asked;
    const data = { until: Number(parameters.data?.["until"]) + 1 };
    const forged = [
      { challenge: { parameters: { ...parameters, data }, signature }, solution },
      { challenge: { parameters: { ...parameters, cost: 1 }, signature }, solution },
      { challenge: { parameters: { ...parameters, more: 1 }, signature }, solution },
      { challenge: { parameters }, solution },
      { challenge: { parameters, signature: "00".repeat(32) }, solution },
      { challenge: asked, solution: { ...solution, derivedKey: "00".repeat(32) } },
      // The prefix that the challenge tells is half of it.
      { challenge: asked, solution: { ...solution, derivedKey: parameters.keyPrefix } },
      { challenge: asked, solution: { ...solution, derivedKey: `${solution.derivedKey}00` } },
      { challenge: asked, solution: { ...solution, counter: -1 } },
      { challenge: asked },
      { solution },
    ];
    for (const payload of forged)
      await refused(peer.client.join.mutate({ solution: encoded(payload) }));
    // None of these has used it up.
    const genuine = encoded({ challenge: asked, solution });
    expect(await peer.client.join.mutate({ solution: genuine })).toEqual(waiting);
  });

  test("if it is nonsense", async () => {
    const { arrive, lines } = start();
    const peer = await arrive();
    const nested = `${"[".repeat(1000)}${"]".repeat(1000)}`;
    for (const solution of ["x", "null", btoa("null"), btoa("[]"), btoa(nested), "ж", btoa("{")])
      await refused(peer.client.join.mutate({ solution }));
    const ill = ["", "\ud800", "x".repeat(limits.solutionBytesMax + 1)];
    for (const solution of ill)
      expect(await refusalOf(peer.client.join.mutate({ solution }))).toMatchObject({
        reason: "bad-input",
        field: "solution",
      });
    expect(await refusalOf(peer.client.join.mutate({ solution: 1 as never }))).toMatchObject({
      reason: "bad-input",
    });
    await refused(peer.client.join.mutate({ solution: "x".repeat(limits.solutionBytesMax) }));
    expect(lines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  });
});

describe("adaptive", () => {
  const adaptive = { mode: "adaptive" } as const;

  test("an address is asked for nothing until it makes sessions faster than usual", async () => {
    const { arrive } = start(adaptive);
    const [address, other] = ["192.0.2.1", "192.0.2.2"];
    const first = await arrive({ address });
    for (let n = 0; n < 3; n++) await first.client.join.mutate();
    for (let n = 1; n < 10; n++) await (await arrive({ address })).client.join.mutate();
    const eleventh = await arrive({ address });
    const solution = await solutionOf(await challengeOf(eleventh.client.join.mutate()));
    expect(await eleventh.client.join.mutate({ solution })).toEqual(waiting);
    // Neither those who are there nor others are asked.
    expect((await first.client.join.mutate()).status).toBeString();
    expect((await (await arrive({ address: other })).client.join.mutate()).status).toBeString();
  });

  test("an address of which sessions are reported faster than usual is asked, also those let in before", async () => {
    const { arrive } = start(adaptive);
    const bad = await arrive({ address: "192.0.2.1" });
    for (let n = 1; n <= 3; n++) {
      expect(await bad.client.join.mutate()).toEqual(waiting);
      const reporter = await arrive({ address: `198.51.${n}.1` });
      expect(await reporter.client.join.mutate({ autoRejoin: false })).toEqual({
        status: "paired",
      });
      const { roomId } = await reporter.next("create-offer");
      await reporter.client.report.mutate({ roomId, reason: "spam" });
      await bad.client.leave.mutate();
    }
    const solution = await solutionOf(await challengeOf(bad.client.join.mutate()));
    expect(await bad.client.join.mutate({ solution })).toEqual(waiting);
    expect(await bad.client.join.mutate()).toEqual(waiting);
  });
});

describe("challenges of the operator's own hook", () => {
  const code = (page: string): AdmitHook => {
    return (_, { solution }) =>
      solution === page || challenge({ kind: "code", hint: "the first page" });
  };

  test("are told to the peer, and their solution to the hook", async () => {
    const { arrive } = start({ mode: "off" }, code("17"));
    const peer = await arrive();
    expect(await refusalOf(peer.client.join.mutate())).toMatchObject({
      code: "PRECONDITION_FAILED",
      reason: "challenge",
      challenge: { kind: "code", hint: "the first page" },
    });
    await challengeOf(peer.client.join.mutate({ solution: "18" }));
    expect(await peer.client.join.mutate({ solution: "17" })).toEqual(waiting);
  });

  test("come after the proof of work, of whose solution the hook sees nothing", async () => {
    const seen: (string | undefined)[] = [];
    const { arrive } = start({}, (peer, wishes) => {
      seen.push(wishes.solution);
      return code("17")(peer, wishes);
    });
    const peer = await arrive();
    const solution = await solutionOf(await challengeOf(peer.client.join.mutate()));
    expect((await challengeOf(peer.client.join.mutate({ solution }))).kind).toBe("code");
    expect(await peer.client.join.mutate({ solution: "17" })).toEqual(waiting);
    expect(seen).toEqual([undefined, "17"]);
  });

  test.each([
    ["without a kind", { reason: "challenge", rejected: true }],
    [
      "too large",
      { reason: "challenge", rejected: true, challenge: { kind: "x", y: "x".repeat(5000) } },
    ],
  ])("that are %s are the operator's mistake", async (_, answer) => {
    const { arrive, lines } = start({ mode: "off" }, () => answer as never);
    const peer = await arrive();
    expect(await refusalOf(peer.client.join.mutate())).toMatchObject({ reason: "unavailable" });
    expect(lines.join("\n")).toContain("a challenge must");
  });

  test("are checked where they are made", () => {
    for (const wrong of [{}, { kind: "" }, { kind: "x".repeat(65) }, undefined])
      expect(() => challenge(wrong as never)).toThrow("a challenge must have a kind");
  });
});

test("on two nodes a session solves once, and each solution is good once", async () => {
  await using redis = await startRedis();
  const settings = {
    redisUrl: redis.url,
    sessionSecret: "a secret of both nodes",
    challenge: "on",
    challengeDifficulty: 2,
  } as const;
  const [one, two] = [startHost(settings), startHost(settings)];
  const peer = connect(one.ws);
  await peer.next("session");
  const solution = await solutionOf(await challengeOf(peer.client.join.mutate()));
  // Both verify it, whoever made it.
  const overHttp = httpClient({ http: two.http }, peer.token());
  expect(await overHttp.join.mutate({ solution })).toEqual(waiting);
  expect(await peer.client.join.mutate()).toEqual(waiting);
  // As if the time had passed for which that holds.
  const [sessionId = ""] = (peer.token() ?? "").split(".");
  const keys = (await redis.cli("--scan", "--pattern", `*k:passed ${sessionId}`)).trim();
  expect(Number(await redis.cli("pttl", keys))).toBeGreaterThan(1_700_000);
  expect((await redis.cli("del", keys)).trim()).toBe("1");
  const fresh = httpClient({ http: two.http }, peer.token());
  await challengeOf(fresh.join.mutate({ solution }));
  await challengeOf(httpClient({ http: one.http }, peer.token()).join.mutate({ solution }));
  const used = (await redis.cli("--scan", "--pattern", "*k:used *")).trim();
  expect(Number(await redis.cli("pttl", used))).toBeWithin(1, 180_001);
});

describe("what was done before there was a session", () => {
  /** A socket on which no events are open yet. */
  const socketTo = ({ ws }: { ws: string }) => {
    const client = createWSClient({ url: `${ws}/trpc` });
    stacks.at(-1)?.defer(() => client.close());
    return createTRPCClient<AppRouter>({ links: [wsLink({ client })] });
  };
  const opened = (client: ReturnType<typeof socketTo>) =>
    new Promise<void>((resolve, reject) =>
      client.events.subscribe(undefined, { onData: () => resolve(), onError: reject }),
    );

  test("lets no session in", async () => {
    const server = start();
    const early = socketTo(server);
    const { challenge: asked } = await refusalOf(early.join.mutate());
    if (asked !== undefined)
      await refusalOf(early.join.mutate({ solution: await solutionOf(asked as Challenge) }));
    for (const client of [early, socketTo(server)]) {
      expect(await refusalOf(client.join.mutate())).toMatchObject({ reason: "not-subscribed" });
      await opened(client);
      await challengeOf(client.skip.mutate());
      await challengeOf(client.join.mutate());
    }
  });

  test("lets no session in whose operator remembers who has passed a challenge of its own", async () => {
    const human = new Set<string>();
    const server = start({ mode: "off" }, ({ session }, { solution }) => {
      if (solution === "17") human.add(session);
      return human.has(session) || challenge({ kind: "code" });
    });
    await refusalOf(socketTo(server).join.mutate({ solution: "17" }));
    const client = socketTo(server);
    for (const early of [client.join.mutate(), client.skip.mutate()])
      expect(await refusalOf(early)).toMatchObject({ reason: "not-subscribed" });
    await opened(client);
    await challengeOf(client.skip.mutate());
    await challengeOf(client.join.mutate());
    expect([...human]).toEqual([]);
  });
});
