/** Which pages may connect: exactly those on the list, and the server's own. */
import { describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { createPage } from "../../src/http/page.ts";
import {
  isAllowedOrigin,
  isKnownHost,
  isOwnPage,
  type OriginPolicy,
} from "../../src/http/origin.ts";
import index from "../../src/web/index.html";
import { operatorToken, startServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const policy: OriginPolicy = {
  allowed: [
    "https://site.example",
    "http://localhost:5173",
    "https://chat.example:8443",
    "http://[2001:db8::1]:5173",
    "https://xn--bcher-kva.example",
    "capacitor://localhost",
  ],
  allowNone: false,
  allowLoopback: false,
  ownHosts: ["peer.example"],
};
/** What this server was called by. */
const host = "peer.example:3000";

const table: [origin: string | null, isLetIn: boolean, why: string][] = [
  ["https://site.example", true, "on the list"],
  ["http://localhost:5173", true, "on the list, with its port"],
  ["https://chat.example:8443", true, "on the list, with a port that is no default"],
  ["http://[2001:db8::1]:5173", true, "an IPv6 address on the list"],
  ["https://xn--bcher-kva.example", true, "an international name as browsers send it"],
  ["capacitor://localhost", true, "an app's web view on the list"],
  ["ionic://localhost", false, "an app's web view that is not on the list"],
  ["http://peer.example:3000", true, "the own host"],
  ["https://peer.example:3000", true, "the own host behind TLS"],
  ["http://site.example", false, "another scheme"],
  ["wss://site.example", false, "a scheme that pages do not have"],
  ["https://site.example:443", false, "the default port spelt out: no browser does"],
  ["https://site.example:8443", false, "another port"],
  ["https://chat.example", false, "the listed port left out"],
  ["https://chat.example:443", false, "the default port in place of the listed one"],
  ["https://site.example.", false, "a trailing dot: another name to a browser"],
  ["https://SITE.example", false, "upper case: no browser sends it"],
  ["https://site.example/", false, "a path"],
  ["https://site.example@evil.example", false, "the listed host as a user's name"],
  ["https://evil.example/https://site.example", false, "the listed origin in a path"],
  ["https://evil.example#https://site.example", false, "the listed origin in a fragment"],
  ["https://site.example.evil.example", false, "the listed name as a subdomain"],
  ["https://evilsite.example", false, "the listed name as an ending"],
  ["https://www.site.example", false, "a subdomain that is not listed"],
  ["https://bücher.example", false, "an international name as people write it"],
  ["http://[2001:db8:0::1]:5173", false, "the same IPv6 address spelt otherwise"],
  ["http://127.0.0.1:5173", false, "the same machine by another name"],
  ["http://peer.example", false, "the own host without its port"],
  ["http://peer.example:3001", false, "the own host with another port"],
  ["http://peer.example:3000.evil.example", false, "the own host as a beginning"],
  ["null", false, "a sandboxed frame, a file, a data URL"],
  ["", false, "an empty header"],
  ["*", false, "a wildcard"],
  ["https://site.example, https://evil.example", false, "two at once"],
  ["https://site.example\u0000", false, "a NUL at the end"],
  ["https://", false, "a scheme alone"],
  [null, false, "none, where that is not allowed"],
];

describe("an origin", () => {
  for (const [origin, isLetIn, why] of table)
    test(`${JSON.stringify(origin)} is ${isLetIn ? "let in" : "refused"}: ${why}`, () => {
      expect(isAllowedOrigin(policy, origin, host)).toBe(isLetIn);
    });

  test("that is missing is let in where the operator says so; null is not missing", () => {
    expect(isAllowedOrigin({ ...policy, allowNone: true }, null, host)).toBe(true);
    expect(isAllowedOrigin({ ...policy, allowNone: true }, "null", host)).toBe(false);
  });

  test("that a browser leaves out, in a GET of the page's own server, is known by Sec-Fetch-Site", () => {
    const isAllowed = (site: string, named: string, origin?: string) =>
      isOwnPage(policy, {
        headers: new Headers({ "sec-fetch-site": site, host: named, ...(origin && { origin }) }),
      });
    expect(isAllowed("same-origin", host)).toBe(true);
    expect(isAllowed("same-origin", "127.0.0.1:3000")).toBe(true);
    // A name that somebody has pointed here.
    expect(isAllowed("same-origin", "evil.example")).toBe(false);
    for (const site of ["same-site", "cross-site", "none", ""])
      expect([site, isAllowed(site, host)]).toEqual([site, false]);
    expect(isAllowed("same-origin", host, "https://evil.example")).toBe(false);
  });

  test("A14 of the host that the request claims opens nothing unless the operator gave that name", () => {
    const none = { ...policy, ownHosts: [] };
    for (const name of ["evil.example", "evil.example:3000", "site.example", "peer.example:3000"])
      for (const scheme of ["http", "https"])
        expect([
          name,
          isAllowedOrigin({ ...none, allowed: [] }, `${scheme}://${name}`, name),
        ]).toEqual([name, false]);
    // Names that look like a loopback name or an address, but that somebody can own.
    for (const name of [
      "localhost.evil.example",
      "127.0.0.1.evil.example",
      "127.0.0.1.",
      "evil-localhost",
      "localhost@evil.example",
      "0x7f000001.evil.example",
      "[::1].evil.example",
      "2130706433",
    ])
      for (const allowLoopback of [true, false])
        expect([
          name,
          isAllowedOrigin({ ...none, allowLoopback }, `http://${name}`, name),
          isKnownHost(none, name),
        ]).toEqual([name, false, false]);
  });

  test("A14 of a loopback name or an address is the own one, since nobody can point those here", () => {
    for (const own of [
      "localhost:3000",
      "127.0.0.1:3000",
      "[::1]:3000",
      "192.0.2.7",
      "[2001:db8::7]",
    ])
      expect([
        own,
        isAllowedOrigin(policy, `http://${own}`, own),
        isAllowedOrigin(policy, `http://${own}`, "peer.example"),
        isKnownHost(policy, own),
      ]).toEqual([own, true, false, true]);
  });

  test("B9 of this machine is let in from any port in development, and in production only by the list", () => {
    const development = { ...policy, allowLoopback: true };
    for (const origin of [
      "http://localhost:1234",
      "http://127.0.0.1:5174",
      "http://[::1]:8080",
      "https://localhost",
      "http://app.localhost:3001",
    ])
      expect([
        origin,
        isAllowedOrigin(development, origin, host),
        isAllowedOrigin(policy, origin, host),
      ]).toEqual([origin, true, false]);
    for (const origin of ["http://192.168.1.7:5173", "http://evil.example", "null", "file://"])
      expect([origin, isAllowedOrigin(development, origin, host)]).toEqual([origin, false]);
  });

  test("is never the own host when there is no Host, or an empty one", () => {
    for (const origin of ["http://", "https://", "http://null", "null", "http://undefined"])
      for (const noHost of [null, ""])
        expect([origin, isAllowedOrigin(policy, origin, noHost)]).toEqual([origin, false]);
  });
});

describe("over a real socket", () => {
  /** The status line's number for an upgrade with these header lines, as they are. */
  async function upgrade({ server }: TestServer, lines: string[]): Promise<number> {
    const socket = connect(Number(server.url.port), server.url.hostname);
    socket.on("error", () => {});
    const answer = new Promise<string>((resolve) => {
      socket.once("data", (chunk) => resolve(chunk.toString("latin1")));
      socket.once("close", () => resolve(""));
    });
    const head = [
      "GET /trpc HTTP/1.1",
      ...lines,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    socket.write(`${head.join("\r\n")}\r\n\r\n`);
    const status = Number(/^HTTP\/1\.1 (\d+)/.exec(await answer)?.[1] ?? 0);
    socket.destroy();
    return status;
  }

  const origins = { ...policy, allowNone: false };

  test("the listed and the own are upgraded, the others get 403 in place of a socket", async () => {
    await using server = startServer({ origins });
    const own = `Host: ${server.server.url.host}`;
    for (const [origin, status] of [
      ["https://site.example", 101],
      ["http://[2001:db8::1]:5173", 101],
      [server.http, 101],
      ["https://site.example.evil.example", 403],
      ["https://SITE.example", 403],
      ["https://site.example@evil.example", 403],
      ["http://127.0.0.1:1", 403],
      ["null", 403],
    ] as const)
      expect([origin, await upgrade(server, [own, `Origin: ${origin}`])]).toEqual([origin, status]);
    expect(await upgrade(server, [own])).toBe(403);
  });

  test("two Origin headers, or one hidden in another header, open nothing", async () => {
    await using server = startServer({ origins });
    const own = `Host: ${server.server.url.host}`;
    const good = "Origin: https://site.example";
    const evil = "Origin: https://evil.example";
    for (const lines of [
      [own, good, evil],
      [own, evil, good],
      [own, evil, "X-Origin: https://site.example"],
      [own, evil, "X-Forwarded-Host: evil.example"],
      [own, evil, "Forwarded: host=evil.example"],
      [own, "Sec-WebSocket-Origin: https://site.example"],
    ])
      expect([lines.slice(1), await upgrade(server, lines)]).not.toEqual([lines.slice(1), 101]);
  });

  test("calls over HTTP are held to the same list, before anything is done", async () => {
    await using server = startServer({ origins });
    const status = async (origin: string) =>
      (await fetch(`${server.http}/trpc/stats`, { headers: { origin } })).status;
    expect(await status("https://site.example")).toBe(200);
    expect(await status(server.http)).toBe(200);
    for (const origin of ["null", "https://evil.example", "https://site.example:8443"])
      expect([origin, await status(origin)]).toEqual([origin, 403]);
    const preflight = await fetch(`${server.http}/trpc/leave`, {
      method: "OPTIONS",
      headers: { origin: "https://evil.example", "access-control-request-method": "POST" },
    });
    expect([preflight.status, preflight.headers.get("access-control-allow-origin")]).toEqual([
      403,
      null,
    ]);
  });

  test("a GET of the own page, which has no Origin, is let in by what its browser says", async () => {
    await using server = startServer({ origins });
    const status = async (headers: Record<string, string>) =>
      (await fetch(`${server.http}/trpc/stats`, { headers })).status;
    expect(await status({ "sec-fetch-site": "same-origin" })).toBe(200);
    expect(await status({ "sec-fetch-site": "same-origin", host: "peer.example" })).toBe(200);
    for (const headers of [
      {},
      { "sec-fetch-site": "same-site" },
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "none" },
      { "sec-fetch-site": "same-origin", host: "evil.example" },
      { "sec-fetch-site": "same-origin", origin: "https://evil.example" },
      { "sec-fetch-site": "same-origin", origin: "null" },
    ] as Record<string, string>[])
      expect([headers, await status(headers)]).toEqual([headers, 403]);
  });

  test("A14 a page by a name that somebody pointed here is neither shown nor let in", async () => {
    await using server = startServer({
      origins: { allowed: [], allowNone: false },
      page: await createPage(index, { production: true }),
    });
    const { port } = server.server.url;
    for (const rebound of ["evil.example", `evil.example:${port}`]) {
      const headers = { host: rebound, origin: `http://${rebound}` };
      const lines = [`Host: ${rebound}`, `Origin: http://${rebound}`];
      expect(await upgrade(server, lines)).toBe(403);
      expect(await upgrade(server, [...lines, "X-Forwarded-Host: localhost"])).toBe(403);
      expect((await fetch(`${server.http}/trpc/stats`, { headers })).status).toBe(403);
      for (const path of ["/", "/index.html", "/anything"])
        expect((await fetch(server.http + path, { headers: { host: rebound } })).status).toBe(421);
      expect((await fetch(`${server.http}/livez`, { headers: { host: rebound } })).status).toBe(
        200,
      );
    }
    const warnings = server.lines.filter((line) => line.includes("unknown host name"));
    // The other name came within the same second.
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain("PUBLIC_URL=https://evil.example");
    expect((await fetch(server.http)).status).toBe(200);
    expect((await fetch(server.http, { headers: { host: `localhost:${port}` } })).status).toBe(200);
  });

  test("A14 PUBLIC_URL is the name of the page behind a proxy", async () => {
    await using server = startServer({
      origins: { allowed: ["https://chat.example"], allowNone: false },
      page: await createPage(index, { production: true }),
    });
    const headers = { host: "chat.example", origin: "https://chat.example" };
    expect((await fetch(server.http, { headers })).status).toBe(200);
    expect(await upgrade(server, ["Host: chat.example", "Origin: https://chat.example"])).toBe(101);
  });

  test("B9 a page that is refused can read why, and no answer but this one", async () => {
    await using server = startServer({ origins });
    const origin = "http://192.168.1.7:5173";
    for (const path of ["/trpc", "/trpc?connectionParams=1", "/trpc/stats"]) {
      const refused = await fetch(server.http + path, {
        headers: { origin, accept: "application/json" },
      });
      expect(refused.status).toBe(403);
      expect(refused.headers.get("access-control-allow-origin")).toBe("*");
      expect(refused.headers.get("content-type")).toStartWith("application/json");
      expect(await refused.json()).toEqual({ error: "origin-not-allowed", origin });
    }
    const done = await fetch(`${server.http}/trpc/leave`, { method: "POST", headers: { origin } });
    expect([done.status, done.headers.get("access-control-allow-origin")]).toEqual([403, null]);
    for (const path of ["/livez", "/metrics", "/"]) {
      const other = await fetch(server.http + path, { headers: { origin } });
      expect([path, other.headers.get("access-control-allow-origin")]).toEqual([path, null]);
    }
    const allowed = await fetch(`${server.http}/trpc`, {
      headers: { origin: "https://site.example", accept: "application/json" },
    });
    expect([allowed.status, allowed.headers.get("access-control-allow-origin")]).toEqual([
      426,
      "https://site.example",
    ]);
  });

  test("B9 each refused origin is logged once with what to set, and strangers can't fill the log", async () => {
    await using server = startServer({ origins });
    let asked = 0;
    const ask = (origin?: string) => {
      asked += 1;
      return fetch(`${server.http}/trpc`, { headers: origin === undefined ? {} : { origin } });
    };
    const warnings = () => server.lines.filter((line) => line.includes("an origin was refused"));
    for (let n = 0; n < 3; n++) await ask("http://localhost:5174");
    expect(warnings().map((line) => JSON.parse(line))).toMatchObject([
      {
        level: 40,
        origin: "http://localhost:5174",
        cure: "add http://localhost:5174 to CORS_ORIGIN, if that page may connect",
      },
    ]);
    await until("another case is logged a second later", async () => {
      await ask();
      return warnings().at(-1)?.includes("ALLOW_NO_ORIGIN=true");
    });
    const before = warnings().length;
    const began = performance.now();
    for (let n = 0; n < 300; n++) await ask(`http://${"x".repeat(300)}.example`.slice(n));
    const seconds = (performance.now() - began) / 1000;
    expect(warnings().length - before).toBeLessThanOrEqual(seconds);
    for (const line of warnings()) expect(line.length).toBeLessThan(800);
    const metrics = await fetch(`${server.http}/metrics`, {
      headers: { authorization: `Bearer ${operatorToken}` },
    });
    const counted = /requests_turned_away_total\{.*because="origin".*\} (\d+)/;
    expect(counted.exec(await metrics.text())?.[1]).toBe(String(asked));
  });
});
