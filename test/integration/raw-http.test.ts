/** Requests that no HTTP client would send: whatever arrives, it is answered with 4xx at most and is no bug of ours. */
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "bun:test";
import * as fc from "fast-check";
import { startServer, type TestServer } from "../support/server.ts";

/** A request that is not complete is never answered; this long it is waited for (milliseconds). */
const silentMs = 1000;

let server: TestServer;
beforeAll(() => {
  server = startServer();
});
afterAll(() => server[Symbol.asyncDispose]());

/** Sends it as it is. The status of the answer; 0 if the connection was closed, or stayed silent, without one. */
function statusOf(request: string): Promise<number> {
  const { hostname, port } = server.server.url;
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    let got = "";
    const end = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(Number(/^HTTP\/1\.[01] (\d{3}) /.exec(got)?.[1] ?? 0));
    };
    const timer = setTimeout(end, silentMs);
    socket.on("data", (chunk) => {
      got += chunk.toString("latin1");
      if (got.includes("\r\n")) end();
    });
    socket.on("close", end);
    socket.on("error", end);
    socket.write(Buffer.from(request, "latin1"));
  });
}

const bugs = () => server.lines.filter((line) => /"level":[56]0/.test(line));

test("A10 a probe without a Host, by HTTP/1.0, is answered", async () => {
  expect(await statusOf("GET /livez HTTP/1.0\r\n\r\n")).toBe(200);
  expect(await statusOf("GET /readyz HTTP/1.0\r\n\r\n")).toBe(200);
});

test("A10 a Host of a single label without a port is one", async () => {
  for (const host of ["a", "web", "node-1"])
    expect(await statusOf(`GET /livez HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toBe(200);
});

test("A10 a Host that is none is a bad request, counted and not logged as a bug", async () => {
  const paths = ["/", "/trpc", "/trpc/stats", "/metrics", "/admin/list", "/nothing"];
  for (const host of ["[", "a b", "a:b", "[::1", "%", "a:99999"])
    for (const path of paths)
      expect([path, host, await statusOf(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)]).toEqual(
        [path, host, 400],
      );
  expect(bugs()).toEqual([]);
  const rendered = await fetch(`${server.http}/metrics`, {
    headers: { authorization: "Bearer the token of the tests' operator" },
  });
  expect(await rendered.text()).toMatch(/peer_stream_refusals_total\{.*reason="bad-input".*\} 36/);
  // A probe is answered, or refused, as Bun could make a URL of it or not; it is no bug either way.
  for (const host of ["[", "a b", "%"])
    expect([200, 400]).toContain(await statusOf(`GET /livez HTTP/1.1\r\nHost: ${host}\r\n\r\n`));
  expect(bugs()).toEqual([]);
});

test("A10 whatever is sent is answered by 4xx at most, is no bug, and the next probe is answered", async () => {
  const word = fc.string({ unit: "binary-ascii", maxLength: 12 });
  const some = <T>(...values: T[]) => fc.constantFrom(...values);
  const path = fc.oneof(
    some("/livez", "/readyz", "/", "/trpc", "/trpc/", "/trpc/stats", "/trpc/leave", "*"),
    some("/metrics", "/admin/list", "//[/x", "/%", "/%zz", "/trpc/%00", "/trpc/__proto__"),
    some("http://[/", "http://evil.example/trpc/stats", "/trpc/stats?input=%7B", "/trpc?batch=1"),
    some("/trpc/stats,stats?batch=1&input=%5B%5D", "/..%2f..%2fetc/passwd", "/trpc/events"),
    word.map((text) => `/${text}`),
    word,
  );
  const header = fc.oneof(
    some("Host: localhost", "Host: [", "Host:", "Host: a\r\nHost: b", "Host: é", "Host: a b"),
    some("Origin: null", "Origin: http://[", "Origin: http://site.example", "Origin:"),
    some("Upgrade: websocket", "Connection: Upgrade", "Connection: close", "Upgrade: h2c"),
    some("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: x", "Sec-WebSocket-Key: a"),
    some("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: a, b"),
    some("Content-Type: application/json", "Content-Type: text/plain", "Content-Type: ;;"),
    some("Content-Type: multipart/form-data", "Content-Type: application/x-www-form-urlencoded"),
    some("Content-Length: 2", "Content-Length: -1", "Content-Length: 99999999999999999999"),
    some("Transfer-Encoding: chunked", "Expect: 100-continue", "Range: bytes=0-"),
    some("Authorization: Bearer", "Authorization: Bearer \x80", "Cookie: a=%"),
    some("X-Forwarded-For: x", "Forwarded: for=", "Forwarded: x", "If-None-Match: *"),
    fc.tuple(word, word).map(([name, value]) => `${name}: ${value}`),
  );
  const methods = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"];
  const bodies = ["", "{}", "{", "[[[[", '{"id":"\\ud800"}', "\x00\xff", "2\r\n{}\r\n0\r\n\r\n"];
  const textOf = (head: string, headers: string[], body: string) =>
    [head, ...headers, "", body].join("\r\n");
  const any = fc
    .tuple(
      fc.oneof(some(...methods, "get"), word),
      path,
      some("HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP"),
      fc.array(header, { maxLength: 6 }),
      some(...bodies),
    )
    .map(([method, target, version, headers, body]) =>
      textOf(`${method} ${target} ${version}`, headers, body),
    );
  // With a head that Bun lets through: what reaches the routes matters most.
  const reaching = fc
    .tuple(some(...methods), path, fc.array(header, { maxLength: 2 }), some(...bodies))
    .map(([method, target, headers, body]) =>
      textOf(`${method} ${target} HTTP/1.1`, ["Host: a.test", ...headers], body),
    );
  const sample = (of: fc.Arbitrary<string>) => fc.sample(of, { numRuns: 3000, seed: 20 });
  const all = [...sample(any), ...sample(reaching)].values();
  const statuses = new Map<number, number>();
  await Promise.all(
    Array.from({ length: 50 }, async () => {
      for (const text of all) {
        const status = await statusOf(text);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        // 505: Bun itself speaks no such version of HTTP.
        if (status >= 500 && status !== 505)
          throw new Error(`${status} for ${JSON.stringify(text)}`);
      }
    }),
  );
  expect(bugs()).toEqual([]);
  for (const status of [200, 400, 404]) expect(statuses.get(status) ?? 0).toBeGreaterThan(5);
  expect(await statusOf("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")).toBe(200);
}, 120_000);
