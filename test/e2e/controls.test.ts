/** The page's own controls: its language, the look at oneself before the first start, the picture, the chat, and the swipe. */
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { until } from "../support/until.ts";
import { couple, setStage, type Stage } from "./stage.ts";

setDefaultTimeout(60_000);

let stage: Stage;
beforeAll(async () => void (stage = await setStage({ SKIP_COOLDOWN_MS: "0" })));
afterEach(async () => expect(await stage.clear()).toEqual([]));
afterAll(() => stage[Symbol.asyncDispose]());

describe("the language", () => {
  test("is that of the browser; another one is chosen in the settings, at once and for later visits", async () => {
    const alice = await stage.enter("/", { locale: "de-AT" });
    await alice.hears(/^Bereit, wenn du es bist\.$/);
    expect(await alice.page.locator("html").getAttribute("lang")).toBe("de");
    await alice.by("settings-open").click();
    await alice.by("language-choice").selectOption({ label: "日本語" });
    await alice.page.getByRole("heading", { name: "設定" }).waitFor();
    await alice.by("settings-close").click();
    await alice.page.reload();
    await alice.hears(/^準備ができたら始めましょう。$/);
    expect(await alice.page.locator("html").getAttribute("lang")).toBe("ja");
    expect(await alice.by("start").innerText()).toBe("スタート");
  });

  test("may change in a call, which goes on", async () => {
    const [alice] = await couple(stage);
    await alice.by("settings-open").click();
    await alice.by("language-choice").selectOption({ label: "Español" });
    await alice.hears(/^Ya estáis conectados/);
    await alice.by("settings-close").click();
    expect(await alice.by("next").innerText()).toStartWith("Siguiente");
    expect(await alice.state()).toBe("connected");
  });

  test("is English where the page has none of the browser's", async () => {
    const alice = await stage.enter("/", { locale: "fr-FR" });
    await alice.hears(/^Ready when you are\.$/);
  });
});

test("before the first start one can look at and listen to oneself, and nobody is looked for", async () => {
  const alice = await stage.enter();
  await alice.by("preview").click();
  await alice.sees(5, "local-video");
  const level = async () => Number(await alice.by("level").getAttribute("aria-valuenow"));
  // The fake microphone beeps once a second.
  await until("the meter shows a sound", async () => (await level()) > 0);
  expect(await alice.state()).toBe("idle");
  expect(await alice.by("preview").isVisible()).toBe(false);
  await alice.start();
  await alice.until("waiting");
  expect(await alice.by("level").isVisible()).toBe(false);
});

test("the partner's picture fits or fills its frame, as was last chosen by button or by two presses on it", async () => {
  const [alice, bob] = await couple(stage);
  await alice.sees();
  const view = () => alice.page.locator("#stage").getAttribute("data-view");
  const shows = (wanted: string) =>
    until(`the picture is shown as ${wanted}`, async () => (await view()) === wanted);
  await alice.page.setViewportSize({ width: 390, height: 844 });
  await shows("fit");
  expect(await alice.page.locator("#backdrop").isVisible()).toBe(true);
  await alice.press("fill");
  await shows("fill");
  await alice.page.mouse.dblclick(60, 400);
  await shows("fit");
  await alice.page.reload();
  await alice.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await alice.sees();
  await shows("fit");
});

test("the volume is that of the partner's sound, and remembered", async () => {
  const [alice] = await couple(stage);
  await alice.by("more").click();
  await alice.by("volume").fill("30");
  const volume = () =>
    alice.by("remote-video").evaluate((video) => (video as HTMLVideoElement).volume);
  expect(await volume()).toBeCloseTo(0.3);
  await alice.page.reload();
  expect(await volume()).toBeCloseTo(0.3);
});

test("a chat that is put away says what is missed, and comes back with all of it", async () => {
  const [alice, bob] = await couple(stage);
  await alice.by("chat-toggle").click();
  expect(await alice.by("chat").isVisible()).toBe(false);
  await bob.say("Are you there?");
  await alice.page.getByRole("button", { name: "Chat, 1 new message" }).click();
  expect(await alice.by("chat").isVisible()).toBe(true);
  await alice.reads("Are you there?");
  expect(await alice.by("chat-toggle").getAttribute("aria-label")).toBe("Chat");
});

test("how long the call lasts is counted from its beginning", async () => {
  const [alice] = await couple(stage);
  await until("the clock goes", async () => /^0:0[1-9]$/.test(await alice.by("timer").innerText()));
});

test("after Stop the chat can be read and not be written to", async () => {
  const [alice, bob] = await couple(stage);
  await alice.page.setViewportSize({ width: 1280, height: 800 });
  await bob.say("Goodbye!");
  await alice.reads("Goodbye!");
  await alice.stop();
  expect(await alice.log()).toContain("Goodbye!");
  expect(await alice.by("chat-input").isDisabled()).toBe(true);
  expect(await alice.by("chat-input").getAttribute("placeholder")).toBe(
    "Opens with the next stranger",
  );
});

test("a swipe to the left is Next; one that is short, upwards or on a control is not", async () => {
  const [alice, bob] = await couple(stage);
  const devtools = await alice.page.context().newCDPSession(alice.page);
  const swipe = async (from: [number, number], to: [number, number]) => {
    const points = ([x, y]: [number, number]) => [{ x, y }];
    const touch = (type: "touchStart" | "touchMove" | "touchEnd", at?: [number, number]) =>
      devtools.send("Input.dispatchTouchEvent", { type, touchPoints: at ? points(at) : [] });
    await touch("touchStart", from);
    await touch("touchMove", to);
    await touch("touchEnd");
  };
  const roomOfBob = await bob.diary();
  await swipe([200, 120], [150, 120]);
  await swipe([200, 150], [190, 60]);
  await swipe([60, 120], [300, 120]);
  expect(await alice.state()).toBe("connected");
  await swipe([300, 120], [60, 125]);
  await until("Bob is told", async () => (await roomOfBob()).includes("waiting"));
});

test("nobody is greeted by how few are online", async () => {
  const alice = await stage.enter();
  await alice.start();
  await alice.until("waiting");
  expect(await alice.by("online").isVisible()).toBe(false);
  await stage.enter().then((bob) => bob.start());
  await alice.until("connected");
  await until("the count is shown", () => alice.by("online").isVisible());
});

describe("what is sent", () => {
  test("is the screen while that is shared, and then the camera again", async () => {
    const [alice, bob] = await couple(stage);
    await bob.sees();
    const sent = () =>
      bob.by("remote-video").evaluate((video) => (video as HTMLVideoElement).videoWidth);
    const width = await sent();
    await alice.press("share");
    await until(
      "the screen is shared",
      async () => (await alice.by("share").getAttribute("aria-pressed")) === "true",
    );
    await until("Bob sees the screen", async () => (await sent()) !== width);
    await alice.press("share");
    await until("Bob sees the camera again", async () => (await sent()) === width);
    expect(await alice.by("share").getAttribute("aria-pressed")).toBe("false");
  });

  test("is the screen until that is stopped, whatever becomes of the camera and of the wishes meanwhile", async () => {
    const [alice, bob] = await couple(stage);
    await bob.sees();
    const sent = () =>
      bob.by("remote-video").evaluate((video) => (video as HTMLVideoElement).videoWidth);
    const width = await sent();
    await alice.press("share");
    await until("Bob sees the screen", async () => (await sent()) !== width);
    const isShared = async () => (await alice.by("share").getAttribute("aria-pressed")) === "true";
    const isCameraOn = () =>
      alice.by("local-video").evaluate((video) => {
        const { srcObject } = video as HTMLVideoElement;
        return srcObject instanceof MediaStream && srcObject.getVideoTracks().length > 0;
      });
    await alice.by("cam").click();
    await until("the camera is off", async () => !(await isCameraOn()));
    expect(await isShared()).toBe(true);
    await alice.by("cam").click();
    await until("the camera is on", isCameraOn);
    expect(await isShared()).toBe(true);
    // Other wishes are those of the next search.
    await alice.by("settings-open").click();
    await alice.by("relay-only").click();
    await alice.by("settings-close").click();
    await alice.sees(5, "local-video");
    expect(await isShared()).toBe(true);
    expect(await sent()).not.toBe(width);
    await alice.press("share");
    await until("Bob sees the camera again", async () => (await sent()) === width);
  });

  test("is the next camera after a press, where there is more than one", async () => {
    await using several = await setStage({}, { camera: "several", whole: true });
    const alice = await several.enter();
    await alice.by("preview").click();
    await alice.sees(5, "local-video");
    const camera = () =>
      alice
        .by("local-video")
        .evaluate(
          (video) =>
            ((video as HTMLVideoElement).srcObject as MediaStream).getVideoTracks()[0]?.label,
        );
    const first = await camera();
    await alice.by("flip").click();
    await until("another camera is shown", async () => (await camera()) !== first);
    expect(await several.clear()).toEqual([]);
  });

  test("has no button for another camera where there is one", async () => {
    const alice = await stage.enter();
    await alice.by("preview").click();
    await alice.sees(5, "local-video");
    expect(await alice.by("flip").isVisible()).toBe(false);
  });
});

test("the page fills the screen after a press, until the next one or the browser's own way out", async () => {
  await using whole = await setStage({}, { whole: true });
  const [alice] = await couple(whole);
  const isFull = () => alice.page.evaluate(() => document.fullscreenElement !== null);
  const pressed = () => alice.by("fullscreen").getAttribute("aria-pressed");
  expect(await pressed()).toBe("false");
  await alice.press("fullscreen");
  await until("the screen is filled", isFull);
  await until("the button says so", async () => (await pressed()) === "true");
  await alice.press("fullscreen");
  await until("the screen is left", async () => !(await isFull()));
  await until("the button says so", async () => (await pressed()) === "false");
  await alice.press("fullscreen");
  await until("the screen is filled again", isFull);
  await alice.page.evaluate(() => document.exitFullscreen());
  await until("the button knows of it", async () => (await pressed()) === "false");
  expect(await alice.state()).toBe("connected");
  expect(await whole.clear()).toEqual([]);
});

test("the speaker that is chosen in the settings plays the partner, now and at the next visit", async () => {
  await using whole = await setStage({}, { whole: true, script: hidingSpeakers });
  const [alice] = await couple(whole);
  const sink = () =>
    alice.by("remote-video").evaluate((video) => (video as HTMLVideoElement).sinkId);
  expect(await sink()).toBe("");
  await alice.by("settings-open").click();
  const choice = alice.by("speaker-choice");
  await choice.waitFor();
  const last = await choice.locator("option").last().getAttribute("value");
  expect(last).toBeTruthy();
  await choice.selectOption(last);
  await until("it plays there", async () => (await sink()) === last);
  await alice.by("settings-close").click();
  expect(await alice.state()).toBe("connected");
  await alice.page.reload();
  await alice.start();
  await alice.until("connected");
  await until("it plays there again", async () => (await sink()) === last);
  await alice.by("settings-open").click();
  expect(await choice.inputValue()).toBe(last as string);
  expect(await whole.clear()).toEqual([]);
});

test("the line over the picture says when the connection is not good, and nothing once it is", async () => {
  await using slow = await setStage({ SKIP_COOLDOWN_MS: "0" }, { script: withRoundTrip });
  const [alice] = await couple(slow);
  const quality = alice.by("quality");
  expect(await quality.isVisible()).toBe(false);
  const takes = (seconds: number) =>
    alice.page.evaluate((s) => void Object.assign(window, { roundTripS: s }), seconds);
  await takes(0.3);
  await until(
    "it is fair",
    async () => (await quality.getAttribute("data-quality")) === "fair",
    20_000,
  );
  const fair = await quality.innerText();
  await takes(0.8);
  await until(
    "it is poor",
    async () => (await quality.getAttribute("data-quality")) === "poor",
    20_000,
  );
  expect(fair).not.toBe("");
  expect(await quality.innerText()).not.toBe(fair);
  await takes(0);
  await until("nothing is said", async () => !(await quality.isVisible()), 20_000);
  expect(await slow.clear()).toEqual([]);
});

/** As in browsers that have not been allowed a microphone for good: before one is open there is no speaker but the system's. */
function hidingSpeakers(): void {
  const { mediaDevices } = navigator;
  if (!mediaDevices) return;
  let isHeard = false;
  const { setSinkId } = HTMLMediaElement.prototype;
  HTMLMediaElement.prototype.setSinkId = async function (this: HTMLMediaElement, id: string) {
    if (id !== "" && !isHeard) throw new DOMException("there is none", "NotFoundError");
    return setSinkId.call(this, id);
  };
  const getUserMedia = mediaDevices.getUserMedia.bind(mediaDevices);
  mediaDevices.getUserMedia = async (constraints) => {
    const stream = await getUserMedia(constraints);
    isHeard = true;
    return stream;
  };
}

/** The statistics tell of the round trip that the page has in `roundTripS`, and of nothing else that counts for the quality. */
function withRoundTrip(): void {
  const { getStats } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.getStats = async function (this: RTCPeerConnection) {
    const report = await getStats.call(this);
    const currentRoundTripTime = Reflect.get(window, "roundTripS") ?? 0;
    const entries = [...report].flatMap(([id, entry]): [string, unknown][] => {
      if (entry.type === "candidate-pair") return [[id, { ...entry, currentRoundTripTime }]];
      return entry.type === "transport" ? [[id, entry]] : [];
    });
    return new Map(entries) as unknown as RTCStatsReport;
  };
}
