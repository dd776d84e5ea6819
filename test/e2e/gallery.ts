/**
 * Takes a picture of the page in each of its states, in five sizes, light and dark, into a folder: `bun test/e2e/gallery.ts [folder] [state…]`.
 * They are for people to look at; accessibility.test.ts checks the same states.
 */
import { mkdir, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setStage, type Guest, type Stage } from "./stage.ts";

const sizes = [
  [360, 640],
  [390, 844],
  [844, 390],
  [768, 1024],
  [1440, 900],
] as const;

const [folder = await mkdtemp(join(tmpdir(), "peer-stream-gallery-")), ...wanted] =
  process.argv.slice(2);
await mkdir(folder, { recursive: true });

async function take({ page }: Guest, state: string): Promise<void> {
  if (wanted.length > 0 && !wanted.includes(state)) return;
  for (const [width, height] of sizes) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      const path = join(folder, `${state}-${width}x${height}-${colorScheme}.png`);
      await page.screenshot({ path });
    }
  }
}

async function pair(stage: Stage, query = "?fake=1"): Promise<[Guest, Guest]> {
  const [alice, bob] = [await stage.enter(`/${query}`), await stage.enter(`/${query}`)];
  for (const { page } of [alice, bob]) await page.locator("#interests").fill("chess, jazz");
  await alice.start();
  await alice.until("waiting");
  await bob.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  return [alice, bob];
}

async function beforeACall(stage: Stage): Promise<void> {
  const alice = await stage.enter();
  await take(alice, "idle");
  await alice.by("settings-open").click();
  await take(alice, "settings");
  await alice.page.keyboard.press("Escape");
  await alice.by("preview").click();
  await alice.sees(5, "local-video");
  await take(alice, "preview");
  await alice.start();
  await alice.until("waiting");
  await take(alice, "waiting");
}

async function inACall(stage: Stage): Promise<void> {
  const [alice, bob] = await pair(stage);
  await alice.sees(10);
  await alice.say("Hello! Do you play the Sicilian?");
  await bob.say("Only when nobody is looking.");
  await alice.reads("Only when nobody");
  await take(alice, "connected");
  await alice.press("fill");
  await take(alice, "connected-other-view");
  await alice.press("fill");
  await alice.press("stats-toggle");
  await alice
    .by("stats")
    .getByText(/^\d+ × \d+/)
    .waitFor();
  await take(alice, "stats");
  await alice.press("stats-toggle");
  await alice.by("chat-toggle").click();
  await bob.say("Are you still there?");
  await alice.page.locator("#unread:not([hidden])").waitFor();
  await take(alice, "chat-away");
  await alice.by("chat-toggle").click();
  await alice.by("report-open").click();
  await take(alice, "report");
  await alice.page.keyboard.press("Escape");
  await bob.by("cam").click();
  await alice.page.locator(".cover[data-portrait]").waitFor();
  await take(alice, "camera-off");
  await bob.by("mic").click();
  await alice.page.locator("#muted-badge:not([hidden])").waitFor();
  await take(alice, "both-off");
  await bob.by("cam").click();
  await alice.sees();
  alice.network.refuse(true);
  alice.network.cut();
  await alice.until("reconnecting");
  await take(alice, "reconnecting");
  alice.network.refuse(false);
  await alice.until("connected");
  await alice.stop();
  await alice.until("idle");
  await take(alice, "stopped");
}

await using stage = await setStage({ SKIP_COOLDOWN_MS: "0" });
await beforeACall(stage);
await stage.clear();
await inACall(stage);
await stage.clear();
console.log(folder);
