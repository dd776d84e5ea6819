/** The demo page as it is served: its headers, its caching, and that it is served however the program is built. */
import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPage, type Page } from "../../src/http/page.ts";
import index from "../../src/web/index.html";
import { startServer } from "../support/server-process.ts";
import { copySources, createOutsideProject, run } from "../support/outside-project.ts";

const page = await createPage(index, { production: true });

async function get(from: Page, path: string, headers: Record<string, string> = {}) {
  const response = await from(new Request(`http://127.0.0.1:3000${path}`, { headers }));
  if (!response) throw new Error(`${path} is not served`);
  return response;
}

/** The paths of what a page names in `src` and `href`. */
function assetsOf(html: string): string[] {
  return [...html.matchAll(/(?:src|href)="([^"#]+)"/g)].map(
    ([, path = ""]) => new URL(path, "http://127.0.0.1/").pathname,
  );
}

async function temporaryDirectory() {
  const path = await mkdtemp(join(tmpdir(), "peer-stream-page-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

describe("the page", () => {
  test("has a strict Content-Security-Policy: no inline script, no eval, nothing from elsewhere", async () => {
    const { headers } = await get(page, "/");
    const policy = new Map(
      (headers.get("content-security-policy") ?? "").split("; ").map((directive) => {
        const [name = "", ...sources] = directive.split(" ");
        return [name, sources.join(" ")];
      }),
    );
    expect(Object.fromEntries(policy)).toEqual({
      "default-src": "'none'",
      "script-src": "'self'",
      "style-src": "'self'",
      "img-src": "'self'",
      "worker-src": "'self'",
      "connect-src": "'self'",
      "base-uri": "'none'",
      "form-action": "'none'",
      "frame-ancestors": "'none'",
      "require-trusted-types-for": "'script'",
      "trusted-types": "solver",
    });
  });

  test("keeps to itself: camera and microphone are its own, frames and foreign windows are out", async () => {
    const { headers } = await get(page, "/");
    expect(headers.get("permissions-policy")).toStartWith(
      "camera=(self), microphone=(self), display-capture=(self), ",
    );
    expect(headers.get("permissions-policy")).toContain("geolocation=()");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("cross-origin-opener-policy")).toBe("same-origin");
    expect(headers.get("cross-origin-resource-policy")).toBe("same-origin");
  });

  test("has no inline script, style or handler that its policy would stop", async () => {
    const html = await (await get(page, "/")).text();
    expect(html).not.toMatch(/<style|\sstyle=|\son[a-z]+=|javascript:/i);
    expect(html.match(/<script(?![^>]*\ssrc=)/g)).toBeNull();
    for (const path of assetsOf(html).filter((path) => path.endsWith(".js")))
      expect(await (await get(page, path)).text()).not.toMatch(/\beval\(|\bnew Function\b/);
  });

  test("tells browsers to stay with HTTPS only when they came by HTTPS", async () => {
    const hsts = (response: Response | undefined) =>
      response?.headers.get("strict-transport-security") ?? null;
    expect(hsts(await get(page, "/"))).toBeNull();
    expect(hsts(await get(page, "/", { "x-forwarded-proto": "http" }))).toBeNull();
    expect(hsts(await get(page, "/", { "x-forwarded-proto": "https" }))).toStartWith("max-age=");
    expect(hsts(await page(new Request("https://site.example/")))).toStartWith("max-age=");
  });

  test("is asked for anew each time, its assets never again", async () => {
    const response = await get(page, "/");
    expect(response.headers.get("content-type")).toStartWith("text/html");
    expect(response.headers.get("cache-control")).toBe("no-cache");
    const assets = assetsOf(await response.text());
    const types = ["image/svg+xml", "text/css", "text/javascript"];
    expect(assets).toHaveLength(types.length);
    for (const path of assets) {
      const asset = await get(page, path);
      expect(types).toContain(asset.headers.get("content-type")?.split(";")[0] ?? "");
      expect(asset.headers.get("cache-control")).toContain("immutable");
      expect(asset.headers.get("x-content-type-options")).toBe("nosniff");
      expect((await asset.bytes()).length).toBeGreaterThan(0);
    }
  });

  test("is not sent again to whom has this version, also when a proxy made the tag weak", async () => {
    const etag = (await get(page, "/")).headers.get("etag") ?? "";
    expect(etag).toMatch(/^"\w+"$/);
    for (const tags of [etag, `W/${etag}`, `"another", ${etag}`]) {
      const response = await get(page, "/", { "if-none-match": tags });
      expect([response.status, await response.text()]).toEqual([304, ""]);
      expect(response.headers.get("etag")).toBe(etag);
    }
    expect((await get(page, "/", { "if-none-match": '"another"' })).status).toBe(200);
  });

  test("is nowhere else, and nothing else is served", async () => {
    const elsewhere = ["/index.html", "/web/index.html", "/page.ts", "/src/main.ts", "/.env"];
    for (const path of [...elsewhere, "//", "/../package.json", "/%2e%2e/package.json", "/%00"])
      expect(await page(new Request(`http://127.0.0.1:3000${path}`))).toBeUndefined();
  });

  for (const production of [false, true])
    test(`shows a change at ${production ? "the next start" : "the next load"} in ${production ? "production" : "development"}`, async () => {
      await using directory = await temporaryDirectory();
      const html = join(directory.path, "index.html");
      const script = join(directory.path, "page.js");
      await Bun.write(html, '<!doctype html><script type="module" src="./page.js"></script>');
      await Bun.write(script, 'document.title = "before";');
      const changing = await createPage({ index: html }, { production });
      await Bun.write(script, 'document.title = "after";');
      const [path = ""] = assetsOf(await (await get(changing, "/")).text());
      const text = await (await get(changing, path)).text();
      expect(text).toContain(production ? "before" : "after");
    });

  test("that can't be bundled is an error at the start", async () => {
    expect(createPage({ index: "/nowhere/index.html" }, { production: true })).rejects.toThrow();
  });
});

describe("served by the program", () => {
  /** Loads the page, all it names, and what its scripts load when it is needed; answers what each came with. */
  async function load(origin: string, path = "/") {
    const response = await fetch(origin + path);
    const named = await Promise.all(
      assetsOf(await response.text()).map((path) => fetch(origin + path)),
    );
    const later = named.map(async (asset) => {
      const imports = (await asset.text()).matchAll(/\bimport\("\.?\/?([^"]+)"\)/g);
      const paths = [...imports].map(([, name = ""]) => new URL(name, asset.url));
      return Promise.all(paths.map(async (url) => (await fetch(url)).status));
    });
    const assets = named.map(({ status }) => status);
    return { response, assets, later: (await Promise.all(later)).flat() };
  }
  const good = { status: 200, policy: true, assets: [200, 200, 200], missing: [] };
  const summary = ({ response, assets, later }: Awaited<ReturnType<typeof load>>) => ({
    status: response.status,
    policy: response.headers.get("content-security-policy")?.includes("default-src 'none'"),
    assets,
    missing: later.filter((status) => status !== 200),
  });

  test("from its sources", async () => {
    await using server = await startServer();
    const loaded = await load(server.origin);
    expect(summary(loaded)).toEqual(good);
    // Three languages at least.
    expect(loaded.later.length).toBeGreaterThanOrEqual(3);
    const head = await fetch(`${server.origin}/`, { method: "HEAD" });
    expect([head.status, head.headers.get("x-frame-options")]).toEqual([200, "DENY"]);
    expect((await fetch(`${server.origin}/nothing`)).status).toBe(404);
    for (const probe of ["/livez", "/readyz"])
      expect((await fetch(server.origin + probe)).headers.get("content-type")).toBe(
        "text/plain; charset=utf-8",
      );
    expect((await fetch(`${server.origin}/`, { method: "POST" })).status).toBe(404);
  });

  test("a navigation and a probe need no Origin, a call does where the operator says so", async () => {
    await using server = await startServer({ ALLOW_NO_ORIGIN: "false" });
    const status = async (path: string) => (await fetch(server.origin + path)).status;
    expect([await status("/"), await status("/livez"), await status("/readyz")]).toEqual([
      200, 200, 200,
    ]);
    expect([await status("/trpc"), await status("/trpc/stats")]).toEqual([403, 403]);
    // Another spelling of the path is no way around.
    for (const path of ["/%74rpc/stats", "/TRPC/stats", "//trpc/stats", "/x/../trpc/stats"])
      expect(await status(path)).toBeOneOf([403, 404]);
  });

  test("as `bun run build` makes it, and as one executable, started from anywhere", async () => {
    await using project = await createOutsideProject();
    const sources = join(project.folder, "sources");
    await copySources(sources);
    for (const script of ["build", "build:executable"])
      expect(await run(sources, ["bun", "run", script])).not.toContain("error");
    const bundle = [process.execPath, join(sources, "dist/server/main.js")];
    for (const command of [bundle, [join(sources, "dist/peer-stream")]]) {
      const env = { ADMIN_TOKEN: "the token of the tests' operator" };
      await using server = await startServer(env, { command, cwd: tmpdir() });
      for (const path of ["/", "/admin"])
        expect(summary(await load(server.origin, path))).toEqual(good);
    }
  }, 60_000);
});
