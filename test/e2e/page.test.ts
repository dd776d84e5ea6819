/** What the page offers around a call. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { couple, setStage, type Guest, type Stage } from "./stage.ts";

setDefaultTimeout(60_000);

const ADMIN_TOKEN = "a token for the operator";

let stage: Stage;
beforeAll(async () => void (stage = await setStage({ SKIP_COOLDOWN_MS: "0", ADMIN_TOKEN })));
afterEach(async () => expect(await stage.clear()).toEqual([]));
afterAll(() => stage[Symbol.asyncDispose]());

test("before the camera is asked for, the page says why", async () => {
  const alice = await stage.enter();
  const why = alice.page.getByText("Start asks for your camera and microphone");
  expect(await why.isVisible()).toBe(true);
  await alice.start();
  await alice.until("waiting");
  expect(await why.isVisible()).toBe(false);
});

test("a typing sign shows while the other writes, and goes when it stops or sends", async () => {
  const [alice, bob] = await couple(stage);
  await alice.by("chat-input").pressSequentially("Hel");
  await bob.by("typing").waitFor();
  await alice.by("chat-input").fill("");
  await bob.by("typing").waitFor({ state: "hidden" });
  await alice.by("chat-input").pressSequentially("Hello");
  await bob.by("typing").waitFor();
  await alice.by("chat-send").click();
  await bob.reads("Hello");
  expect(await bob.by("typing").isVisible()).toBe(false);
});

const windows = [
  { name: "a phone", width: 375, height: 667 },
  { name: "a small phone", width: 320, height: 480 },
  { name: "a phone with its screen split", width: 400, height: 400 },
  { name: "a phone held sideways", width: 844, height: 390 },
  { name: "a tablet", width: 820, height: 1180 },
  { name: "a desktop", width: 1280, height: 800 },
];

test("in a call no button is covered, in any window", async () => {
  const [{ page }] = await couple(stage);
  for (const { name, width, height } of windows) {
    await page.setViewportSize({ width, height });
    const covered = await page.evaluate(() =>
      [...document.querySelectorAll("button")]
        .filter((button) => button.checkVisibility({ visibilityProperty: true }))
        .filter((button) => {
          const { left, right, top, bottom } = button.getBoundingClientRect();
          const isHit = (x: number, y: number) => button.contains(document.elementFromPoint(x, y));
          const middle = (top + bottom) / 2;
          return ![left + 8, (left + right) / 2, right - 8].every((x) => isHit(x, middle));
        })
        .map(({ innerText, title }) => innerText || title),
    );
    expect({ name, covered }).toEqual({ name, covered: [] });
  }
});

test("the figures of the call are shown while they are wanted", async () => {
  const [alice] = await couple(stage);
  await alice.sees();
  const toggle = alice.by("stats-toggle");
  await alice.press("stats-toggle");
  expect(await toggle.getAttribute("aria-expanded")).toBe("true");
  // The second look has rates of its own.
  await alice
    .by("stats")
    .getByText(/^\d+ × \d+, \d+\/s$/)
    .waitFor();
  await alice
    .by("stats")
    .getByText(/^[1-9].* [kM]bit\/s$/)
    .first()
    .waitFor();
  const figures = await alice.by("stats").evaluate((panel) => {
    const texts = (tag: string) => [...panel.querySelectorAll(tag)].map((one) => one.textContent);
    const values = texts("dd");
    return Object.fromEntries(texts("dt").map((name, index) => [name, values[index] ?? ""]));
  });
  expect(figures["Path"]).toBe("direct");
  expect(figures["Round trip"]).toMatch(/^\d+ ms$/);
  expect(figures["Loss"]).toMatch(/^\d+\.\d %$/);
  expect(figures["Codecs"]).toMatch(/^\w+, opus$/);
  for (const name of ["Time to match", "Time to connect", "Time to first frame"])
    expect(figures[name]).toMatch(/^\d+\.\d\d s$/);
  await alice.press("stats-toggle");
  expect(await alice.by("stats").isVisible()).toBe(false);
});

test("a reported stranger is gone at once and never met again", async () => {
  const [alice, bob] = await couple(stage);
  await alice.by("report-open").click();
  await alice.page.keyboard.press("Escape");
  expect(await alice.by("report").isVisible()).toBe(false);
  expect(await alice.state()).toBe("connected");
  await alice.by("report-open").click();
  await alice.page.getByRole("button", { name: "Harassment or threats" }).click();
  await bob.hears(/^The stranger left. Looking for someone else/);
  await alice.until("waiting");
  await meetsSomebodyElse(alice, bob);
});

test("a blocked stranger is never met again; one press alone blocks nobody", async () => {
  const [alice, bob] = await couple(stage);
  await alice.press("block");
  await alice.hears(/^Press Block again/);
  expect(await alice.state()).toBe("connected");
  await alice.press("block");
  await bob.hears(/^The stranger left. Looking for someone else/);
  await alice.until("waiting");
  await meetsSomebodyElse(alice, bob);
});

/** Carol comes, and one of the two talks with her; the two never with each other. */
async function meetsSomebodyElse(alice: Guest, bob: Guest) {
  const carol = await stage.enter();
  await carol.start();
  await carol.until("connected");
  const states = [await alice.state(), await bob.state()].sort();
  expect(states).toEqual(["connected", "waiting"]);
}

test("a wish to hide one's address is remembered, and refused in words where there is no relay", async () => {
  const alice = await stage.enter();
  await alice.by("settings-open").click();
  await alice.by("relay-only").check();
  await alice.page.keyboard.press("Escape");
  await alice.page.reload();
  await alice.start();
  await alice.hears(/^This server has no relay, so it cannot hide your IP address/);
  await alice.by("settings-open").click();
  await alice.by("relay-only").uncheck();
  await alice.by("settings-close").click();
  await alice.start();
  await alice.until("waiting");
  // Start has waited for what the operator declares: here nothing, and nothing of that is shown.
  await alice.by("settings-open").click();
  for (const id of ["lobby-choice", "facts", "wants"])
    expect(await alice.by(id).isVisible()).toBe(false);
});

test("whoever is suspended in a call is told so, and until when", async () => {
  const [alice, bob] = await couple(stage);
  const id = await alice.page.evaluate(
    () => sessionStorage.getItem("peer-stream.token")?.split(".")[0] ?? "",
  );
  const until = Date.UTC(2099, 11, 24, 12);
  const suspended = await fetch(`${stage.origin}/admin/suspend`, {
    method: "POST",
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" },
    body: JSON.stringify({ subject: { kind: "session", id }, until }),
  });
  expect(suspended.status).toBe(200);
  await alice.hears(/^You are suspended until 12\/24\/2099/);
  expect(await alice.page.getByRole("heading", { name: "You are suspended" }).isVisible()).toBe(
    true,
  );
  await bob.hears(/^The stranger was removed/);
  expect(await alice.state()).toBe("idle");
});

test("B6 a stranger whose camera or microphone is turned off is shown as that, and the picture comes back", async () => {
  const [alice, bob] = await couple(stage);
  await Promise.all([alice.sees(), bob.sees()]);
  await alice.by("cam").click();
  await bob.page.getByText("The stranger's camera is off.").waitFor();
  expect(await bob.by("cover").isVisible()).toBe(true);
  if (process.env["SCREENSHOTS"])
    await bob.page.screenshot({ path: `${process.env["SCREENSHOTS"]}/camera-off.png` });
  await alice.by("mic").click();
  await bob.page.getByText("The stranger's camera and microphone are off.").waitFor();
  await bob.hears(/microphone is off/);
  await alice.by("cam").click();
  await bob.by("cover").waitFor({ state: "hidden" });
  await bob.sees();
  await alice.by("mic").click();
  await bob.hears(/^You are connected. Say hello/);
});
