/** Facts, wants and lobbies on the page, in Chromium: its settings show what the operator has declared. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FactsDeclaration } from "../../src/protocol/declaration.ts";
import { until } from "../support/until.ts";
import { setStage, type Somebody, type Stage } from "./stage.ts";

setDefaultTimeout(60_000);

const declared: FactsDeclaration = {
  region: { kind: "one", of: ["europe", "asia"], shown: true },
  topics: { kind: "set", of: ["art", "<b>jazz</b>"], shown: true },
  age: { kind: "range", from: 18, to: 99 },
  smoker: { kind: "flag", shown: true },
  verified: { kind: "flag", by: "claims", hard: false },
};

let stage: Stage;
beforeAll(async () => void (stage = (await setDeclaredStage(declared)).stage));
afterEach(async () => expect(await stage.clear()).toEqual([]));
afterAll(() => stage[Symbol.asyncDispose]());

/** A stage whose operator declares these facts, and others after a restart. */
async function setDeclaredStage(facts: FactsDeclaration) {
  const file = join(await mkdtemp(join(tmpdir(), "peer-stream-facts-")), "facts.json");
  const declare = (facts: FactsDeclaration) => Bun.write(file, JSON.stringify(facts));
  await declare(facts);
  // Two who want nothing particular of each other are paired at once.
  const env = { FACTS_FILE: file, LOBBIES: "jazz", RELAX_AFTER_MS: "0" };
  const stage = await setStage(env);
  const redeclare = async (facts: FactsDeclaration) => {
    await stage.stopServer();
    await declare(facts);
    await stage.startServer();
  };
  return { stage, redeclare };
}

/** The settings of somebody, open. */
async function settingsOf(one: Somebody, open = () => one.by("settings-open").click()) {
  await open();
  const facts = one.by("facts");
  const wants = one.by("wants");
  // They are there once the server has said what it declares.
  await wants.waitFor();
  const group = (name: string) => wants.getByRole("group", { name, exact: true });
  return {
    facts,
    wants,
    want: group,
    only: (name: string) => group(name).getByRole("switch", { name: "Only such strangers" }),
    close: () => one.by("settings-close").click(),
    isOpen: () => one.by("settings").isVisible(),
  };
}

/** States a region, and wants only strangers of one. */
async function settle(one: Somebody, region: string, only: string): Promise<void> {
  const { facts, want, only: insist, close } = await settingsOf(one);
  await facts.getByLabel("Region").selectOption({ label: region });
  for (const other of ["Europe", "Asia"])
    await want("Region")
      .getByLabel(other)
      .setChecked(other === only);
  await insist("Region").check();
  await close();
}

/** Waits until the page has stored the choices: the browser reports the end of a dialog a moment after it is gone. */
const isRemembered = ({ page }: Somebody) =>
  page.waitForFunction(() => localStorage.getItem("peer-stream.choices") !== null);

/** Presses Start, and waits until the server has put this one into an empty lobby. */
async function startFirst(one: Somebody): Promise<void> {
  await one.start();
  await one.page.getByText("You are the first one here.").waitFor();
}

/** Waits for somebody in the lobby to be told that another one is there, whom the server did not choose. */
const isPassedOver = ({ page }: Somebody) =>
  page.getByText("One other person was waiting when you joined").waitFor();

test("two whose hard wants exclude each other wait, until one of them has other settings", async () => {
  const [alice, bob] = await Promise.all([stage.enter(), stage.enter()]);
  await settle(alice, "Europe", "Asia");
  await settle(bob, "Europe", "Asia");
  await startFirst(alice);
  await bob.start();
  await isPassedOver(bob);
  expect(await bob.by("cover").innerText()).toContain("only certain strangers (Region).");
  expect([await alice.state(), await bob.state()]).toEqual(["waiting", "waiting"]);
  await settle(bob, "Asia", "Europe");
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await Promise.all([alice.sees(), bob.sees()]);
  expect(await alice.by("partner-facts").innerText()).toBe("Region: Asia");
  await alice.reads("About the stranger: Region: Asia.");
  expect(await bob.by("partner-facts").innerText()).toBe("Region: Europe");
});

test("both sides count: one whom the other excludes waits, too", async () => {
  const [alice, bob] = await Promise.all([stage.enter(), stage.enter()]);
  await settle(alice, "Europe", "Asia");
  await settle(bob, "Asia", "Asia");
  await startFirst(bob);
  await alice.start();
  await isPassedOver(alice);
  await settle(bob, "Asia", "Europe");
  await Promise.all([alice.until("connected"), bob.until("connected")]);
});

test("what is chosen while the browser asks for the camera counts from the first search on", async () => {
  const [alice, bob] = await Promise.all([stage.enter(), stage.enter()]);
  const { facts, close } = await settingsOf(bob);
  await facts.getByLabel("Region").selectOption("europe");
  await close();
  await isRemembered(bob);
  await startFirst(bob);
  const allow = await alice.page.evaluateHandle(() => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const devices = navigator.mediaDevices;
    const open = devices.getUserMedia.bind(devices);
    devices.getUserMedia = (constraints) => promise.then(() => open(constraints));
    return { resolve };
  });
  await alice.start();
  await alice.hears(/^Waiting for your camera/);
  await settle(alice, "Europe", "Asia");
  await isRemembered(alice);
  await allow.evaluate(({ resolve }) => resolve());
  await isPassedOver(alice);
  expect([await alice.state(), await bob.state()]).toEqual(["waiting", "waiting"]);
});

test("all kinds of facts are stated, and shown to the stranger as text if the operator shows them", async () => {
  const [alice, bob] = await Promise.all([stage.enter(), stage.enter()]);
  const his = await settingsOf(bob);
  await his.facts.getByLabel("Art").check();
  await his.facts.getByLabel("<b>jazz</b>").check();
  await his.facts.getByLabel("Age").fill("31");
  await his.facts.getByRole("group", { name: "Smoker" }).getByLabel("No", { exact: true }).check();
  await his.close();
  const hers = await settingsOf(alice);
  await hers.want("Age").getByLabel("From").fill("31");
  await hers.want("Age").getByLabel("To").fill("40");
  await hers.want("Smoker").getByLabel("No", { exact: true }).check();
  await hers.want("Topics").getByLabel("Art").check();
  for (const name of ["Age", "Smoker", "Topics"]) await hers.only(name).check();
  await hers.close();
  await alice.start();
  await bob.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  const shown = await alice.by("partner-facts").locator("li").allInnerTexts();
  expect(shown).toEqual(["Topics: Art, <b>jazz</b>", "Smoker: no"]);
  expect(await bob.by("partner-facts").isVisible()).toBe(false);
});

test("only those of one lobby meet, and who changes it meets the others", async () => {
  const [alice, bob, carol] = [await stage.enter(), await stage.enter(), await stage.enter()];
  const choose = async (one: Somebody, lobby: string) => {
    const { close } = await settingsOf(one);
    await one.by("lobby-choice").selectOption({ label: lobby });
    await close();
  };
  await choose(alice, "Jazz");
  await startFirst(alice);
  await startFirst(bob);
  await choose(carol, "Jazz");
  await carol.start();
  await Promise.all([alice.until("connected"), carol.until("connected")]);
  expect(await bob.state()).toBe("waiting");
  await choose(carol, "Main");
  await carol.next();
  await Promise.all([bob.until("connected"), carol.until("connected")]);
});

test("the settings are remembered, and what is invalid is kept out of them", async () => {
  const alice = await stage.enter();
  const first = await settingsOf(alice);
  const [from, to] = [first.want("Age").getByLabel("From"), first.want("Age").getByLabel("To")];
  expect(await first.only("Age").isVisible()).toBe(false);
  await from.fill("25");
  await to.fill("40");
  await first.only("Age").check();
  await alice.by("lobby-choice").selectOption({ label: "Jazz" });
  await first.close();
  await isRemembered(alice);
  await alice.page.reload();
  const second = await settingsOf(alice);
  expect([await from.inputValue(), await to.inputValue()]).toEqual(["25", "40"]);
  expect(await second.only("Age").isChecked()).toBe(true);
  expect(await alice.by("lobby-choice").inputValue()).toBe("jazz");
  for (const [field, value] of [
    [to, "24"],
    [to, "100"],
    [second.facts.getByLabel("Age"), "17"],
  ] as const) {
    await field.fill(value);
    await second.close();
    // The browser says what is wrong, beside the field.
    expect(await second.isOpen()).toBe(true);
    await alice.page.keyboard.press("Escape");
    const numbers = alice.by("settings").locator("input[type=number]");
    await until("all is as before", async () => {
      const values = await numbers.evaluateAll((all) =>
        all.map((one) => "value" in one && one.value),
      );
      return values.join() === ",25,40";
    });
    await settingsOf(alice);
  }
  // A want that only claims can meet, and that can't be hard here.
  await second.want("Verified").getByLabel("Yes").check();
  expect(await second.only("Verified").count()).toBe(0);
  expect(await second.facts.getByText("Verified").count()).toBe(0);
});

test("the keyboard is enough", async () => {
  const alice = await stage.enter();
  const { page } = alice;
  await alice.by("settings-open").focus();
  const { want, only, facts } = await settingsOf(alice, () => page.keyboard.press("Enter"));
  await facts.getByLabel("Region").focus();
  await page.keyboard.press("e");
  await want("Region").getByLabel("Asia").focus();
  await page.keyboard.press("Space");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Space");
  await want("Smoker").getByLabel("Any").focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Escape");
  await isRemembered(alice);
  await page.reload();
  await settingsOf(alice);
  expect(await facts.getByLabel("Region").inputValue()).toBe("europe");
  expect(await want("Region").getByLabel("Asia").isChecked()).toBe(true);
  expect(await only("Region").isChecked()).toBe(true);
  expect(await want("Smoker").getByLabel("Yes").isChecked()).toBe(true);
});

test("what is declared no longer is refused in words, and gone once the settings are opened or the page is loaded", async () => {
  const own = await setDeclaredStage(declared);
  await using stage = own.stage;
  const [alice, bob] = await Promise.all([stage.enter(), stage.enter()]);
  await settle(alice, "Europe", "Asia");
  await settle(bob, "Asia", "Europe");
  await startFirst(alice);
  const { region: _, ...others } = declared;
  await own.redeclare(others);
  await alice.hears(/^The server does not accept what you say about yourself: Region\./);
  const { facts, want } = await settingsOf(alice);
  await want("Region").waitFor({ state: "detached" });
  expect(await facts.getByLabel("Region").count()).toBe(0);
  await alice.by("settings-close").click();
  await bob.page.reload();
  await alice.start();
  await bob.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await own.redeclare({});
  const carol = await stage.enter();
  await carol.by("settings-open").click();
  await carol.by("lobby-choice").waitFor();
  const shown = [await carol.by("facts").isVisible(), await carol.by("wants").isVisible()];
  expect(shown).toEqual([false, false]);
  // While the server restarts a page may reach it over HTTP, where the browser itself writes down each refusal.
  const byBrowser = /with a status of (400|503)/;
  expect((await stage.clear()).filter((line) => !byBrowser.test(line))).toEqual([]);
});
