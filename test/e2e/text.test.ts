/** Text between two browsers that have no WebRTC, and voice: the page in modes other than video. */
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { setStage, type Guest, type Stage } from "./stage.ts";

setDefaultTimeout(60_000);

/** Deletes all of WebRTC and of media from a window. What a page still does with it fails. */
function withoutMedia(): void {
  const random = Math.random.bind(Math);
  Math.random = () => random() / 1e4;
  for (const name of Object.getOwnPropertyNames(globalThis))
    if (/^(webkit)?(RTC|Media)/.test(name)) Reflect.deleteProperty(globalThis, name);
  const refuse = (what: string) => () => {
    console.error(`the page calls ${what}`);
    return Promise.reject(new Error(what));
  };
  const methods = ["getUserMedia", "enumerateDevices", "getDisplayMedia"];
  const traps = methods.map((name) => [name, refuse(name)] as const);
  const value = Object.assign(new EventTarget(), Object.fromEntries(traps));
  Object.defineProperty(navigator, "mediaDevices", { value });
}

const chosen = (guest: Guest, mode: "Video" | "Voice" | "Text") =>
  guest.page.getByRole("radio", { name: mode }).check();

async function couple(stage: Stage, mode: "Voice" | "Text"): Promise<[Guest, Guest]> {
  const [alice, bob] = await Promise.all([stage.enter(), stage.enter()]);
  for (const guest of [alice, bob]) await chosen(guest, mode);
  await alice.start();
  await alice.until("waiting");
  await bob.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  return [alice, bob];
}

describe("text, in windows without WebRTC", () => {
  let stage: Stage;
  beforeAll(
    async () => void (stage = await setStage({ SKIP_COOLDOWN_MS: "0" }, { script: withoutMedia })),
  );
  afterEach(async () => expect(await stage.clear()).toEqual([]));
  afterAll(() => stage[Symbol.asyncDispose]());

  test("two talk, see each other type, and read HTML as text", async () => {
    const [alice, bob] = await couple(stage, "Text");
    await alice.by("chat-input").pressSequentially("Hel");
    await bob.by("typing").waitFor();
    const html =
      '<img src=x onerror="document.title = 1"> <b>Hello</b> \u202eolleH https://a.example';
    await alice.say(html);
    await bob.reads(html);
    expect(await bob.by("typing").isVisible()).toBe(false);
    const inside = await bob.by("chat-log").locator("img, b, a").count();
    expect(inside).toBe(0);
    await bob.say("Hello, Alice");
    await alice.reads("Hello, Alice");
    await alice.next();
    await Promise.all([alice.until("connected"), bob.until("connected")]);
    await alice.forgets("Hello, Alice");
  });

  test("what is said while the connection is cut arrives afterwards, once and in order", async () => {
    const [alice, bob] = await couple(stage, "Text");
    await alice.say("0");
    await bob.reads("0");
    for (let n = 1; n <= 3; n++) {
      alice.network.cut();
      await alice.say(`line ${2 * n - 1}`);
      bob.network.cut();
      await alice.say(`line ${2 * n}`);
      await bob.reads(`line ${2 * n}`);
    }
    const lines = await bob.log();
    const read = [...lines.matchAll(/line (\d)/g)].map(([, n]) => Number(n));
    expect(read).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await alice.by("chat-log").locator("[data-undelivered]").count()).toBe(0);
  });

  test("video still needs what is missing, and says so", async () => {
    const alice = await stage.enter();
    await alice.start();
    await alice.hears(/does not support WebRTC/);
    await chosen(alice, "Text");
    await alice.start();
    await alice.until("waiting");
    // The choice is remembered.
    await alice.page.reload();
    expect(await alice.page.getByRole("radio", { name: "Text" }).isChecked()).toBe(true);
  });

  const windows = [
    { name: "a phone", width: 375, height: 667 },
    { name: "a small phone", width: 320, height: 480 },
    { name: "a phone held sideways", width: 844, height: 390 },
    { name: "a desktop", width: 1280, height: 800 },
  ];

  test("no button is covered, and the field for the message is in view, in any window", async () => {
    const [{ page }] = await couple(stage, "Text");
    for (const { name, width, height } of windows) {
      await page.setViewportSize({ width, height });
      const covered = await page.evaluate(() =>
        [...document.querySelectorAll("button, #chat-input")]
          .filter((button) => button.checkVisibility({ visibilityProperty: true }))
          .filter((button) => {
            const { left, right, top, bottom } = button.getBoundingClientRect();
            const isHit = (x: number, y: number) =>
              button.contains(document.elementFromPoint(x, y));
            const middle = (top + bottom) / 2;
            return ![left + 8, (left + right) / 2, right - 8].every((x) => isHit(x, middle));
          })
          .map(({ id }) => id),
      );
      expect({ name, covered }).toEqual({ name, covered: [] });
      const stats = page.getByTestId("stats-toggle");
      expect(await stats.isVisible()).toBe(false);
    }
  });
});

describe("voice", () => {
  let stage: Stage;
  beforeAll(async () => void (stage = await setStage({ CHAT: "server" })));
  afterEach(async () => expect(await stage.clear()).toEqual([]));
  afterAll(() => stage[Symbol.asyncDispose]());

  test("two hear each other, without a camera; what is muted is told, also by the server", async () => {
    const [alice, bob] = await couple(stage, "Voice");
    for (const guest of [alice, bob]) {
      await guest.page.getByText("You can hear each other.").waitFor();
      const tracks = await guest.by("remote-video").evaluate((video) => {
        const stream = video instanceof HTMLVideoElement && video.srcObject;
        return stream instanceof MediaStream ? stream.getTracks().map(({ kind }) => kind) : [];
      });
      expect(tracks).toEqual(["audio"]);
    }
    await alice.by("mic").click();
    await bob.hears(/microphone is off/);
    await alice.by("mic").click();
    await bob.hears(/Say hello/);
    // By CHAT, words go through the server here.
    await bob.page.getByText("Messages go through this server.").waitFor();
    await alice.say("Hello");
    await bob.reads("Hello");
  });
});
