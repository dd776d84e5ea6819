/** Lanes of a host application: its hook, what becomes of a hook that fails, and that no peer or log is told. */
import { describe, expect, test } from "bun:test";
import {
  ConfigError,
  createPeerStream,
  refuse,
  type LaneHook,
  type PeerStreamOptions,
} from "../../src/server.ts";
import { connect, silent, startHost } from "../support/host.ts";
import { until } from "../support/until.ts";

/** Longer than any test takes. */
const laneAfterMs = 600_000;

function startLanes(lane: LaneHook, more: PeerStreamOptions = {}) {
  const logged: string[] = [];
  const note = (what: string, fields?: object) =>
    void logged.push(`${what} ${JSON.stringify(fields)}`);
  const { ws, http, strangers } = startHost({
    laneAfterMs,
    lane,
    authenticate: ({ params }) => ({ account: String(params["auth"]), facts: { plan: "free" } }),
    log: { ...silent, info: note, warn: note, error: note },
    ...more,
  });
  async function arrive(auth: string) {
    const peer = connect(ws, { auth });
    await peer.next("session");
    return peer;
  }
  return { arrive, logged, http, strangers };
}

describe("the lane hook", () => {
  test("is asked before each join, once the peer is admitted, and those of a lane meet", async () => {
    const asked: string[] = [];
    const lanes: Record<string, number> = { ann: 0, bad: 3, cem: 0, worse: 3 };
    const { arrive } = startLanes(
      async ({ account = "", session, facts }) => {
        asked.push(`lane ${account} ${session.length} ${String(facts["plan"])}`);
        return lanes[account];
      },
      {
        admit({ account = "" }) {
          asked.push(`admit ${account}`);
          return account === "banned" ? refuse("suspended", { until: 5 }) : true;
        },
      },
    );
    const [ann, bad, cem, worse, banned] = [
      await arrive("ann"),
      await arrive("bad"),
      await arrive("cem"),
      await arrive("worse"),
      await arrive("banned"),
    ];
    expect(await ann.client.join.mutate({})).toEqual({ status: "waiting" });
    expect(await bad.client.join.mutate({})).toEqual({ status: "waiting" });
    expect(await worse.client.join.mutate({})).toEqual({ status: "paired" });
    expect(await cem.client.join.mutate({})).toEqual({ status: "paired" });
    expect(await banned.client.join.mutate({}).catch(() => "refused")).toBe("refused");
    expect(asked).toEqual([
      ...["ann", "bad", "worse", "cem"].flatMap((name) => [
        `admit ${name}`,
        `lane ${name} 22 free`,
      ]),
      "admit banned",
    ]);
  });

  test("is asked by the skip with which a peer begins, but not by those after it", async () => {
    const asked: (string | undefined)[] = [];
    const { arrive } = startLanes(({ account }) => {
      asked.push(account);
      return account === "bad" ? 1 : 0;
    });
    const [ann, bad] = [await arrive("ann"), await arrive("bad")];
    await ann.client.join.mutate({});
    for (let n = 0; n < 2; n++) {
      expect(await bad.client.skip.mutate({})).toEqual({ status: "waiting" });
      expect(await bad.client.leave.mutate({})).toEqual({ status: "idle" });
    }
    expect(asked).toEqual(["ann", "bad"]);
  });

  test("is asked anew by each join: the last answer holds", async () => {
    const lanes = { bob: 1 };
    const { arrive } = startLanes(({ account }) => (account === "bob" ? lanes.bob : 0));
    const [ann, bob] = [await arrive("ann"), await arrive("bob")];
    await ann.client.join.mutate({});
    expect(await bob.client.join.mutate({})).toEqual({ status: "waiting" });
    lanes.bob = 0;
    expect(await bob.client.join.mutate({})).toEqual({ status: "paired" });
    await ann.next("wait-for-offer");
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("no lanes today");
      },
    ],
    ["rejects", () => Promise.reject(new Error("no lanes today"))],
    ["hangs", () => new Promise<number>(() => {})],
    ["answers -1", () => -1],
    ["answers 8", async () => 8],
    ["answers half a lane", () => 1.5],
    ["answers NaN", () => Number.NaN],
    ["answers a text", (() => "1") as never],
    ["answers null", (async () => null) as never],
  ] as [string, LaneHook][])(
    "%s: the peer joins by its conduct, and the fault is logged once and counted",
    async (_, fault) => {
      const metricsToken = "a token of this test, for metrics";
      const { arrive, logged, http } = startLanes(
        (peer) => (peer.account === "ann" ? 0 : fault(peer)),
        { metricsToken },
      );
      const [ann, bob] = [await arrive("ann"), await arrive("bob")];
      await ann.client.join.mutate({});
      expect(await bob.client.join.mutate({})).toEqual({ status: "paired" });
      await bob.client.leave.mutate({});
      await bob.client.join.mutate({});
      expect(logged.filter((line) => line.startsWith("the hook lane failed"))).toHaveLength(1);
      const headers = { authorization: `Bearer ${metricsToken}` };
      const metrics = await (await fetch(`${http}/metrics`, { headers })).text();
      expect(metrics).toMatch(/peer_stream_hook_faults_total\{hook="lane",.*\} 2\n/);
    },
    10_000,
  );

  test("an answer of nothing is no fault", async () => {
    const { arrive, logged } = startLanes(() => undefined);
    const [ann, bob] = [await arrive("ann"), await arrive("bob")];
    await ann.client.join.mutate({});
    expect(await bob.client.join.mutate({})).toEqual({ status: "paired" });
    expect(logged.filter((line) => line.includes("hook"))).toEqual([]);
  });
});

test("no peer and no log line is told of a lane", async () => {
  const lifecycle: string[] = [];
  const on = {
    joined: (event: object) => void lifecycle.push(JSON.stringify(event)),
    paired: (event: object) => void lifecycle.push(JSON.stringify(event)),
    ended: (event: object) => void lifecycle.push(JSON.stringify(event)),
  };
  const { arrive, logged } = startLanes(() => 6, { on });
  const [ann, bob] = [await arrive("ann"), await arrive("bob")];
  const answers = [await ann.client.join.mutate({}), await bob.client.join.mutate({})];
  const { roomId } = await ann.next("wait-for-offer");
  answers.push(await bob.client.skip.mutate({ roomId }));
  await ann.next("partner-disconnected");
  await until("the end is told", () => lifecycle.some((event) => event.includes("ended")));
  const told = JSON.stringify([answers, ann.told, bob.told, lifecycle, logged]);
  expect(told).toContain("waiting");
  // Not within the random ids.
  expect(told).not.toMatch(/\b(lanes?|conduct)\b/i);
});

test("without lanes a hook for them is refused, as nobody would ask it", () => {
  const problemsOf = (options: PeerStreamOptions) => {
    try {
      void createPeerStream({ log: silent, ...options }).stop();
    } catch (error) {
      return error instanceof ConfigError ? error.problems : error;
    }
    return [];
  };
  expect(problemsOf({ lane: () => 0 })).toEqual([
    "lane: is asked only where there are lanes: set laneAfterMs as well",
  ]);
  expect(problemsOf({ laneAfterMs: 1000, lane: 1 as never })).toEqual(["lane: must be a function"]);
  expect(problemsOf({ laneAfterMs: -1 })).toEqual([
    'laneAfterMs: must be a whole number from 0 to 86400000 (it is "-1")',
  ]);
  expect(problemsOf({ laneAfterMs: 1000, lane: () => 0 })).toEqual([]);
});
