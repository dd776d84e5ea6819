/** Facts and wants on a real server: declared by its host, stated and wanted by peers on tRPC's own client. */
import { describe, expect, test } from "bun:test";
import { createTRPCClient, httpLink, TRPCClientError, wsLink } from "@trpc/client";
import type { FactsDeclaration, JoinInput } from "../../src/protocol/declaration.ts";
import {
  createPeerStream,
  refuse,
  type AppRouter,
  type JoinWishes,
  type Policy,
} from "../../src/server.ts";
import { connect, silent, startHost } from "../support/host.ts";
import { until } from "../support/until.ts";

const facts = {
  region: { kind: "one", of: ["eu", "us", "asia"], by: "claims", shown: true },
  topics: { kind: "set", of: ["art", "go", "jazz"] },
  age: { kind: "range", from: 18, to: 99, shown: true },
  adult: { kind: "flag", by: "claims" },
  pets: { kind: "flag", hard: false },
} as const satisfies FactsDeclaration;

type Router = AppRouter<typeof facts>;

/** A host that takes what a peer says in `auth`, a JSON text, for what it knows of it. */
const withFacts = {
  facts,
  limitIntentsPerS: 0,
  authenticate: ({ params }: { params: Readonly<Record<string, unknown>> }) => ({
    facts: JSON.parse(String(params["auth"] ?? "{}")) as Record<string, unknown>,
  }),
};

/** A peer that has begun its session. */
async function arrive(ws: string, claims: object = {}) {
  const peer = connect(ws, { auth: JSON.stringify(claims) });
  await peer.next("session");
  const client = createTRPCClient<Router>({ links: [wsLink({ client: peer.socket })] });
  return { ...peer, client };
}
type Peer = Awaited<ReturnType<typeof arrive>>;

const statusOf = async ({ client }: Peer, input: JoinInput<typeof facts>) =>
  (await client.join.mutate(input)).status;

/** The path of the field that a refusal names. */
async function fieldOf(call: Promise<unknown>): Promise<unknown> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof TRPCClientError)) throw new Error("it was not refused");
  const { reason, field } = error.data as { reason: string; field?: string };
  expect(reason).toBe("bad-input");
  return field;
}

describe("hard wants", () => {
  test("are checked of both sides: whoever comes second", async () => {
    const { ws } = startHost(withFacts);
    const older = { facts: { age: 60 } };
    const wantsYounger = { facts: { age: 30 }, wants: { age: { to: 40, hard: true } } } as const;
    const [first, second] = [await arrive(ws), await arrive(ws)];
    expect(await statusOf(first, wantsYounger)).toBe("waiting");
    expect(await statusOf(second, older)).toBe("waiting");
    const third = await arrive(ws);
    expect(await statusOf(third, wantsYounger)).toBe("paired");
    // The one who came in between was passed over by both.
    await first.next("wait-for-offer");
    expect(second.told.map(({ type }) => type)).toEqual(["lobby"]);
    const fourth = await arrive(ws);
    expect(await statusOf(fourth, wantsYounger)).toBe("waiting");
  });

  test("are not met by who states nothing, nor by a claim that is absent", async () => {
    const { ws } = startHost(withFacts);
    const wants = { adult: { is: true, hard: true } } as const;
    expect(await statusOf(await arrive(ws), {})).toBe("waiting");
    const asking = await arrive(ws, { adult: true });
    expect(await statusOf(asking, { wants })).toBe("waiting");
    expect(await statusOf(await arrive(ws, { adult: false }), {})).toBe("paired");
    expect(await statusOf(await arrive(ws, { adult: true }), {})).toBe("paired");
    await asking.next("wait-for-offer");
  });

  test("of a set are met by any common value", async () => {
    const { ws } = startHost(withFacts);
    const wants = { topics: { in: ["art", "go"], hard: true } } as const;
    expect(await statusOf(await arrive(ws), { facts: { topics: ["jazz"] } })).toBe("waiting");
    expect(await statusOf(await arrive(ws), { wants })).toBe("waiting");
    expect(await statusOf(await arrive(ws), { facts: { topics: ["jazz", "go"] } })).toBe("paired");
  });

  test("hold over a skip and a return to the lobby", async () => {
    const { ws } = startHost(withFacts);
    const wants = { age: { from: 50, hard: true } } as const;
    const asking = await arrive(ws);
    await statusOf(asking, { wants });
    const partner = await arrive(ws);
    expect(await statusOf(partner, { facts: { age: 70 } })).toBe("paired");
    const { roomId } = await asking.next("wait-for-offer");
    expect((await asking.client.skip.mutate({ roomId })).status).toBe("waiting");
    const young = await arrive(ws);
    expect(await statusOf(young, { facts: { age: 20 } })).toBe("paired");
    // With the one who was skipped: the other one has waited for longer, and still does not want the young.
    expect((await partner.next("wait-for-offer")).sharedInterests).toEqual([]);
    expect((await young.client.leave.mutate({})).status).toBe("idle");
    expect(asking.told.map(({ type }) => type)).not.toContain("wait-for-offer");
  });
});

describe("a want that is not hard", () => {
  test("gives way after its own time, without a newcomer", async () => {
    const { ws } = startHost(withFacts);
    const [first, second] = [await arrive(ws), await arrive(ws)];
    expect(await statusOf(first, { facts: { age: 30 } })).toBe("waiting");
    const wants = { age: { from: 50, softAfterMs: 300 } };
    const joinedAt = performance.now();
    expect(await statusOf(second, { wants })).toBe("waiting");
    await until("both are paired", () =>
      [first, second].every(({ told }) => told.some(({ type }) => type.endsWith("-offer"))),
    );
    expect(performance.now() - joinedAt).toBeGreaterThan(290);
  });

  test("gives way as interests do where it says nothing", async () => {
    const { ws } = startHost({ ...withFacts, relaxAfterMs: 0 });
    expect(await statusOf(await arrive(ws), { facts: { age: 30 } })).toBe("waiting");
    expect(await statusOf(await arrive(ws), { wants: { age: { from: 50 } } })).toBe("paired");
  });
});

describe("what the operator states", () => {
  test("is merged with what the peer states, and shown where it is declared so", async () => {
    const { ws } = startHost(withFacts);
    const shown = { region: "eu", adult: true, plan: "gold" };
    const alice = await arrive(ws, shown);
    await statusOf(alice, { facts: { age: 31, topics: ["go"] } });
    const bob = await arrive(ws);
    await statusOf(bob, { facts: { pets: true }, wants: { region: { in: ["eu"], hard: true } } });
    const toBob = await bob.next("create-offer");
    // Not `adult`, which is not shown; not `plan`, which is no dimension.
    expect(toBob.partnerFacts).toEqual({ region: "eu", age: 31 });
    expect((await alice.next("wait-for-offer")).partnerFacts).toEqual({});
  });

  test("can't be stated by a peer, and nothing of such a join is kept", async () => {
    const { ws } = startHost(withFacts);
    const peer = await arrive(ws, { region: "us" });
    // @ts-expect-error stated by the operator alone
    const forged = peer.client.join.mutate({ facts: { region: "eu", age: 20 } });
    expect(await fieldOf(forged)).toBe("facts.region");
    expect((await peer.client.skip.mutate({})).status).toBe("waiting");
    const other = await arrive(ws);
    await statusOf(other, {});
    expect((await other.next("create-offer")).partnerFacts).toEqual({ region: "us" });
  });

  test("counts as not stated where it is no value, and is logged once", async () => {
    const lines: object[] = [];
    const warn = (what: string, fields?: object) => void lines.push({ what, ...fields });
    const { ws } = startHost({ ...withFacts, log: { ...silent, warn } });
    const odd = { region: ["eu"], adult: true };
    const [one, two] = [await arrive(ws, odd), await arrive(ws, odd)];
    await statusOf(one, {});
    await statusOf(two, { wants: { adult: { is: true, hard: true } } });
    expect((await two.next("create-offer")).partnerFacts).toEqual({});
    const faults = lines.filter((line) => JSON.stringify(line).includes("region"));
    expect(faults).toMatchObject([{ dimension: "region" }]);
  });

  test("is what it states now, at each skip", async () => {
    let region = "eu";
    const { ws } = startHost({ ...withFacts, authenticate: () => ({ facts: { region } }) });
    const peer = await arrive(ws);
    await statusOf(peer, { facts: { age: 40 } });
    await peer.client.leave.mutate({});
    region = "asia";
    const token = peer.token() ?? "";
    const again = connect(ws, { token });
    await again.next("session");
    expect((await again.client.skip.mutate({})).status).toBe("waiting");
    const other = await arrive(ws);
    await statusOf(other, {});
    expect((await other.next("create-offer")).partnerFacts).toEqual({ region: "asia", age: 40 });
  });
});

test("partnerFacts are part of a paired state", async () => {
  const { ws } = startHost(withFacts);
  const alice = await arrive(ws, { region: "eu" });
  await statusOf(alice, {});
  const bob = await arrive(ws, { region: "us" });
  await statusOf(bob, { facts: { age: 50 } });
  await alice.next("wait-for-offer");
  const again = connect(ws, { token: alice.token() ?? "" });
  const { state } = await again.next("session");
  expect(state).toMatchObject({ status: "paired", partnerFacts: { region: "us", age: 50 } });
});

describe("site", () => {
  test("tells what is declared, with the defaults, over WebSocket and HTTP, without a session", async () => {
    const { ws, http } = startHost(withFacts);
    const peer = await arrive(ws);
    const overHttp = createTRPCClient<Router>({ links: [httpLink({ url: `${http}/trpc` })] });
    for (const site of [await peer.client.site.query(), await overHttp.site.query()])
      expect(site).toEqual({
        protocol: 1,
        modes: ["video", "audio", "text"],
        facts: {
          region: { kind: "one", of: ["eu", "us", "asia"], by: "claims", shown: true, hard: true },
          topics: { kind: "set", of: ["art", "go", "jazz"], by: "peer", shown: false, hard: true },
          age: { kind: "range", from: 18, to: 99, by: "peer", shown: true, hard: true },
          adult: { kind: "flag", by: "claims", shown: false, hard: true },
          pets: { kind: "flag", by: "peer", shown: false, hard: false },
        },
        lobbies: ["main"],
      });
  });

  test("without a declaration has no facts, join takes none, and partners have none", async () => {
    const { ws } = startHost();
    const [one, two] = [connect(ws), connect(ws)];
    await Promise.all([one.next("session"), two.next("session")]);
    expect((await one.client.site.query()).facts).toEqual({});
    // @ts-expect-error nothing is declared
    expect(await fieldOf(one.client.join.mutate({ facts: { age: 20 } }))).toBe("facts.age");
    // @ts-expect-error nothing is declared
    expect(await fieldOf(one.client.join.mutate({ wants: { age: { from: 1 } } }))).toBe(
      "wants.age",
    );
    await one.client.join.mutate({ facts: {}, wants: {} });
    await two.client.join.mutate({});
    expect((await two.next("create-offer")).partnerFacts).toEqual({});
  });
});

test("admit and the policy see facts and wants", async () => {
  const asked: JoinWishes<typeof facts>[] = [];
  const offered: unknown[] = [];
  const policy: Policy = (ticket, eligible) => {
    offered.push([ticket.wishes.facts, eligible.map(({ wishes }) => wishes.wants)]);
    return eligible[0];
  };
  const { ws } = startHost({
    ...withFacts,
    policy,
    admit(_, wishes) {
      asked.push(wishes);
      return wishes.facts?.region === "asia" ? refuse("suspended") : true;
    },
  });
  const first = await arrive(ws, { region: "eu" });
  await statusOf(first, { wants: { age: { from: 20, hard: true } } });
  await statusOf(await arrive(ws), { facts: { age: 30 } });
  expect(asked).toMatchObject([
    { mode: "video", facts: { region: "eu" }, wants: [{ of: "age", from: 20 }] },
    { facts: { age: 30 } },
  ]);
  expect(offered).toEqual([[{ age: 30 }, [[{ of: "age", from: 20 }]]]]);
  await expect(statusOf(await arrive(ws, { region: "asia" }), {})).rejects.toThrow("suspended");
});

/** Never called: whether it compiles is what it shows. */
export function typesOf({ client }: { client: ReturnType<typeof createTRPCClient<Router>> }): void {
  const { join } = client;
  void join.mutate();
  void join.mutate({ interests: ["go"], facts: {}, wants: {} });
  void join.mutate({ facts: { age: 3, topics: ["art"], pets: true } });
  void join.mutate({
    wants: { region: { in: ["eu"], hard: true }, age: { to: 9, softAfterMs: 5 } },
  });
  // @ts-expect-error no such dimension
  void join.mutate({ facts: { height: 180 } });
  // @ts-expect-error no such dimension
  void join.mutate({ wants: { height: { from: 180 } } });
  // @ts-expect-error no such value
  void join.mutate({ facts: { topics: ["golf"] } });
  // @ts-expect-error no such value
  void join.mutate({ wants: { region: { in: ["mars"] } } });
  // @ts-expect-error of another kind
  void join.mutate({ facts: { age: "20" } });
  // @ts-expect-error of another kind
  void join.mutate({ wants: { age: { in: [20] } } });
  // @ts-expect-error neither bound
  void join.mutate({ wants: { age: { hard: true } } });
  // @ts-expect-error stated by the operator alone
  void join.mutate({ facts: { region: "eu" } });
  // @ts-expect-error may not be hard
  void join.mutate({ wants: { pets: { is: true, hard: true } } });
  // @ts-expect-error a hard want does not give way
  void join.mutate({ wants: { adult: { is: true, hard: true, softAfterMs: 5 } } });
}

/** Likewise: the router of a host with procedures of its own is typed by its declaration. */
export function typesOfHost() {
  const strangers = createPeerStream({
    facts: { region: { kind: "one", of: ["eu", "us"] } },
    admit: (_, { facts: stated, wants = [] }) => {
      // @ts-expect-error no such value
      if (stated?.region === "mars") return refuse("suspended");
      // @ts-expect-error no such dimension
      return wants.every(({ of }) => of !== "height") ? true : refuse("suspended");
    },
  });
  const { t } = strangers;
  const router = strangers.router(t.router({ own: t.procedure.query(() => 1) }));
  const client = createTRPCClient<typeof router>({ links: [] });
  void client.own.query();
  void client.join.mutate({ facts: { region: "eu" }, wants: { region: { in: ["us"] } } });
  // @ts-expect-error no such value
  void client.join.mutate({ facts: { region: "mars" } });
  // @ts-expect-error no such dimension
  void client.join.mutate({ wants: { age: { from: 3 } } });
  // @ts-expect-error no such kind
  createPeerStream({ facts: { region: { kind: "many" } } });
}
