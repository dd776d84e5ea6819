/** Challenges before a join: when they are solved, by what, and what becomes of the search. */
import { describe, expect, test } from "bun:test";
import { createChallengeSolver } from "../../../src/client/challenge-solver.ts";
import { createPeer } from "../../../src/client/peer.ts";
import { createBlobWorker } from "../../../src/client/proof-of-work.ts";
import type { PeerStreamState } from "../../../src/client/state.ts";
import type { Challenge } from "../../../src/protocol.ts";
import { createProofOfWork } from "../../../src/rpc/proof-of-work.ts";
import { createOffer, FakeConnection, refusal } from "./fake-connection.ts";
import { FakeNetwork, isReactNative, callCode } from "./fake-rtc.ts";
import { settle } from "./virtual-time.ts";

const challenge: Challenge = { kind: "code", page: 17 };

/** Each time the peer solves something. */
interface Solving {
  challenge: Challenge;
  signal: AbortSignal;
  solve(solution: string): void;
  fail(cause: unknown): void;
}

async function begin() {
  const server = new FakeConnection();
  server.answering = false;
  const solvings: Solving[] = [];
  const peer = createPeer({
    callCode,
    connection: server,
    rtc: new FakeNetwork().browser("alice"),
    solveChallenge: (challenge, signal) =>
      new Promise((solve, fail) => solvings.push({ challenge, signal, solve, fail })),
  });
  peer.start({ interests: ["chess"] });
  server.session({ status: "idle" }, false);
  await settle();
  const calls = async () => {
    await settle();
    return server.take();
  };
  /** The server challenges the one `join` that there is. */
  const challengeJoin = async (asked = challenge) => {
    const [join, ...others] = await calls();
    expect([join?.name, others]).toEqual(["join", []]);
    join?.refuse(refusal({ reason: "challenge", challenge: asked }));
    await settle();
    return join;
  };
  return { server, peer, solvings, calls, challengeJoin };
}

const errorOf = (state: PeerStreamState) => (state.status === "idle" ? state.error : undefined);

describe("a challenge", () => {
  test("is solved while the peer waits, and then it joins with the solution, once", async () => {
    const { peer, solvings, calls, challengeJoin } = await begin();
    await challengeJoin();
    expect(solvings.map((one) => one.challenge)).toEqual([challenge]);
    expect(peer.state.status).toBe("waiting");
    expect(await calls()).toEqual([]);
    solvings[0]?.solve("chess is fun");
    const [join] = await calls();
    expect(join?.input).toMatchObject({ interests: ["chess"], solution: "chess is fun" });
    join?.answer({ status: "waiting" });
    await settle();
    peer.start({ interests: ["go"] });
    const [later] = await calls();
    expect(later?.input).not.toHaveProperty("solution");
  });

  test("is given up when the search ends", async () => {
    const { peer, solvings, calls, challengeJoin } = await begin();
    await challengeJoin();
    peer.stop();
    expect(solvings[0]?.signal.aborted).toBe(true);
    solvings[0]?.solve("too late");
    expect((await calls()).map(({ name }) => name)).toEqual(["leave"]);
    expect(peer.state).toEqual({ status: "idle" });
  });

  test("is given up when the peer stream is closed", async () => {
    const { peer, solvings, calls, challengeJoin } = await begin();
    await challengeJoin();
    peer.close();
    expect(solvings[0]?.signal.aborted).toBe(true);
    solvings[0]?.fail(new Error("aborted"));
    expect(await calls()).toEqual([]);
  });

  test("that can't be solved ends the search, with the cause", async () => {
    const { peer, solvings, challengeJoin } = await begin();
    await challengeJoin();
    const cause = new Error("no such page");
    solvings[0]?.fail(cause);
    await settle();
    expect(errorOf(peer.state)).toMatchObject({
      kind: "rejected",
      reason: "challenge",
      challenge,
      cause,
    });
  });

  test("is solved four times in a row at most", async () => {
    const { peer, solvings, challengeJoin } = await begin();
    for (let n = 0; n < 4; n++) {
      await challengeJoin();
      solvings[n]?.solve(`solution ${n}`);
    }
    expect(peer.state.status).toBe("waiting");
    await challengeJoin();
    expect(solvings).toHaveLength(4);
    expect(errorOf(peer.state)).toMatchObject({ reason: "challenge" });
  });

  test("is solved on while the connection is lost, and no join comes before that is done", async () => {
    const { server, solvings, calls, challengeJoin } = await begin();
    await challengeJoin();
    server.drop();
    server.session({ status: "idle" });
    expect(await calls()).toEqual([]);
    server.drop();
    solvings[0]?.solve("17");
    expect(await calls()).toEqual([]);
    server.session({ status: "idle" });
    expect((await calls()).map(({ name, input }) => [name, input["solution"]])).toEqual([
      ["join", "17"],
    ]);
    expect(solvings).toHaveLength(1);
  });

  test("is for the wishes of the moment in which it is solved", async () => {
    const { peer, solvings, calls, challengeJoin } = await begin();
    await challengeJoin();
    peer.start({ interests: ["go"] });
    expect(await calls()).toEqual([]);
    solvings[0]?.solve("17");
    expect((await calls()).map(({ input }) => input)).toMatchObject([
      { interests: ["go"], solution: "17" },
    ]);
  });

  test("of a skip is solved for a join", async () => {
    const { server, peer, solvings, calls } = await begin();
    const [join] = await calls();
    join?.answer({ status: "waiting" });
    server.emit(createOffer("room-1"));
    await settle();
    peer.next();
    const skip = (await calls()).find(({ name }) => name === "skip");
    skip?.refuse(refusal({ reason: "challenge", challenge }));
    await settle();
    solvings[0]?.solve("17");
    expect((await calls()).map(({ name, input }) => [name, input["solution"]])).toEqual([
      ["join", "17"],
    ]);
  });
});

test("rules are for the page: it starts again with what the user has agreed to", async () => {
  const { peer, solvings, calls, challengeJoin } = await begin();
  const rules = { kind: "rules", version: "2", text: "Be kind." };
  await challengeJoin(rules);
  expect(solvings).toEqual([]);
  expect(errorOf(peer.state)).toMatchObject({ reason: "challenge", challenge: rules });
  peer.start({ agreed: "2" });
  expect((await calls()).at(-1)?.input).toMatchObject({ agreed: "2" });
});

describe("the solver", () => {
  const proof = createProofOfWork({ secrets: ["a secret"], difficulty: 4, now: () => 0 });
  const never = new AbortController().signal;

  test("solves a proof of work in a worker of a Blob", async () => {
    let workers = 0;
    const challengeWorker = () => {
      workers += 1;
      return createBlobWorker();
    };
    const solve = createChallengeSolver({ challengeWorker });
    const solution = await solve(await proof.create("alice"), never);
    expect(await proof.verify("alice", solution)).toBeDefined();
    expect(await proof.verify("bob", solution)).toBeUndefined();
    expect(workers).toBe(1);
  });

  /** Answers by one of its listeners. */
  class FailingWorker {
    onerror = () => {};
    onmessage: (event: { data: undefined }) => unknown = () => undefined;
    readonly #answer: (worker: FailingWorker) => void;

    constructor(answer: (worker: FailingWorker) => void) {
      this.#answer = answer;
    }

    postMessage(): void {
      queueMicrotask(() => this.#answer(this));
    }

    terminate(): void {}
  }
  const failingBy = (answer: (worker: FailingWorker) => void) =>
    new FailingWorker(answer) as unknown as Worker;
  const withoutResult = () => failingBy((worker) => worker.onmessage({ data: undefined }));
  const failing: Record<string, () => Worker> = {
    "is not allowed": () => {
      throw new TypeError("blocked by a policy");
    },
    "can't be loaded": () => failingBy((worker) => worker.onerror()),
    fails: withoutResult,
  };
  test.each(Object.entries(failing))(
    "solves it without a worker where one %s",
    async (_, challengeWorker) => {
      const solve = createChallengeSolver({ challengeWorker });
      const solution = await solve(await proof.create("alice"), never);
      expect(await proof.verify("alice", solution)).toBeDefined();
    },
  );

  test("ends its worker, and rejects, when it is given up", async () => {
    const hard = createProofOfWork({ secrets: ["a secret"], difficulty: 90_000, now: () => 0 });
    let terminated = 0;
    const challengeWorker = () => {
      const worker = createBlobWorker();
      const terminate = worker.terminate.bind(worker);
      worker.terminate = () => {
        terminated += 1;
        return terminate();
      };
      return worker;
    };
    for (const parts of [{ challengeWorker }, { challengeWorker: withoutResult }]) {
      const giving = new AbortController();
      const solving = createChallengeSolver(parts)(await hard.create("alice"), giving.signal);
      giving.abort();
      await expect(solving).rejects.toThrow("aborted");
    }
    expect(terminated).toBe(isReactNative ? 0 : 1);
  });

  test("asks the page for anything else, and says what is missing where it has nothing for that", async () => {
    const onChallenge = async (asked: Challenge) => `${asked.kind} ${String(asked["page"])}`;
    expect(await createChallengeSolver({ onChallenge })(challenge, never)).toBe("code 17");
    await expect(createChallengeSolver({})(challenge, never)).rejects.toThrow("onChallenge");
  });
});
