/** The page under its Content-Security-Policy in a real browser: all it does is allowed, and nothing else is. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { Page } from "playwright-core";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { startServer, type ServerProcess } from "../support/server-process.ts";
import { somebody } from "./stage.ts";

setDefaultTimeout(60_000);

const stack = new AsyncDisposableStack();
let server: ServerProcess;
let browser: TestBrowser;
beforeAll(async () => {
  server = stack.use(await startServer());
  browser = stack.use(await launchBrowser());
});
afterEach(() => browser.clear());
afterAll(() => stack.disposeAsync());

test("a whole call, with a camera and with an animated avatar, breaks no rule of the policy", async () => {
  const alice = somebody(await browser.open(server.origin), "Alice");
  const bob = somebody(await browser.open(`${server.origin}/?fake=1`), "Bob");
  await alice.start();
  await bob.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await Promise.all([alice.sees(), bob.sees(), bob.sees(5, "local-video")]);
  await alice.say("Hello <b>Bob</b>! <script>alert(1)</script><img src=x onerror=alert(1)>");
  await bob.reads("Hello <b>Bob</b>! <script>alert(1)</script><img src=x onerror=alert(1)>");

  // The second stranger: a page of its own, which this one can't reach.
  const opened = bob.page.context().waitForEvent("page");
  await bob.by("stop").click();
  await bob.page.getByRole("link", { name: "second stranger" }).click();
  const second = somebody(await opened, "the second stranger");
  expect(await second.page.evaluate(() => window.opener)).toBeNull();
  await second.start();
  await Promise.all([alice.until("connected"), second.until("connected")]);
  await alice.sees();
  // A page that reloads, and one that goes away, speak with the server by other ways.
  await second.page.reload();
  await second.page.close();
  await alice.until("waiting");
  // The browser tells of each violation on the console.
  expect(await browser.clear()).toEqual([]);
});

test("the policy is in force: nothing from elsewhere runs, is fetched or is framed", async () => {
  const page = await browser.open(server.origin);
  expect(await violationsOf(page)).toEqual({
    markup: "require-trusted-types-for",
    inlineScript: "require-trusted-types-for",
    foreignScript: "require-trusted-types-for",
    handler: "require-trusted-types-for",
    worker: "require-trusted-types-for",
    ownPolicy: "trusted-types",
    inlineStyle: "style-src-elem",
    styleAttribute: "style-src-attr",
    fetch: "connect-src",
    webSocket: "connect-src",
    otherPort: "connect-src",
    image: "img-src",
    media: "media-src",
    frame: "frame-src",
    base: "base-uri",
  });
});

test("no other page can frame it", async () => {
  const { hostname, port } = new URL(server.origin);
  expect(hostname).toBe("127.0.0.1");
  using framing = Bun.serve({
    port: 0,
    fetch: () =>
      new Response(`<!doctype html><iframe src="http://localhost:${port}/"></iframe>`, {
        headers: { "content-type": "text/html" },
      }),
  });
  const page = await browser.open(framing.url.href);
  const frame = page.frames()[1];
  expect(await frame?.evaluate(() => document.querySelector("#start"))).toBeNull();
  expect(browser.complaints.join("\n")).toContain("frame-ancestors");
});

/** Tries what the policy forbids. Answers, for each, the rule that was broken. */
function violationsOf(page: Page): Promise<Record<string, string>> {
  return page.evaluate(async () => {
    const elsewhere = "http://elsewhere.invalid";
    const add = (name: string, attributes: Record<string, string>, text = "") => {
      const element = document.createElement(name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      element.textContent = text;
      document.body.append(element);
    };
    const { trustedTypes } = window as unknown as {
      trustedTypes: { createPolicy(name: string): unknown };
    };
    const tries: Record<string, () => unknown> = {
      markup: () => (document.createElement("div").innerHTML = "<b>bold</b>"),
      inlineScript: () => add("script", {}, "document.title = 'hacked'"),
      foreignScript: () => add("script", { src: `${elsewhere}/x.js` }),
      handler: () => add("b", { onclick: "document.title = 'hacked'" }),
      worker: () => new Worker(`${elsewhere}/x.js`),
      ownPolicy: () => trustedTypes.createPolicy("anything"),
      inlineStyle: () => add("style", {}, "body { display: none }"),
      styleAttribute: () => add("b", { style: "color: red" }),
      fetch: () => fetch(elsewhere),
      webSocket: () => new WebSocket("ws://elsewhere.invalid/trpc"),
      otherPort: () => new WebSocket("ws://127.0.0.1:1/trpc"),
      image: () => add("img", { src: `${elsewhere}/x.png` }),
      media: () => add("video", { src: `${elsewhere}/x.webm` }),
      frame: () => add("iframe", { src: elsewhere }),
      base: () => add("base", { href: elsewhere }),
    };
    const broken: Record<string, string> = {};
    for (const [name, attempt] of Object.entries(tries)) {
      const violated = new Promise<string>((resolve) => {
        document.addEventListener(
          "securitypolicyviolation",
          ({ effectiveDirective }) => resolve(effectiveDirective),
          { once: true },
        );
        setTimeout(() => resolve("none"), 2000);
      });
      try {
        await Promise.race([attempt(), violated]);
      } catch {
        // Stopped at once; the event comes all the same.
      }
      broken[name] = await violated;
      // One attempt may break several rules, all of them told before the next begins.
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return broken;
  });
}
