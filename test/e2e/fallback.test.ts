/** Networks that cut WebSockets: the page falls back to HTTP by itself, and goes back when they let them through. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { WebSocketTreatment } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { setStage, type Guest, type Stage } from "./stage.ts";

setDefaultTimeout(90_000);

let stage: Stage;
beforeAll(async () => void (stage = await setStage({ SKIP_COOLDOWN_MS: "1000" })));
afterEach(async () => expect(await stage.clear()).toEqual([]));
afterAll(() => stage[Symbol.asyncDispose]());

const connected = /^You are connected/;

/** Two people in a call, on networks that treat WebSockets like this. Their events arrive over HTTP. */
async function coupleBehind(treatment: WebSocketTreatment): Promise<[Guest, Guest]> {
  const enter = () => stage.enter("/", {}, treatment);
  const guests = await Promise.all([enter(), enter()]);
  const streams = guests.map(({ page }) =>
    page.waitForRequest(/\/trpc\/events\b/, { timeout: 30_000 }),
  );
  const [alice, bob] = guests;
  await Promise.all([alice.start(), bob.start()]);
  await Promise.all(streams);
  await Promise.all(guests.map((guest) => guest.hears(connected)));
  return guests;
}

async function talk(alice: Guest, bob: Guest, word: string): Promise<void> {
  await alice.say(`${word} from Alice`);
  await bob.reads(`${word} from Alice`);
  await bob.say(`${word} from Bob`);
  await alice.reads(`${word} from Bob`);
}

test.each<[string, WebSocketTreatment]>([
  ["answers upgrades with 400", "refuse"],
  ["lets upgrades hang", "hang"],
  ["cuts WebSockets after 2 s", "cut"],
])("two people call each other, each behind a proxy that %s", async (_what, treatment) => {
  const [alice, bob] = await coupleBehind(treatment);
  expect([alice.network.webSockets, bob.network.webSockets]).toEqual([0, 0]);
  await Promise.all([alice.sees(20), bob.sees(20)]);
  await talk(alice, bob, "hello");
  // Next is a mutation and Bob is told by an event: both ways work, and the two meet again after the cooldown.
  await alice.next();
  await bob.hears(/^The stranger moved on/);
  await Promise.all([alice.hears(connected), bob.hears(connected)]);
  expect([alice.network.webSockets, bob.network.webSockets]).toEqual([0, 0]);
});

test("one behind such a proxy calls one who is not", async () => {
  const alice = await stage.enter("/", {}, "refuse");
  const bob = await stage.enter();
  await Promise.all([alice.start(), bob.start()]);
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  expect([alice.network.webSockets, bob.network.webSockets]).toEqual([0, 1]);
  await Promise.all([alice.sees(20), bob.sees(20)]);
  // A dropped connection of HTTP ends in the same call as well.
  await talk(alice, bob, "before");
  alice.network.cut();
  await bob.hears(/^The stranger's connection dropped/);
  await Promise.all([alice.hears(connected), bob.hears(connected)]);
  await talk(alice, bob, "after");
  expect(await bob.log()).toContain("before from Alice");
});

test("when WebSockets pass again the page goes back to them, in the same call and unnoticed", async () => {
  const [alice, bob] = await coupleBehind("refuse");
  await talk(alice, bob, "over HTTP");
  const diaries = await Promise.all([alice.diary(), bob.diary()]);
  // The stream over HTTP ends once the events arrive over the socket.
  let ended = 0;
  for (const { page } of [alice, bob])
    page.on("requestfailed", (request) => {
      if (/\/trpc\/events\b/.test(request.url())) ended += 1;
    });
  for (const { network } of [alice, bob]) network.treatWebSockets("pass");
  await until("both have ended their streams over HTTP", () => ended === 2, 60_000);
  expect([alice.network.webSockets, bob.network.webSockets]).toEqual([1, 1]);
  await Promise.all([alice.sees(20), bob.sees(20)]);
  await talk(alice, bob, "over a socket");
  for (const diary of diaries) expect(await diary()).toEqual([]);
  expect(await alice.log()).toContain("over HTTP from Bob");
  await alice.next();
  await bob.hears(/^The stranger moved on/);
});
