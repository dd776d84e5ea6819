/**
 * Brings the page into each of its states, one journey after the other, for those who look at them: accessibility.test.ts with axe-core,
 * gallery.ts for people.
 */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FactsDeclaration } from "../../src/protocol/declaration.ts";
import type { BrowserOptions } from "../support/browser.ts";
import { until } from "../support/until.ts";
import { setStage, type Guest, type Stage } from "./stage.ts";

/** Looks at the page of `guest`, which stays in `state` meanwhile. */
export type Visit = (guest: Guest, state: string) => Promise<void>;

interface Journey {
  readonly env?: Record<string, string>;
  readonly browser?: BrowserOptions;
  readonly walk: (stage: Stage, visit: Visit) => Promise<void>;
}

/** Something of each kind, and a list that has to be scrolled. */
const declared: FactsDeclaration = {
  region: { kind: "one", of: ["eu", "us"], shown: true },
  topics: { kind: "set", of: Array.from({ length: 30 }, (_, n) => `topic ${n}`), shown: true },
  age: { kind: "range", from: 18, to: 99 },
  smoker: { kind: "flag" },
};

const ADMIN_TOKEN = "a token for the operator";
const withOneReport = { REPORTS_TO_SUSPEND: "1", REPORTS_AFTER_MS: "0" };
const withRules = {
  RULES_VERSION: "1",
  RULES_TEXT: "Be kind.\nShow nobody else without their consent.",
  RULES_URL: "https://rules.example/",
  RULES_AGE: "18",
};

/** By what they show. */
export const journeys: Readonly<Record<string, Journey>> = {
  "before a call": { env: { LOBBIES: "jazz" }, walk: beforeACall },
  "in a call": { walk: inACall },
  "a connection that is lost": { walk: connectionLost },
  "voice and text": { walk: voiceAndText },
  "warned and suspended": {
    env: { ADMIN_TOKEN, APPEAL: "https://example.com/appeal", ...withOneReport },
    walk: warnedAndSuspended,
  },
  rules: { env: withRules, walk: rules },
  "without a camera": { browser: { camera: "denied" }, walk: withoutCamera },
};

/** @returns what the pages complained about. */
export async function travel({ env, browser, walk }: Journey, visit: Visit): Promise<string[]> {
  const facts = join(await mkdtemp(join(tmpdir(), "peer-stream-facts-")), "facts.json");
  await Bun.write(facts, JSON.stringify(declared));
  // They have other wishes, and meet at once all the same.
  const settings = { FACTS_FILE: facts, RELAX_AFTER_MS: "10", ...env };
  await using stage = await setStage(settings, browser);
  await walk(stage, visit);
  // Awaited here, before the stage is disposed of.
  return await stage.clear();
}

async function beforeACall(stage: Stage, visit: Visit): Promise<void> {
  const alice = await stage.enter();
  const { page } = alice;
  await visit(alice, "idle");
  await alice.by("settings-open").click();
  const wants = alice.by("wants");
  await wants.waitFor();
  await alice.by("facts").getByLabel("Region").selectOption("eu");
  await visit(alice, "settings");
  await wants.getByRole("group", { name: "Region" }).getByLabel("Eu").check();
  await wants.getByLabel("From").fill("40");
  await wants.getByLabel("To", { exact: true }).fill("30");
  await page.keyboard.press("Tab");
  await wants.getByRole("group", { name: "Age" }).scrollIntoViewIfNeeded();
  await visit(alice, "settings-invalid");
  await page.keyboard.press("Escape");
  await alice.by("preview").click();
  await alice.sees(5, "local-video");
  await visit(alice, "preview");
  await alice.start();
  await alice.until("waiting");
  await visit(alice, "waiting");
  const bob = await stage.enter();
  // His browser never gets as far as an answer.
  await bob.page.evaluate(() => {
    RTCPeerConnection.prototype.setRemoteDescription = () => new Promise(() => {});
  });
  await bob.start();
  await alice.until("connecting");
  await visit(alice, "connecting");
}

/** Two who see each other, share an interest and know something of each other. */
async function pair(stage: Stage): Promise<[Guest, Guest]> {
  const [alice, bob] = [await stage.enter("/?fake=1"), await stage.enter("/?fake=1")];
  await bob.by("settings-open").click();
  await bob.by("facts").getByLabel("Region").selectOption("eu");
  await bob.by("settings-close").click();
  for (const { page } of [alice, bob]) {
    await page.getByLabel("What would you like to talk about?").fill("chess, jazz");
    // A page withdraws the question for the second press after 4 s. Without that timer it stays while it is looked at.
    await page.evaluate(() => {
      const real = window.setTimeout.bind(window);
      const withoutThat = (callback: () => void, ms: number) =>
        ms === 4000 ? 0 : real(callback, ms);
      Object.assign(window, { setTimeout: withoutThat });
    });
  }
  await alice.start();
  await alice.until("waiting");
  await bob.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await alice.sees();
  return [alice, bob];
}

async function inACall(stage: Stage, visit: Visit): Promise<void> {
  const [alice, bob] = await pair(stage);
  const { page } = alice;
  await alice.say("Hello! Do you play the Sicilian?");
  await bob.say("Only when nobody is looking.");
  await alice.reads("Only when nobody");
  await alice.by("partner-facts").getByText("Region: Eu").waitFor();
  // Whoever types does so all the time.
  await bob.by("chat-input").pressSequentially("And");
  await bob.by("chat-input").evaluate((input) => {
    setInterval(() => input.dispatchEvent(new Event("input")), 1000);
  });
  await alice.by("typing").waitFor();
  await visit(alice, "connected");
  await alice.by("typing").waitFor();
  await page.setViewportSize({ width: 390, height: 844 });
  await alice.by("more").click();
  await visit(alice, "more");
  await page.keyboard.press("Escape");
  await alice.press("fill");
  await visit(alice, "other-view");
  await alice.press("fill");
  await alice.press("stats-toggle");
  const stats = alice.by("stats");
  await stats.getByText(/^\d+ × \d+/).waitFor();
  await visit(alice, "stats");
  await alice.press("stats-toggle");
  await alice.by("chat-toggle").click();
  await bob.say("Are you still there?");
  await page.locator("#unread:not([hidden])").waitFor();
  await visit(alice, "chat-away");
  await alice.by("chat-toggle").click();
  await alice.by("report-open").click();
  await alice.by("report-picture").waitFor();
  await page.getByText("Show these messages").click();
  await visit(alice, "report");
  await page.keyboard.press("Escape");
  await bob.by("cam").click();
  await page.locator(".cover[data-portrait]").waitFor();
  await visit(alice, "camera-off");
  await bob.by("mic").click();
  await page.locator("#muted-badge:not([hidden])").waitFor();
  await visit(alice, "both-off");
  await bob.by("cam").click();
  await alice.sees();
  await alice.by("next").click();
  await alice.by("next").and(page.locator("[data-armed]")).waitFor();
  await visit(alice, "second-press");
  await bob.next();
  await alice.hears(/^The stranger moved on/);
  await visit(alice, "skipped");
  await alice.stop();
  await alice.until("idle");
  await visit(alice, "stopped");
}

async function connectionLost(stage: Stage, visit: Visit): Promise<void> {
  const [alice, bob] = await pair(stage);
  bob.network.refuse(true);
  bob.network.cut();
  await alice.until("reconnecting");
  await visit(alice, "partner-reconnecting");
  await bob.until("reconnecting");
  await visit(bob, "reconnecting");
  await bob.stop();
  alice.network.refuse(true);
  alice.network.cut();
  await alice.stop();
  await alice.start();
  await alice.hears(/^Lost the connection to the server/);
  await visit(alice, "server-away");
}

async function voiceAndText(stage: Stage, visit: Visit): Promise<void> {
  const [alice, bob] = [await stage.enter("/", { locale: "ja-JP" }), await stage.enter()];
  for (const mode of ["audio", "text"]) {
    for (const { page } of [alice, bob]) await page.locator(`#modes [value=${mode}]`).check();
    await visit(bob, `${mode}-idle`);
    await Promise.all([alice.start(), bob.start()]);
    await Promise.all([alice.until("connected"), bob.until("connected")]);
    await alice.say("こんにちは");
    await bob.say("Hello! Where are you?");
    await Promise.all([alice.reads("Where are you"), bob.reads("こんにちは")]);
    await visit(bob, mode);
    await visit(alice, `${mode}-japanese`);
    for (const one of [alice, bob]) await one.stop();
  }
}

async function warnedAndSuspended(stage: Stage, visit: Visit): Promise<void> {
  const [alice, bob] = await pair(stage);
  await alice.by("report-open").click();
  await alice.page.getByRole("button", { name: "Hate speech" }).click();
  await bob.by("warning").waitFor();
  await visit(bob, "warning");
  await bob.by("warning-close").click();
  const id = await bob.page.evaluate(
    () => sessionStorage.getItem("peer-stream.token")?.split(".")[0],
  );
  const suspended = await fetch(`${stage.origin}/admin/suspend`, {
    method: "POST",
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" },
    body: JSON.stringify({
      subject: { kind: "session", id },
      until: Date.UTC(2099, 11, 24, 12),
      because: "harassment",
    }),
  });
  if (suspended.status !== 200) throw new Error(`suspend was answered ${suspended.status}`);
  await bob.hears(/^You are suspended/);
  await visit(bob, "suspended");
}

async function rules(stage: Stage, visit: Visit): Promise<void> {
  const alice = await stage.enter();
  await alice.start();
  await alice.by("rules").waitFor();
  await visit(alice, "rules");
  await alice.by("rules-decline").click();
  await until("the page says that it was declined", async () => (await alice.status()) !== "");
  await visit(alice, "rules-declined");
}

async function withoutCamera(stage: Stage, visit: Visit): Promise<void> {
  const alice = await stage.enter();
  await alice.start();
  await alice.by("camera-error").waitFor();
  await visit(alice, "camera-denied");
  const bob = await stage.enter();
  // As a browser does in which calls are turned off.
  await bob.page.evaluate(() => Reflect.deleteProperty(window, "RTCPeerConnection"));
  await bob.start();
  await bob.hears(/does not support/);
  await visit(bob, "unsupported");
}
