/** Lifecycle events at an operator's own receiver: one that is slow, that is away for a while, that refuses. */
import { createHmac } from "node:crypto";
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { lifecycleTypesFor, tellLifecycle, type LifecycleParts } from "../../src/app/lifecycle.ts";
import { lifecycleTypes, type LifecycleType } from "../../src/domain/lifecycle.ts";
import { isRejection } from "../../src/domain/rejection.ts";
import { defaultWishes } from "../../src/domain/ticket.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { createMemoryEngine } from "../../src/engine/memory/memory-engine.ts";
import { createSystem } from "../../src/system.ts";
import { engineOptions } from "../support/engine-options.ts";
import { freePort } from "../support/ports.ts";
import { connectPeer } from "../support/server.ts";
import { startServer } from "../support/server-process.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(30_000);

const secret = "shared with the receiver";
interface Got {
  id: string;
  type: LifecycleType;
  roomId?: string;
}
type Answer = (event: Got) => Response | Promise<Response>;

const receivers: Bun.Server<undefined>[] = [];
afterEach(async () => {
  for (const receiver of receivers.splice(0)) await receiver.stop(true);
});

/** Notes what it has accepted. */
function startReceiver(answer: Answer, port = 0) {
  const got: Got[] = [];
  const receiver = Bun.serve({
    port,
    hostname: "127.0.0.1",
    async fetch(request) {
      const body = await request.text();
      const signature = `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
      if (request.headers.get("x-peer-stream-signature") !== signature)
        return new Response(null, { status: 401 });
      const response = await answer(JSON.parse(body));
      if (response.ok) got.push(JSON.parse(body));
      return response;
    },
  });
  receivers.push(receiver);
  return { got, url: receiver.url.href };
}

const accepted = () => new Response();

/** A lobby in memory whose events are posted to `url`. */
function startLobby(url: string, given: Partial<LifecycleParts> = {}) {
  const system = given.system ?? createSystem();
  const webhook = { url, secret, types: lifecycleTypes };
  const lifecycle = lifecycleTypesFor({ webhook, on: given.on });
  const engine = createMemoryEngine(system, { ...engineOptions, lifecycle });
  const lost: string[] = [];
  const warnings: string[] = [];
  const posts = tellLifecycle({
    engine,
    system,
    webhook,
    log: {
      debug() {},
      info() {},
      error() {},
      bug: console.error,
      warn: (what) => void warnings.push(what),
    },
    metrics: {
      hookFailed() {},
      posted() {},
      postFailed() {},
      read() {},
      eventsLost: (because, count) => void lost.push(...Array<string>(count).fill(because)),
    },
    ...given,
  });
  if (!posts) throw new Error("there must be a webhook");
  return { engine, posts, lost, warnings };
}

/** Two meet in a room, and leave. Six events in all: one of them returns to the lobby before it leaves as well. */
async function meet(engine: Engine, roomId: string) {
  const ids = [`one of ${roomId}`, `other of ${roomId}`];
  for (const sessionId of ids) {
    const attached = await engine.attach({ sessionId, generation: 0, addressHash: "", wake() {} });
    if (isRejection(attached)) throw new Error(attached.reason);
    await engine.enqueue({ sessionId, generation: 1 }, defaultWishes);
  }
  const [impolite, polite] = await Promise.all(ids.map((id) => engine.matchOptions(id)));
  if (!impolite || !polite) throw new Error("both must wait");
  await engine.pair({
    roomId,
    impolite: impolite.ticket,
    polite: polite.ticket,
    relayOnly: false,
    sharedInterests: [],
  });
  for (const sessionId of ids) await engine.confirm({ sessionId, generation: 1 }, roomId);
  for (const sessionId of ids) await engine.end({ sessionId, generation: 1 }, { ending: "leave" });
}
const eventsPerMeeting = 6;

function expectOrder(got: readonly Got[]) {
  const byRoom = new Map<string, string[]>();
  for (const { type, roomId } of got)
    if (roomId !== undefined) byRoom.set(roomId, [...(byRoom.get(roomId) ?? []), type]);
  for (const [roomId, types] of byRoom)
    expect([roomId, ...types]).toEqual([roomId, "paired", "connected", "ended"]);
}

test("a receiver that takes a quarter of a second for each gets all events of a usual load, in order in each room", async () => {
  const { got, url } = startReceiver(async () => {
    await Bun.sleep(250);
    return accepted();
  });
  const { engine, lost } = startLobby(url);
  const rooms = 100;
  const begunAt = performance.now();
  for (let n = 0; n < rooms; n++) await meet(engine, `room ${n}`);
  // The verbs have not waited for it.
  expect(performance.now() - begunAt).toBeLessThan(2000);
  await until("all have arrived", () => got.length === rooms * eventsPerMeeting, 20_000);
  // One after the other they would have taken two and a half minutes.
  expect(new Set(got.map(({ id }) => id)).size).toBe(got.length);
  expectOrder(got);
  expect(lost).toEqual([]);
  await engine.close();
});

test("a receiver that was away gets everything once it is back", async () => {
  const port = await freePort();
  const { engine, lost } = startLobby(`http://127.0.0.1:${port}/`);
  for (let n = 0; n < 30; n++) await meet(engine, `room ${n}`);
  await Bun.sleep(1500);
  const { got } = startReceiver(accepted, port);
  await until("all have arrived", () => got.length === 30 * eventsPerMeeting, 25_000);
  expectOrder(got);
  expect(lost).toEqual([]);
});

test("events that are refused again and again are given up and counted, and other rooms do not wait for them", async () => {
  const real = createSystem();
  const system = {
    ...real,
    // Pauses of 20 ms to a third of a second.
    schedule: (delayMs: number, task: () => void) => real.schedule(delayMs / 50, task),
  };
  const { got, url } = startReceiver(({ type, roomId }) =>
    roomId === "refused" && type !== "ended" ? new Response(null, { status: 500 }) : accepted(),
  );
  const { engine, posts, lost, warnings } = startLobby(url, { system });
  await meet(engine, "refused");
  await meet(engine, "another");
  await until("the other room's events have arrived", () =>
    got.some(({ id }) => id === "ended:another"),
  );
  expect(posts.pending).toBeGreaterThan(0);
  await until("the rest is settled", () => got.some(({ id }) => id === "ended:refused"));
  expect(lost).toEqual(["webhook", "webhook"]);
  expect(warnings).toEqual(["lifecycle events were lost"]);
});

test("at the end what waits is posted without pauses, in order", async () => {
  const refused = Promise.withResolvers<void>();
  let isRefusing = true;
  const { got, url } = startReceiver(() => {
    if (!isRefusing) return accepted();
    refused.resolve();
    return new Response(null, { status: 503 });
  });
  const { engine, posts, lost } = startLobby(url);
  for (let n = 0; n < 60; n++) await meet(engine, `room ${n}`);
  await refused.promise;
  await Bun.sleep(300);
  isRefusing = false;
  await Promise.all([posts.flush(), engine.close()]);
  expect(got).toHaveLength(60 * eventsPerMeeting);
  expectOrder(got);
  expect(lost).toEqual([]);
});

test("hooks in code are called beside the webhook, each with the events of its type", async () => {
  const { got, url } = startReceiver(accepted);
  const called: string[] = [];
  const { engine } = startLobby(url, {
    on: {
      paired: ({ roomId }) => void called.push(roomId),
      ended() {
        throw new Error("a hook's own");
      },
    },
  });
  await meet(engine, "room");
  await engine.close();
  expect(called).toEqual(["room"]);
  expect(got).toHaveLength(eventsPerMeeting);
});

test("the program posts the types that EVENTS_TYPES names, and what waits when it is stopped", async () => {
  const refused = Promise.withResolvers<void>();
  let isRefusing = true;
  const { got, url } = startReceiver(() => {
    if (!isRefusing) return accepted();
    refused.resolve();
    return new Response(null, { status: 503 });
  });
  await using server = await startServer({
    EVENTS_WEBHOOK: url,
    EVENTS_SECRET: secret,
    EVENTS_TYPES: "paired, connected",
    ALLOW_NO_ORIGIN: "true",
    DRAIN_MS: "2000",
  });
  const site = { ws: server.origin.replace("http", "ws") };
  await using alice = await connectPeer(site);
  await using bob = await connectPeer(site);
  await alice.client.join.mutate();
  await bob.client.join.mutate();
  const { roomId } = await alice.next("wait-for-offer");
  await bob.client.connected.mutate({ roomId });
  await refused.promise;
  isRefusing = false;
  await server.stop();
  expect(got).toMatchObject([
    { type: "paired", id: `paired:${roomId}`, roomId, mode: "video" },
    { type: "connected", id: `connected:${roomId}`, roomId },
  ]);
  expect(JSON.stringify(got)).not.toContain(alice.token.split(".").at(-1) ?? "");
  expect(server.output).not.toContain("not posted before the exit");
});
