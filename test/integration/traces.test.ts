/** Traces of rooms, sent to a receiver of OTLP over HTTP: one that works, and those that hang, refuse or vanish. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { createServer, type AddressInfo } from "node:net";
import { createTraces } from "../../src/observe/traces.ts";
import { createSystem } from "../../src/system.ts";
import { startCluster, unlimited } from "../support/cluster.ts";
import { freePort } from "../support/ports.ts";
import { connectPeer, type TestPeer } from "../support/server.ts";
import { startServer, type ServerProcess } from "../support/server-process.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(60_000);

const token = "the token of this file's operator";

interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  status: { code?: number; message?: string };
  attributes: Record<string, unknown>;
  resource: Record<string, unknown>;
}

type Attributes = { key: string; value: Record<string, unknown> }[];

const read = (attributes: Attributes = []) =>
  Object.fromEntries(
    attributes.map(({ key, value }) => {
      const array = value["arrayValue"] as { values: Record<string, unknown>[] } | undefined;
      return [key, array ? array.values.map((one) => one["stringValue"]) : Object.values(value)[0]];
    }),
  );

/** @param answer what each request is answered with; by default it is accepted. */
function startReceiver(answer: () => Response | Promise<Response> = () => Response.json({})) {
  const spans: Span[] = [];
  const requests: { path: string; headers: Headers; text: string }[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const text = await request.text();
      requests.push({ path: new URL(request.url).pathname, headers: request.headers, text });
      for (const { resource, scopeSpans } of JSON.parse(text).resourceSpans)
        for (const scope of scopeSpans)
          for (const span of scope.spans)
            spans.push({
              ...span,
              attributes: read(span.attributes),
              resource: read(resource.attributes),
            });
      return answer();
    },
  });
  return {
    spans,
    requests,
    env: {
      ...unlimited,
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${server.port}/`,
      OTEL_BSP_SCHEDULE_DELAY: "50",
      METRICS_TOKEN: token,
    },
    stop: () => server.stop(true),
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

const wsOf = ({ origin }: ServerProcess) => ({ ws: origin.replace("http", "ws") });

async function metric({ origin }: ServerProcess, pattern: RegExp): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  const text = await (await fetch(`${origin}/metrics`, { headers })).text();
  return Number(pattern.exec(text)?.[1]);
}
const lost = (server: ServerProcess, because: string) =>
  metric(server, new RegExp(`trace_spans_lost_total\\{[^}]*because="${because}"[^}]*\\} (\\d+)`));

async function pair(one: TestPeer, two: TestPeer): Promise<string> {
  await one.client.join.mutate({ interests: ["canary"] });
  await two.client.join.mutate({ interests: ["canary"] });
  return (await one.next("wait-for-offer")).roomId;
}

test("a room is one trace, whichever nodes it is on: both joins, the pairing, and until both are connected", async () => {
  await using receiver = startReceiver();
  await using cluster = await startCluster(2, {
    ...receiver.env,
    OTEL_EXPORTER_OTLP_HEADERS: "x-key=a%20secret,x-other=2",
    OTEL_SERVICE_NAME: "strangers",
    OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=tests",
  });
  await using one = await connectPeer(cluster.at(0));
  await using two = await connectPeer(cluster.at(1));
  const room = await pair(one, two);
  await two.client.connected.mutate({ roomId: room });
  // Each node has sent what it had before the second one says so.
  await until("three spans", () => receiver.spans.length >= 3);
  const saidAt = BigInt(Date.now()) * 1_000_000n;
  await one.client.connected.mutate({ roomId: room });
  await one.client.connected.mutate({ roomId: room });
  await until("four spans", () => receiver.spans.length >= 4);

  const named = (name: string) => receiver.spans.filter((span) => span.name === name);
  const [pairing] = named("pairing");
  const [connect] = named("connect");
  if (!pairing || !connect) throw new Error("spans are missing");
  expect(named("join")).toHaveLength(2);
  // It ends only once both have said so.
  expect(named("connect")).toHaveLength(1);
  expect(BigInt(connect.endTimeUnixNano)).toBeGreaterThanOrEqual(saidAt);
  expect(new Set(receiver.spans.map(({ traceId }) => traceId)).size).toBe(1);
  expect(pairing.parentSpanId ?? "").toBe("");
  for (const span of [...named("join"), connect]) expect(span.parentSpanId).toBe(pairing.spanId);
  for (const { attributes } of receiver.spans) expect(attributes["room"]).toBe(room);
  const sessions = pairing.attributes["sessions"] as string[];
  expect(sessions).toHaveLength(2);
  for (const session of sessions) expect(session).toHaveLength(4);
  expect(named("join").map(({ attributes }) => attributes["sessions"])).toEqual(
    sessions.map((session) => [session]),
  );
  expect(connect.startTimeUnixNano >= pairing.startTimeUnixNano).toBe(true);
  expect(BigInt(connect.endTimeUnixNano) >= BigInt(connect.startTimeUnixNano)).toBe(true);
  expect(connect.resource).toMatchObject({
    "service.name": "strangers",
    "deployment.environment.name": "tests",
  });
  // The two nodes have each sent their own part.
  const nodes = new Set(receiver.spans.map(({ resource }) => resource["service.instance.id"]));
  expect(nodes.size).toBe(2);
  for (const { path, headers, text } of receiver.requests) {
    expect(path).toBe("/v1/traces");
    expect([headers.get("x-key"), headers.get("x-other")]).toEqual(["a secret", "2"]);
    for (const secret of ["canary", "127.0.0.1", one.token, two.token])
      expect(text).not.toContain(secret);
  }
});

test("a call that fails is a span with an error; what is not sampled is not sent", async () => {
  await using receiver = startReceiver();
  await using all = await startServer(receiver.env);
  await using none = await startServer({ ...receiver.env, OTEL_TRACES_SAMPLER: "always_off" });
  for (const server of [none, all]) {
    await using one = await connectPeer(wsOf(server));
    await using two = await connectPeer(wsOf(server));
    const roomId = await pair(one, two);
    await one.client.failed.mutate({ roomId });
  }
  await until("the failure is told", () =>
    receiver.spans.some(({ status }) => status.message === "connect-failed"),
  );
  expect(receiver.spans).toHaveLength(4);
});

test("nodes that sample decide the same for each room", async () => {
  await using receiver = startReceiver();
  const system = createSystem();
  const nodes = ["one", "other"].map((nodeName) =>
    createTraces({
      url: receiver.env.OTEL_EXPORTER_OTLP_ENDPOINT,
      headers: {},
      serviceName: "strangers",
      ratio: 0.5,
      everyMs: 60_000,
      system,
      version: "1",
      nodeName,
      onLost(because) {
        throw new Error(because);
      },
    }),
  );
  for (let n = 0; n < 200; n++) {
    nodes[0]?.paired(system.id(), "video", [{ sessionId: "alice", waitedMs: 1 }]);
    const room = system.id();
    for (const node of nodes) node.connected(room, ["alice", "bobby"], 1);
  }
  for (const node of nodes) await node.flush();
  const rooms = (name: string, node: string) =>
    receiver.spans
      .filter((span) => span.name === name && span.resource["service.instance.id"] === node)
      .map(({ attributes }) => attributes["room"]);
  expect(rooms("connect", "one")).toEqual(rooms("connect", "other"));
  // A room has its first span, and those after it, or none.
  expect(rooms("join", "one")).toEqual(rooms("pairing", "one"));
  for (const name of ["pairing", "connect"]) {
    expect(rooms(name, "one").length).toBeGreaterThan(50);
    expect(rooms(name, "one").length).toBeLessThan(150);
  }
});

test("spans that wait are sent before the process ends", async () => {
  await using receiver = startReceiver();
  await using server = await startServer({
    ...receiver.env,
    OTEL_BSP_SCHEDULE_DELAY: "600000",
    DRAIN_MS: "3000",
  });
  await using one = await connectPeer(wsOf(server));
  await using two = await connectPeer(wsOf(server));
  await pair(one, two);
  await server.stop();
  expect(receiver.spans).toHaveLength(3);
});

/** How long so many skips take, each of which makes a room of three spans (milliseconds). */
async function skip(server: ServerProcess, times: number): Promise<number> {
  await using one = await connectPeer(wsOf(server));
  await using two = await connectPeer(wsOf(server));
  await pair(one, two);
  const began = performance.now();
  for (let n = 0; n < times; n++) await one.client.skip.mutate();
  return performance.now() - began;
}

const often = { SKIP_COOLDOWN_MS: "0", LOG_LEVEL: "warn" };

test("a receiver that hangs delays nothing: spans that it does not accept are counted, and the shutdown is not delayed for long", async () => {
  await using receiver = startReceiver(() => new Promise(() => {}));
  await using server = await startServer({ ...receiver.env, ...often });
  await skip(server, 1500);
  await until("what does not fit is counted", async () => (await lost(server, "full")) > 0);
  expect((await fetch(`${server.origin}/readyz`)).status).toBe(200);
  await until("it says so", () => server.output.includes("spans of traces were lost"));
  const began = performance.now();
  await server.stop();
  expect(performance.now() - began).toBeLessThan(5000);
});

test.each([
  ["header", "HTTP/1.1 200 OK\r\n", "x-more: 1\r\n"],
  ["answer", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\nx\r\n"],
])("a receiver whose %s never ends is left, and keeps no connection", async (_, begin, drip) => {
  let opened = 0;
  let open = 0;
  const receiver = createServer((socket) => {
    opened += 1;
    open += 1;
    socket.on("error", () => {});
    socket.once("data", () => socket.write(begin));
    const dripping = setInterval(() => socket.bytesRead > 0 && socket.write(drip), 20);
    socket.on("close", () => {
      open -= 1;
      clearInterval(dripping);
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const real = createSystem();
  const lost: string[] = [];
  const traces = createTraces({
    // A hundred times as fast.
    system: { ...real, schedule: (delayMs, task) => real.schedule(delayMs / 100, task) },
    url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/v1/traces`,
    headers: {},
    serviceName: "drip",
    ratio: 1,
    everyMs: 100,
    version: "1",
    nodeName: "one",
    onLost: (because) => lost.push(because),
  });
  try {
    for (let batch = 1; batch <= 4; batch++) {
      traces.connected("a room", ["a session"], 1);
      await until("the batch is given up", () => lost.length === batch);
      await until("its connection is closed", () => open === 0);
    }
    expect(opened).toBe(4);
  } finally {
    receiver.close();
  }
});

test("one that refuses is counted and told; one that vanishes as well", async () => {
  await using refusing = startReceiver(() => new Response("no", { status: 400 }));
  await using vanishing = startReceiver();
  const gone = `http://127.0.0.1:${await freePort()}`;
  await using refused = await startServer({ ...refusing.env, ...often });
  await using vanished = await startServer({ ...vanishing.env, ...often });
  await using never = await startServer({
    ...vanishing.env,
    ...often,
    OTEL_EXPORTER_OTLP_ENDPOINT: gone,
  });
  await skip(vanished, 1);
  await until("the first spans come", () => vanishing.spans.length > 0);
  vanishing.stop();
  for (const server of [refused, vanished, never]) {
    await skip(server, 10);
    await until("it is counted", async () => (await lost(server, "receiver")) > 0, 30_000);
    await until("it says so", () => server.output.includes("spans of traces were lost"));
    expect((await fetch(`${server.origin}/readyz`)).status).toBe(200);
  }
});
