/** A moderator's walk through the console, in Chromium, beside people who chat. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import axe from "axe-core";
import type { Page } from "playwright-core";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { startHost } from "../support/host.ts";
import { connectPeer, refusalOf } from "../support/server.ts";
import { startServer, type ServerProcess } from "../support/server-process.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(60_000);

const ADMIN_TOKEN = "the token of the tests' moderator";
const stack = new AsyncDisposableStack();
let server: ServerProcess;
let browser: TestBrowser;
beforeAll(async () => {
  server = stack.use(
    await startServer({
      ADMIN_TOKEN,
      LOBBIES: "berlin",
      ALLOW_NO_ORIGIN: "true",
      LIMIT_INTENTS_PER_S: "0",
      EVIDENCE_URL: "https://mod.example/case/{caseId}?of=us",
    }),
  );
  browser = stack.use(await launchBrowser({ camera: "none" }));
});
afterEach(() => browser.clear());
afterAll(() => stack.disposeAsync());

const arrive = () => connectPeer({ ws: server.origin.replace("http", "ws") } as never);
const idOf = ({ token }: { token: string }) => token.split(".")[0] ?? "";
const open = (options = {}) => browser.open(`${server.origin}/admin`, options);

async function signIn(page: Page, token = ADMIN_TOKEN) {
  await page.getByLabel("Operator’s token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
}

const hears = (page: Page, words: string | RegExp) =>
  page.getByTestId("said").filter({ hasText: words }).waitFor();

/** Each rule of WCAG 2.2 up to AA that is violated, on a phone and on a desktop, in both colour schemes. */
async function violations(page: Page, state: string): Promise<string[]> {
  await page.evaluate(axe.source);
  const found: string[] = [];
  for (const width of [360, 1280])
    for (const colorScheme of ["light", "dark"] as const) {
      await page.setViewportSize({ width, height: width < 900 ? 740 : 800 });
      await page.emulateMedia({ colorScheme });
      const broken = await page.evaluate(async () => {
        const { axe: own } = window as unknown as { axe: typeof axe };
        const rules = (await own.run()).violations.map(
          ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`,
        );
        const { scrollWidth } = document.documentElement;
        if (scrollWidth > innerWidth) rules.push(`the page is ${scrollWidth} px wide`);
        return rules;
      });
      found.push(...broken.map((rule) => `${state}, ${width} px, ${colorScheme}: ${rule}`));
      const folder = process.env["CONSOLE_PICTURES"];
      if (folder !== undefined)
        await page.screenshot({
          path: `${folder}/${state}-${width}-${colorScheme}.png`,
          fullPage: true,
        });
    }
  return found;
}

test("a moderator signs in, sees a report, finds a session by four letters, suspends it, lifts it, and ends a room", async () => {
  await using reporter = await arrive();
  await using troll = await arrive();
  await reporter.client.join.mutate({ autoRejoin: false });
  await troll.client.join.mutate({ autoRejoin: false });
  const { roomId } = await troll.next("create-offer");
  await reporter.client.report.mutate({ roomId, reason: "harassment" });
  // Two more talk in another lobby.
  await using ann = await arrive();
  await using bob = await arrive();
  for (const { client } of [ann, bob])
    await client.join.mutate({ lobby: "berlin", mode: "text", autoRejoin: false });
  const room = (await ann.next("wait-for-offer")).roomId;

  const found: string[] = [];
  const page = await open();
  await page.getByLabel("Operator’s token").waitFor();
  found.push(...(await violations(page, "signing-in")));
  await signIn(page, "a wrong token of a stranger");
  await page.getByText("This token is wrong.").waitFor();
  await signIn(page);

  // Counts, and the report.
  const totals = page.getByTestId("totals");
  await totals.getByText("4", { exact: true }).waitFor();
  expect(await page.getByRole("row", { name: /berlin/ }).innerText()).toMatch(
    /berlin\s+2\s+0\s+1\s+1 text/,
  );
  const report = page.getByTestId("reports").getByRole("listitem");
  expect(await report.innerText()).toContain(idOf(troll));
  expect(await report.innerText()).not.toContain(idOf(reporter));
  const time = report.locator("time");
  expect(await time.getAttribute("title")).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  found.push(...(await violations(page, "signed-in")));

  // The session, by the letters that the log shows.
  await page.getByLabel("First letters of its id").fill(idOf(troll).slice(0, 4));
  await page.keyboard.press("Enter");
  const session = page.getByTestId("found").getByRole("listitem");
  await session.filter({ hasText: idOf(troll) }).waitFor();
  await page.getByText("1 session found.").waitFor();

  // Suspended for a day, with a reason; by keyboard.
  await session.getByRole("button", { name: "Suspend…" }).focus();
  await page.keyboard.press("Enter");
  await page.getByLabel("Reason").selectOption("harassment");
  await page.getByLabel("For", { exact: true }).selectOption("a week");
  found.push(...(await violations(page, "suspending")));
  await page.getByTestId("suspend-confirm").focus();
  await page.keyboard.press("Enter");
  await hears(page, `Session ${idOf(troll)} is suspended until`);
  const refused = await refusalOf(troll.client.join.mutate());
  expect(refused).toMatchObject({ reason: "suspended" });
  expect(Number(refused["until"])).toBeGreaterThan(Date.now() + 6 * 86_400_000);
  // The focus is back where it was.
  await until("the button has the focus again", () =>
    page.evaluate(
      () => document.activeElement?.textContent?.startsWith("Suspend… session") === true,
    ),
  );
  const suspension = page.getByTestId("suspensions").getByRole("listitem");
  await suspension.filter({ hasText: idOf(troll) }).waitFor();
  found.push(...(await violations(page, "suspended")));

  // Lifted.
  await suspension.getByRole("button", { name: "Lift" }).click();
  await hears(page, "may join again");
  await page.getByText("Nobody is suspended.").waitFor();
  expect(await troll.client.join.mutate({ autoRejoin: false })).toEqual({ status: "waiting" });

  // A room ends, but not without being asked.
  await page.getByLabel("First letters of its id").fill(idOf(ann).slice(0, 4));
  await page.getByRole("button", { name: "Find" }).click();
  const member = page
    .getByTestId("found")
    .getByRole("listitem")
    .filter({ hasText: idOf(ann) });
  await member.getByRole("button", { name: "End room…" }).click();
  found.push(...(await violations(page, "ending")));
  await page.keyboard.press("Escape");
  expect(ann.types).not.toContain("partner-disconnected");
  await member.getByRole("button", { name: "End room…" }).click();
  await page.getByRole("button", { name: "End the room" }).click();
  await hears(page, "The room has ended.");
  for (const peer of [ann, bob])
    expect(await peer.next("partner-disconnected")).toMatchObject({
      roomId: room,
      reason: "removed",
    });
  await member.filter({ hasText: "Idle" }).waitFor();
  expect(found).toEqual([]);
  // The browser complains of the one call with a wrong token and of the first one without any.
  const complaints = browser.complaints.filter((line) => !line.includes("status of 401"));
  expect(complaints).toEqual([]);
});

test("the token is kept for the tab alone, and gone after signing out", async () => {
  const page = await open();
  await signIn(page);
  await page.getByTestId("console").waitFor();
  await page.reload();
  await page.getByTestId("totals").waitFor();
  const stored = () => page.evaluate(() => [localStorage.length, sessionStorage.length]);
  expect(await stored()).toEqual([0, 1]);
  const other = await page.context().newPage();
  await other.goto(`${server.origin}/admin`);
  await other.getByLabel("Operator’s token").waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Operator’s token").waitFor();
  expect(await stored()).toEqual([0, 0]);
  expect(await page.getByTestId("totals").innerText()).toBe("");
});

test("who has tried too many tokens is told when to try again, and what is wrong with an id", async () => {
  const page = await open();
  // From the address of the other tests, which are not locked out by it.
  for (let tries = 0; tries < 12; tries++)
    await fetch(`${server.origin}/admin/overview`, {
      headers: { authorization: `Bearer wrong ${tries}` },
    });
  await signIn(page, "one more wrong token");
  await page.getByText(/Too many wrong tokens .* Try again in \d+ s\./).waitFor();
  await signIn(page);
  await page.getByTestId("suspend-other").click();
  await page.getByLabel("What").selectOption("Address");
  await page.getByLabel("IP address, or its hash").fill("203.0.113");
  await page.getByTestId("suspend-confirm").click();
  await page.getByTestId("suspend-error").filter({ hasText: "subject.id: must be" }).waitFor();
  await page.getByLabel("For", { exact: true }).selectOption("until a date");
  await page.getByLabel("Until").fill("2001-01-01T00:00");
  await page.getByLabel("IP address, or its hash").fill("203.0.113.7");
  await page.getByTestId("suspend-confirm").click();
  await page.getByTestId("suspend-error").filter({ hasText: "until: must be" }).waitFor();
  await page.getByLabel("Until").fill("2100-01-01T00:00");
  await page.getByTestId("suspend-confirm").click();
  await hears(page, "Address 203.0.113.7 is suspended until");
  await page.getByRole("button", { name: "Lift" }).click();
  await hears(page, "may join again");
});

test("a report with a case has a link to its evidence; what others wrote is text", async () => {
  const page = await open();
  const markup = "<img src=x onerror=alert(1)>";
  await page.route("**/admin/overview,reports,list*", async (route) => {
    const response = await route.fetch();
    if (!response.ok()) return route.fulfill({ response });
    const answers = (await response.json()) as [unknown, { result: { data: unknown } }];
    const reported = { sessionId: "0F0AgDJ0Xd2zCv9VqAxPcQ", account: markup };
    const report = { at: 1_790_000_000_000, roomId: "room", reason: "minor", counted: true };
    answers[1].result.data = { reports: [{ ...report, reported, caseId: "a/b c" }] };
    await route.fulfill({ response, json: answers });
  });
  await signIn(page);
  const link = page.getByRole("link", { name: "Evidence" });
  expect(await link.getAttribute("href")).toBe("https://mod.example/case/a%2Fb%20c?of=us");
  expect(await link.getAttribute("rel")).toBe("noopener noreferrer");
  expect(await page.getByTestId("reports").innerText()).toContain(markup);
  expect(await page.locator("img").count()).toBe(0);
});

test("where the host knows its moderators by a cookie, no token is asked for, and other pages can't frame it", async () => {
  const isOperator = ({ headers }: { headers: Headers }) =>
    headers.get("cookie")?.includes("moderator=yes") ?? false;
  const { http, strangers } = startHost({ isOperator, lobbies: ["<b>chess</b>"] });
  const page = await browser.open(`${http}/admin`);
  await page.getByTestId("refused").filter({ hasText: "not signed in" }).waitFor();
  expect(await page.getByTestId("sign-in").isVisible()).toBe(false);
  await page.context().addCookies([{ name: "moderator", value: "yes", url: http }]);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByTestId("lobbies").getByText("<b>chess</b>").waitFor();
  expect(await page.getByTestId("sign-out").isVisible()).toBe(false);
  await page.getByTestId("suspend-other").click();
  await page.getByLabel("What").selectOption("Account");
  await page.getByLabel("Account’s whole id").fill("user 42");
  await page.getByTestId("suspend-confirm").click();
  await hears(page, "Account user 42 is suspended until");
  expect(await strangers.suspensions()).toMatchObject([
    { subject: { kind: "account", id: "user 42" }, by: "operator" },
  ]);
  const complaints = browser.complaints.filter((line) => !line.includes("status of 401"));
  expect(complaints).toEqual([]);

  using framing = Bun.serve({
    port: 0,
    fetch: () =>
      new Response(`<!doctype html><iframe src="${http}/admin"></iframe>`, {
        headers: { "content-type": "text/html" },
      }),
  });
  const other = await browser.open(framing.url.href);
  expect(await other.frames()[1]?.evaluate(() => document.querySelector("#token"))).toBeNull();
  expect(browser.complaints.join("\n")).toContain("frame-ancestors");
});
