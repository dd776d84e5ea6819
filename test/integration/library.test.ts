/** The server in a host application of somebody else: as an Elysia plugin, with accounts and hooks. */
import { describe, expect, test } from "bun:test";
import { createTRPCClient, httpLink, wsLink } from "@trpc/client";
import { Elysia } from "elysia";
import { z } from "zod";
import { ConfigError, createPeerStream, refuse, type PeerStreamOptions } from "../../src/server.ts";
import { createConnection } from "../../src/client/connection.ts";
import { RpcSocket } from "../../src/client/rpc-socket.ts";
import type { PeerStreamError } from "../../src/client/state.ts";
import { browserTimers } from "../../src/client/platform.ts";
import { createTokenStore } from "../../src/client/token-store.ts";
import { ends } from "../support/ends.ts";
import { createLog } from "../../src/observe/log.ts";
import { connect, silent, startHost } from "../support/host.ts";
import { until } from "../support/until.ts";

describe("a plugin in a host", () => {
  test("two peers are paired under the host's prefix", async () => {
    const { ws, strangers } = startHost();
    const [alice, bob] = [connect(ws), connect(ws)];
    await alice.next("session");
    await bob.next("session");
    await alice.client.join.mutate({});
    expect(await bob.client.join.mutate({})).toEqual({ status: "paired" });
    const { roomId } = await bob.next("create-offer");
    await alice.next("wait-for-offer");
    await bob.client.offer.mutate({ roomId, sdp: "v=0\r\n" });
    expect(await alice.next("offer")).toMatchObject({ sdp: "v=0\r\n" });
    expect(await strangers.stats()).toMatchObject({ online: 2, rooms: { video: 1 } });
  });

  test("a page of another origin can't open a socket, whatever the prefix", async () => {
    for (const prefix of ["/strangers", ""]) {
      const { ws } = startHost({ development: false, corsOrigin: "https://good.example" }, prefix);
      const statusFor = async (origin?: string) => {
        const headers = {
          connection: "upgrade",
          upgrade: "websocket",
          "sec-websocket-version": "13",
          "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
          ...(origin !== undefined && { origin }),
        };
        return (await fetch(ws.replace("ws:", "http:"), { headers })).status;
      };
      expect([prefix, await statusFor("https://evil.example")]).toEqual([prefix, 403]);
      expect([prefix, await statusFor()]).toEqual([prefix, 403]);
      expect([prefix, await statusFor("https://good.example")]).toEqual([prefix, 101]);
    }
  });

  test("a body larger than a frame is refused before it is parsed, whatever the host allows", async () => {
    const { http } = startHost();
    const headers = { "content-type": "application/json" };
    const statusOf = async (body: BodyInit) =>
      (await fetch(`${http}/trpc/leave`, { method: "POST", headers, body })).status;
    expect(await statusOf(`{"id":"${"x".repeat(70_000)}"}`)).toBe(413);
    const chunked = (text: string) =>
      new ReadableStream({
        async pull(controller) {
          await Bun.sleep(1);
          controller.enqueue(new TextEncoder().encode(text));
          controller.close();
        },
      });
    expect(await statusOf(chunked("{}"))).toBe(411);
    expect(await statusOf("{}")).toBe(401);
  });

  test("a connection is closed with its stream of events, as it would have no timeout", async () => {
    const { http } = startHost();
    const closed = Promise.withResolvers<void>();
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: Number(new URL(http).port),
      socket: { data() {}, close: () => closed.resolve() },
    });
    ends.push(() => socket.terminate());
    const headers = "Host: localhost\r\nAuthorization: Bearer wrong\r\nAccept: text/event-stream";
    socket.write(`GET /strangers/trpc/events HTTP/1.1\r\n${headers}\r\n\r\n`);
    await closed.promise;
  });

  test("a prefix may have parameters, and characters that are encoded", async () => {
    for (const [prefix, path] of [
      ["/:school", "/a"],
      ["/ä b", "/%C3%A4%20b"],
    ] as const) {
      const { http } = startHost({}, prefix);
      const root = new URL(http).origin;
      expect([prefix, (await fetch(`${root}${path}/trpc/stats`)).status]).toEqual([prefix, 200]);
    }
  });

  test("what the host serves is untouched: no header, hook or error handler of ours", async () => {
    const { http } = startHost();
    const root = http.replace("/strangers", "");
    const own = await fetch(`${root}/own`, { headers: { origin: "http://evil.example" } });
    expect(await own.text()).toBe("the host's own");
    expect(own.headers.get("access-control-allow-origin")).toBeNull();
    expect(own.headers.get("vary")).toBeNull();
    for (const path of ["/livez", "/readyz", "/metrics", "/admin/list", "/"])
      expect([path, (await fetch(root + path)).status]).toEqual([path, 404]);
    expect((await fetch(`${http}/metrics`)).status).toBe(404);
    const ours = await fetch(`${http}/trpc/stats`);
    expect(await ours.json()).toMatchObject({ result: { data: { online: 0 } } });
    const preflight = await fetch(`${http}/trpc/join`, {
      method: "OPTIONS",
      headers: { origin: "http://localhost:5173", "access-control-request-method": "POST" },
    });
    expect(preflight.headers.get("access-control-allow-origin")).toBe("http://localhost:5173");
  });

  test("Elysia reads neither query, headers nor cookies for it: a cookie that the host would refuse is for authenticate to judge", async () => {
    const strangers = createPeerStream({ development: true, log: silent });
    const host = new Elysia({
      websocket: strangers.websocket,
      cookie: { secrets: "the host's", sign: ["sid"] },
    })
      .use(strangers.plugin)
      .get("/own", ({ cookie }) => String(cookie["sid"]?.value))
      .listen({ port: 0, hostname: "127.0.0.1" });
    ends.push(
      () => host.stop(true),
      () => strangers.stop(),
    );
    const at = `127.0.0.1:${host.server?.port}`;
    const headers = { cookie: "sid=forged" };
    expect((await fetch(`http://${at}/own`, { headers })).status).toBe(400);
    expect((await fetch(`http://${at}/trpc/stats`, { headers })).status).toBe(200);
    await connect(`ws://${at}/trpc`, headers).next("session");
  });

  test("the operator's routes are served only with their tokens", async () => {
    const { http } = startHost({ metricsToken: "a token of this test, for metrics" });
    const headers = { authorization: "Bearer a token of this test, for metrics" };
    expect(await (await fetch(`${http}/metrics`, { headers })).text()).toContain("peer_stream_");
    expect((await fetch(`${http}/admin/list`, { headers })).status).toBe(404);
  });

  test("its log names options, not the program's variables", async () => {
    const cures: unknown[] = [];
    const warn = (_: string, fields?: object) => {
      if (fields && "cure" in fields) cures.push(fields.cure);
    };
    const { http } = startHost({ development: false, log: { ...silent, warn } });
    const origins = { "https://app.example": "app.example", "https://other.example": "localhost" };
    const expected = [
      "publicUrl=https://app.example, if that is this server's page",
      "add https://other.example to corsOrigin, if that page may connect",
    ];
    // The second one of a kind is logged a second later.
    await until("both cures are logged", async () => {
      for (const [origin, host] of Object.entries(origins))
        await fetch(`${http}/trpc/stats`, { headers: { origin, host } });
      return expected.every((cure) => cures.includes(cure));
    });
  });

  test("its level is changed while it runs, but not that of a log which was given", async () => {
    const lines: string[] = [];
    const log = createLog("warn", { write: (line: string) => void lines.push(line) });
    const strangers = createPeerStream({ development: true, log });
    strangers.setLogLevel("debug");
    expect(log.level).toBe("debug");
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ was: "warn", is: "debug" }]);
    expect(() => strangers.setLogLevel("loud" as never)).toThrow("no level: loud");
    await strangers.stop();
    const other = createPeerStream({ development: true, log: silent });
    expect(() => other.setLogLevel("debug")).toThrow("a level of its own");
    await other.stop();
  });

  test("two in one process do not disturb each other", async () => {
    const first = createPeerStream({ development: true, log: silent });
    const second = createPeerStream({ development: true, log: silent });
    const host = new Elysia({ websocket: first.websocket })
      .use(new Elysia({ prefix: "/a" }).use(first.plugin))
      .use(new Elysia({ prefix: "/b" }).use(second.plugin))
      .listen({ port: 0, hostname: "127.0.0.1" });
    ends.push(async () => {
      await host.stop(true);
      await second.stop();
    });
    const ws = (name: string) => `ws://127.0.0.1:${host.server?.port}/${name}/trpc`;
    const [alice, bob] = [connect(ws("a")), connect(ws("b"))];
    await alice.next("session");
    await bob.next("session");
    expect(await alice.client.join.mutate({})).toEqual({ status: "waiting" });
    expect(await bob.client.join.mutate({})).toEqual({ status: "waiting" });
    await first.stop();
    expect(await second.stats()).toMatchObject({ online: 1, waiting: { video: 1 } });
    expect(await bob.client.leave.mutate({})).toEqual({ status: "idle" });
  });

  test("wrong options throw at creation, all at once, by name", () => {
    const wrong = {
      graceMs: -1,
      corsOrigin: ["https://a.example/path"],
      turnUrls: ["turn:turn.example:3478"],
      skipcooldownMs: 3,
      authenticate: "jwt",
      limitPeers: Number.NaN,
    } as unknown as PeerStreamOptions;
    let problems: readonly string[] = [];
    try {
      createPeerStream(wrong);
    } catch (error) {
      if (error instanceof ConfigError) ({ problems } = error);
    }
    const names = problems.map((problem) => problem.split(":")[0]).toSorted();
    expect(names).toEqual([
      "authenticate",
      "corsOrigin",
      "graceMs",
      "limitPeers",
      "skipcooldownMs",
      "turnSecret",
    ]);
    expect(problems.join("\n")).toContain("did you mean skipCooldownMs?");
    expect(problems.join("\n")).not.toContain("_");
  });
});

describe("the host's own procedures", () => {
  test("share the socket, and know account, session and facts", async () => {
    const { strangers, ws, http } = startHost({
      authenticate: ({ params }) => ({ account: String(params["auth"]), facts: { plan: "gold" } }),
    });
    const { t } = strangers;
    const appRouter = strangers.router(
      t.router({
        profile: t.router({
          who: t.procedure.input(z.object({ greet: z.string() })).query(({ ctx, input }) => ({
            text: `${input.greet} ${ctx.account}`,
            session: ctx.session,
            facts: ctx.facts,
          })),
        }),
      }),
    );
    const alice = connect(ws, { auth: "alice" });
    await alice.next("session");
    const client = createTRPCClient<typeof appRouter>({
      links: [wsLink({ client: alice.socket })],
    });
    const answer = await client.profile.who.query({ greet: "hello" });
    expect(answer).toMatchObject({ text: "hello alice", facts: { plan: "gold" } });
    expect(answer.session).toHaveLength(22);
    // Typed by the merged router, its own and ours.
    expect(await client.join.mutate({})).toEqual({ status: "waiting" });
    const overHttp = createTRPCClient<typeof appRouter>({
      links: [httpLink({ url: `${http}/trpc`, headers: { "x-peer-stream-auth": "bob" } })],
    });
    expect(await overHttp.profile.who.query({ greet: "hello" })).toMatchObject({
      text: "hello bob",
    });
  });

  test("can't take a name of ours, nor be added once requests were served", async () => {
    const { strangers, http } = startHost();
    const { t } = strangers;
    const join = t.procedure.query(() => 1);
    expect(() => strangers.router(t.router({ join }))).toThrow("join");
    await fetch(`${http}/trpc/stats`);
    expect(() => strangers.router(t.router({ other: join }))).toThrow("before");
  });

  test("their own errors keep their messages", async () => {
    const { strangers, ws } = startHost({ log: { ...silent, bug() {} } });
    const { t } = strangers;
    const { TRPCError } = await import("@trpc/server");
    const appRouter = strangers.router(
      t.router({
        forbidden: t.procedure.query((): string => {
          throw new TRPCError({ code: "FORBIDDEN", message: "members only" });
        }),
        broken: t.procedure.query((): string => {
          throw new Error("a secret of the database");
        }),
      }),
    );
    const alice = connect(ws);
    const client = createTRPCClient<typeof appRouter>({
      links: [wsLink({ client: alice.socket })],
    });
    await expect(client.forbidden.query()).rejects.toThrow("members only");
    await expect(client.broken.query()).rejects.toThrow("Internal server error");
    await alice.next("session");
  });
});

describe("authenticate", () => {
  test("is told headers, connection parameters and the address, and not the token", async () => {
    const asked: unknown[] = [];
    const { ws, http } = startHost({
      authenticate({ headers, params, address }) {
        asked.push({ cookie: headers.get("cookie"), params, address });
        return { account: "a" };
      },
    });
    const alice = connect(ws, { auth: "secret", cookie: "sid=1" });
    await alice.next("session");
    expect(asked).toEqual([{ cookie: "sid=1", params: { auth: "secret" }, address: "127.0.0.1" }]);
    await fetch(`${http}/trpc/stats`, { headers: { "x-peer-stream-auth": "x", cookie: "sid=2" } });
    expect(asked[1]).toEqual({ cookie: "sid=2", params: { auth: "x" }, address: "127.0.0.1" });
  });

  test("refused: the peer is told unauthorized, without a time to try again", async () => {
    const { ws, http } = startHost({ authenticate: () => refuse("unauthorized") });
    const alice = connect(ws);
    await until("the refusal", () => alice.errors.length > 0);
    expect(alice.errors[0]).toMatchObject({ reason: "unauthorized" });
    expect(alice.errors[0]?.retryAfterMs).toBeUndefined();
    const response = await fetch(`${http}/trpc/stats`);
    expect(response.status).toBe(401);
  });

  const failures: [string, PeerStreamOptions["authenticate"]][] = [
    [
      "throws",
      () => {
        throw new Error("the database is away");
      },
    ],
    [
      "rejects",
      async () => {
        throw new Error("the database is away");
      },
    ],
    ["answers nothing", (() => undefined) as never],
    ["answers a text", (() => "alice") as never],
    ["answers with an empty account", () => ({ account: "" })],
    ["answers with an account that is no text", (() => ({ account: 42 })) as never],
    ["answers with an account of 129 characters", () => ({ account: "x".repeat(129) })],
    ["answers with a time that is no number", (() => ({ expiresAt: "tomorrow" })) as never],
  ];
  test.each(failures)(
    "%s: unauthorized for now, logged once, and nobody else is disturbed",
    async (_, authenticate) => {
      const warned: string[] = [];
      let isBroken = false;
      const { ws } = startHost({
        authenticate: (given) => (isBroken ? (authenticate?.(given) as never) : { account: "a" }),
        log: { ...silent, warn: (what) => void warned.push(what) },
      });
      const before = connect(ws);
      await before.next("session");
      isBroken = true;
      const alice = connect(ws);
      await until("the refusals", () => alice.errors.length > 0);
      expect(alice.errors[0]).toMatchObject({ reason: "unauthorized" });
      expect(alice.errors[0]?.retryAfterMs).toBeGreaterThanOrEqual(2000);
      expect(alice.errors[0]?.retryAfterMs).toBeLessThanOrEqual(4000);
      expect(warned).toEqual(["the hook authenticate failed"]);
      expect(await before.client.join.mutate({})).toEqual({ status: "waiting" });
    },
  );

  test("hangs: unauthorized after 2 s, and a late answer changes nothing", async () => {
    const { promise, resolve } = Promise.withResolvers<{ account: string }>();
    const { ws } = startHost({ authenticate: () => promise });
    const began = performance.now();
    const alice = connect(ws);
    await until("the refusal", () => alice.errors.length > 0);
    expect(performance.now() - began).toBeGreaterThan(1900);
    expect(alice.errors[0]).toMatchObject({ reason: "unauthorized" });
    resolve({ account: "late" });
    expect(alice.told).toEqual([]);
  });

  test("calls that come before the answer wait for it", async () => {
    const { promise, resolve } = Promise.withResolvers<{ account: string }>();
    const { ws } = startHost({ authenticate: () => promise });
    const alice = connect(ws);
    const answer = alice.client.stats.query();
    resolve({ account: "alice" });
    expect(await answer).toMatchObject({ rooms: { video: 0 } });
  });

  test("a session's token is worth nothing to another account, nor to nobody", async () => {
    const { ws, http } = startHost({
      authenticate: ({ params }) =>
        params["auth"] === undefined ? {} : { account: String(params["auth"]) },
    });
    const alice = connect(ws, { auth: "alice" });
    await alice.next("session");
    const token = alice.token() ?? "";
    await alice.client.join.mutate({});
    for (const auth of ["mallory", undefined]) {
      const other = connect(ws, { token, ...(auth !== undefined && { auth }) });
      expect(await other.next("session")).toMatchObject({ state: { status: "idle" } });
      const response = await fetch(`${http}/trpc/iceServers`, {
        headers: {
          authorization: `Bearer ${token}`,
          ...(auth !== undefined && { "x-peer-stream-auth": auth }),
        },
      });
      expect(response.status).toBe(401);
    }
    const again = await fetch(`${http}/trpc/iceServers`, {
      headers: { authorization: `Bearer ${token}`, "x-peer-stream-auth": "alice" },
    });
    expect(again.status).toBe(200);
    expect(alice.errors).toEqual([]);
  });

  test("before expiresAt the peer is asked to reconnect, and goes on in its room when it can", async () => {
    let granted = 0;
    const { ws } = startHost({
      authenticate: ({ params }) => {
        granted += 1;
        return { account: String(params["auth"]), expiresAt: Date.now() + 1500 };
      },
    });
    const [alice, bob] = [connect(ws, { auth: "alice" }), connect(ws, { auth: "bob" })];
    await alice.next("session");
    await bob.next("session");
    await alice.client.join.mutate({});
    await bob.client.join.mutate({});
    const { roomId } = await alice.next("wait-for-offer");
    await until("each has authenticated three times", () => granted >= 6);
    await alice.client.offer.mutate({ roomId, sdp: "v=0\r\n" });
    expect(await bob.next("offer")).toMatchObject({ roomId });
    for (const { told } of [alice, bob])
      expect(told.map(({ type }) => type)).not.toContain("partner-disconnected");
  }, 20_000);

  test("a cookie lapses in the middle of a call: the peer is removed, and its partner told", async () => {
    let isLapsed = false;
    const { ws } = startHost({
      authenticate: ({ headers }) => {
        const cookie = headers.get("cookie");
        if (cookie === "sid=bob") return { account: "bob" };
        return isLapsed
          ? refuse("unauthorized")
          : { account: "alice", expiresAt: Date.now() + 1000 };
      },
    });
    const [alice, bob] = [connect(ws, { cookie: "sid=alice" }), connect(ws, { cookie: "sid=bob" })];
    await alice.next("session");
    await bob.next("session");
    await alice.client.join.mutate({});
    isLapsed = true;
    await bob.client.join.mutate({});
    expect(await bob.next("partner-disconnected")).toMatchObject({ reason: "lost" });
    await until("alice was refused", () => alice.errors.length > 0);
    expect(alice.errors[0]).toMatchObject({ reason: "unauthorized" });
  }, 20_000);

  test("one account on ten tabs has the rate of one", async () => {
    const { ws } = startHost({
      authenticate: ({ params }) => ({ account: String(params["auth"]) }),
    });
    const tabs = Array.from({ length: 10 }, () => connect(ws, { auth: "alice" }));
    const bob = connect(ws, { auth: "bob" });
    await Promise.all([...tabs, bob].map((peer) => peer.next("session")));
    const joins = await Promise.allSettled(tabs.map(({ client }) => client.join.mutate({})));
    expect(joins.filter(({ status }) => status === "fulfilled")).toHaveLength(5);
    const refused = joins.flatMap((one) =>
      one.status === "rejected" ? [one.reason.data.reason] : [],
    );
    expect(new Set(refused)).toEqual(new Set(["rate-limited"]));
    expect(await bob.client.join.mutate({})).toMatchObject({ status: "paired" });
  });
});

describe("our own client", () => {
  /** What the page is told. */
  function open(ws: string, auth: string) {
    const connection = createConnection({
      url: ws,
      tokens: createTokenStore({ getItem: () => null, setItem() {} }, () => "key"),
      auth: async () => auth,
    });
    ends.push(() => connection.close());
    const events: string[] = [];
    const ended: PeerStreamError[] = [];
    connection.open({
      event: ({ type }) => void events.push(type),
      disconnected() {},
      opened() {},
      transportChanged() {},
      ended: (error) => void ended.push(error),
    });
    return { connection, events, ended };
  }

  test("sends what it was given as auth; refused, it idles with that error", async () => {
    let asked = 0;
    const { ws } = startHost({
      authenticate({ params }) {
        asked += 1;
        return params["auth"] === "alice" ? { account: "alice" } : refuse("unauthorized");
      },
    });
    const alice = open(ws, "alice");
    await until("alice has a session", () => alice.events.includes("session"));
    const mallory = open(ws, "mallory");
    await until("mallory is refused", () => mallory.ended.length > 0);
    expect(mallory.ended[0]).toMatchObject({ kind: "rejected", reason: "unauthorized" });
    // A client that went on trying would have asked again within two of its first delays.
    const before = asked;
    await Bun.sleep(1500);
    expect(asked).toBe(before);
  });

  test("learns that it was refused also if it has called nothing by then", async () => {
    const { ws } = startHost({ authenticate: () => refuse("unauthorized") });
    const failed: PeerStreamError[] = [];
    const socket = new RpcSocket(
      {
        url: ws,
        tokens: createTokenStore({ getItem: () => null, setItem() {} }, () => "key"),
        auth: async () => "mallory",
        WebSocket,
        fetch,
        timers: browserTimers,
        random: () => 0,
      },
      { opened() {}, closed() {}, blocked() {}, failed: (error) => void failed.push(error) },
    );
    ends.push(() => socket.end());
    await until("it is told", () => failed.length > 0);
    expect(failed[0]).toMatchObject({ kind: "rejected", reason: "unauthorized" });
  });

  test("tries again by itself after the hook has failed", async () => {
    let asked = 0;
    const { ws } = startHost({
      authenticate() {
        if ((asked += 1) === 1) throw new Error("the database is away");
        return { account: "alice" };
      },
    });
    const alice = open(ws, "alice");
    await until("alice has a session", () => alice.events.includes("session"));
    expect(asked).toBe(2);
    expect(alice.ended).toEqual([]);
  }, 20_000);
});

describe("the operator's calls", () => {
  test("disconnect ends an account's connections at once, and no other's", async () => {
    let isLoggedOut = false;
    const { strangers, ws } = startHost({
      authenticate: ({ params }) =>
        isLoggedOut && params["auth"] === "alice"
          ? refuse("unauthorized")
          : { account: String(params["auth"]) },
    });
    const [alice, bob] = [connect(ws, { auth: "alice" }), connect(ws, { auth: "bob" })];
    await alice.next("session");
    await bob.next("session");
    await alice.client.join.mutate({});
    await bob.client.join.mutate({});
    isLoggedOut = true;
    await strangers.disconnect({ account: "alice" });
    expect(await bob.next("partner-disconnected")).toMatchObject({ reason: "left" });
    await until("alice was refused", () => alice.errors.length > 0);
    expect(alice.closed[0]).toBe(4004);
    expect(alice.errors[0]).toMatchObject({ reason: "unauthorized" });
    expect(bob.closed).toEqual([]);
  });
});

describe("what the operator's code gets wrong", () => {
  test("a hook that rejects with what has no text fails closed", async () => {
    const { http } = startHost({ authenticate: () => Promise.reject(Object.create(null)) });
    const response = await fetch(`${http}/trpc/stats`, { signal: AbortSignal.timeout(3000) });
    expect(response.status).toBe(401);
  });

  test("an identity with a member of the name rejected is no refusal, and nothing of it is sent", async () => {
    const row = { account: "alice", rejected: false, password: "hunter2" };
    const { http } = startHost({ authenticate: () => row });
    expect((await fetch(`${http}/trpc/stats`)).status).toBe(200);
    const wrong = startHost({ authenticate: () => refuse("nonsense" as never) });
    expect((await fetch(`${wrong.http}/trpc/stats`)).status).toBe(401);
  });

  test("an account with half a character in it is none", async () => {
    const { http } = startHost({ authenticate: () => ({ account: "a\ud800" }) });
    expect((await fetch(`${http}/trpc/stats`)).status).toBe(401);
  });

  test("whom without an id is nobody, rather than all who are anonymous", async () => {
    const { ws, strangers } = startHost();
    const anonymous = connect(ws);
    await anonymous.next("session");
    const nobody = { account: undefined } as never;
    expect(strangers.disconnect(nobody)).rejects.toThrow(TypeError);
    expect(strangers.suspend(nobody, Date.now() + 1000)).rejects.toThrow(TypeError);
    expect(strangers.suspend({ account: "alice" }, Number.NaN)).rejects.toThrow(TypeError);
    expect(anonymous.closed).toEqual([]);
    expect(await strangers.suspensions()).toEqual([]);
  });

  test("a hook that changes an event holds up no other", async () => {
    const told: string[] = [];
    const { ws, strangers } = startHost({
      on: {
        paired(event) {
          told.push(event.type);
          for (const key of Object.keys(event)) Reflect.deleteProperty(event, key);
        },
        ended: ({ type }) => told.push(type),
      },
    });
    const [alice, bob] = [connect(ws), connect(ws)];
    await alice.next("session");
    await bob.next("session");
    await alice.client.join.mutate({});
    await bob.client.join.mutate({});
    await alice.client.leave.mutate({});
    await until("both are told", () => told.length === 2);
    expect(told).toEqual(["paired", "ended"]);
    await strangers.stop();
  });
});

describe("message", () => {
  test.each([
    [{}, "server"],
    [{ chat: "direct" }, "direct"],
  ] as const)(
    "with it, and %j, the words of calls are %s; those of rooms for text are the server's",
    async (options, chat) => {
      const seen: object[] = [];
      const { ws } = startHost({
        ...options,
        authenticate: ({ params }) => ({ account: String(params["auth"]), facts: { age: 17 } }),
        message({ text, ...about }) {
          seen.push(about);
          return text.replace("darn", "****");
        },
      });
      for (const mode of ["video", "text"] as const) {
        const [alice, bob] = [connect(ws, { auth: "alice" }), connect(ws, { auth: "bob" })];
        for (const peer of [alice, bob]) {
          await peer.next("session");
          await peer.client.join.mutate({ mode });
        }
        const offered = await alice.next("wait-for-offer");
        const expected = mode === "text" ? "server" : chat;
        expect(offered.chat).toBe(expected);
        const { roomId } = offered;
        const saying = bob.client.say.mutate({ roomId, text: "darn it" });
        if (expected === "direct") {
          const refused = await saying.catch((error: { data: object }) => error.data);
          expect(refused).toMatchObject({ reason: "wrong-mode" });
          continue;
        }
        expect(await saying).toEqual({ delivered: true });
        expect((await alice.next("message")).text).toBe("**** it");
        const session = bob.token()?.split(".")[0];
        expect(seen.pop()).toEqual({ roomId, session, account: "bob", facts: { age: 17 } });
        for (const peer of [alice, bob]) await peer.client.leave.mutate();
      }
      expect(seen).toEqual([]);
    },
  );
});

describe("admit", () => {
  test("one who is refused does not get into the lobby by skip", async () => {
    const { ws, strangers } = startHost({ admit: () => refuse("suspended", { until: 5 }) });
    const peer = connect(ws);
    await peer.next("session");
    await peer.client.join.mutate({}).catch(() => {});
    await peer.client.skip.mutate({}).catch(() => {});
    expect(await strangers.stats()).toMatchObject({ waiting: { video: 0 } });
  });

  test("is asked before `again` on a connection on which it has let nobody in", async () => {
    let isOpen = true;
    const { ws } = startHost({
      admit: () => (isOpen ? true : refuse("suspended", { until: 5 })),
    });
    const [alice, bob] = [connect(ws), connect(ws)];
    for (const peer of [alice, bob]) {
      await peer.next("session");
      await peer.client.join.mutate({});
    }
    const { roomId } = await alice.next("wait-for-offer");
    await alice.client.skip.mutate({ roomId });
    await bob.next("partner-disconnected");
    isOpen = false;
    expect(await alice.client.again.mutate({ roomId })).toEqual({ status: "waiting" });
    const later = connect(ws, { token: bob.token() ?? "" });
    await later.next("session");
    const ask = () => later.client.again.mutate({ roomId });
    const refused = await ask().catch((error: { data: object }) => error.data);
    expect(refused).toMatchObject({ reason: "suspended", until: 5 });
    isOpen = true;
    expect(await ask()).toEqual({ status: "paired" });
  });

  test("lets in, or refuses by name; other calls are not asked", async () => {
    const asked: unknown[] = [];
    const { ws } = startHost({
      authenticate: ({ params }) => ({ account: String(params["auth"]), facts: { age: 17 } }),
      admit(peer, wishes) {
        asked.push({ account: peer.account, facts: peer.facts, mode: wishes.mode });
        return peer.account === "alice" ? true : refuse("suspended", { until: 5 });
      },
    });
    const [alice, bob] = [connect(ws, { auth: "alice" }), connect(ws, { auth: "bob" })];
    await alice.next("session");
    await bob.next("session");
    expect(await alice.client.join.mutate({ mode: "text" })).toEqual({ status: "waiting" });
    const refused = await bob.client.join.mutate({}).catch((error: { data: object }) => error.data);
    expect(refused).toMatchObject({ reason: "suspended", until: 5 });
    expect(asked).toEqual([
      { account: "alice", facts: { age: 17 }, mode: "text" },
      { account: "bob", facts: { age: 17 }, mode: "video" },
    ]);
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("no");
      },
    ],
    ["answers false", (() => false) as never],
    ["hangs", () => new Promise<true>(() => {})],
  ] as [string, PeerStreamOptions["admit"]][])(
    "%s: unavailable for now, and the peer stays connected",
    async (_, admit) => {
      const { ws } = startHost({ admit });
      const alice = connect(ws);
      await alice.next("session");
      const refused = await alice.client.join
        .mutate({})
        .catch((error: { data: object }) => error.data);
      expect(refused).toMatchObject({ reason: "unavailable" });
      expect(await alice.client.leave.mutate({})).toEqual({ status: "idle" });
    },
  );
});

describe("hooks for lifecycle events", () => {
  test("are told of accounts that meet and part, in order, and what one throws is counted and concerns nobody", async () => {
    const told: object[] = [];
    const metricsToken = "a token of this test, for metrics";
    const { ws, http, strangers } = startHost({
      metricsToken,
      authenticate: ({ params }) => ({ account: String(params["auth"]) }),
      on: {
        joined: ({ peer }) => void told.push({ joined: peer.account }),
        paired: ({ peers }) => void told.push({ paired: peers.map(({ account }) => account) }),
        connected() {
          throw new Error("a hook's own");
        },
        ended: ({ by, connected }) => void told.push({ by, connected }),
      },
    });
    const [alice, bob] = [connect(ws, { auth: "42" }), connect(ws, { auth: "43" })];
    await alice.next("session");
    await bob.next("session");
    await alice.client.join.mutate({});
    await bob.client.join.mutate({});
    const { roomId } = await bob.next("create-offer");
    await bob.client.connected.mutate({ roomId });
    await alice.client.join.mutate({ autoRejoin: false });
    await bob.client.leave.mutate();
    await until("the end is told", () => told.some((one) => "by" in one));
    expect(told.slice(0, 4)).toEqual([
      { joined: "42" },
      { joined: "43" },
      { paired: expect.arrayContaining(["42", "43"]) },
      { by: "leave", connected: true },
    ] as object[]);
    const headers = { authorization: `Bearer ${metricsToken}` };
    const metrics = await (await fetch(`${http}/metrics`, { headers })).text();
    expect(metrics).toMatch(/peer_stream_hook_faults_total\{hook="connected",.*\} 1\n/);
    expect(metrics).toMatch(/peer_stream_hook_faults_total\{hook="ended",.*\} 0\n/);
    expect(await strangers.stats()).toMatchObject({ online: 2 });
  });
});
