import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { couple, setStage, somebody, type Guest, type Stage } from "./stage.ts";

setDefaultTimeout(60_000);

describe("a camera that is denied", () => {
  test("is named, and an animated avatar can replace it", async () => {
    await using stage = await setStage({}, { whole: true, camera: "denied" });
    const alice = await stage.enter();
    await alice.start();
    const trouble = alice.by("camera-error");
    await trouble.waitFor();
    expect(await trouble.innerText()).toContain("Camera access is blocked");
    expect(await alice.status()).toBe("Camera access is blocked");
    expect(await alice.state()).toBe("idle");

    await alice.by("camera-retry").click();
    expect(await trouble.isVisible()).toBe(true);

    await alice.by("camera-synthetic").click();
    await alice.until("waiting");
    await alice.sees(5, "local-video");

    const bob = await stage.enter();
    await bob.start();
    await bob.by("camera-none").click();
    await Promise.all([alice.until("connected"), bob.until("connected")]);
    await bob.sees();
    await bob.say("I only watch");
    await alice.reads("I only watch");
    expect(await stage.clear()).toEqual([]);
  });
});

describe("a machine without a camera", () => {
  let stage: Stage;
  beforeAll(async () => void (stage = await setStage({}, { camera: "none" })));
  afterEach(async () => expect(await stage.clear()).toEqual([]));
  afterAll(() => stage[Symbol.asyncDispose]());

  test("says so by name", async () => {
    const alice = await stage.enter();
    await alice.start();
    await alice.by("camera-error").waitFor();
    expect(await alice.status()).toBe("No camera found");
  });

  test("makes a call with animated avatars, by the second stranger's link", async () => {
    const alice = await stage.enter("/?fake=1");
    await alice.start();
    await alice.until("waiting");
    const opened = alice.page.context().waitForEvent("page");
    await alice.page.getByRole("link", { name: "Open a second stranger" }).click();
    const bob = somebody(await opened, "Bob");
    expect(bob.page.url()).toContain("?fake=1");
    await bob.start();
    await Promise.all([alice.until("connected"), bob.until("connected")]);
    await Promise.all([alice.sees(), bob.sees()]);
  });
});

/** As when the devices are pulled out: their tracks end. */
const unplug = ({ by }: Guest) =>
  by("local-video").evaluate((video) => {
    if (!(video instanceof HTMLVideoElement) || !(video.srcObject instanceof MediaStream)) return;
    for (const track of video.srcObject.getTracks()) {
      track.stop();
      track.dispatchEvent(new Event("ended"));
    }
  });

describe("a camera that is unplugged in a call", () => {
  let stage: Stage;
  beforeAll(async () => void (stage = await setStage()));
  afterEach(async () => expect(await stage.clear()).toEqual([]));
  afterAll(() => stage[Symbol.asyncDispose]());

  test("is replaced by another one without a word", async () => {
    const [alice, bob] = await couple(stage);
    await unplug(alice);
    await Promise.all([alice.sees(10, "local-video"), bob.sees(20)]);
    expect(await alice.by("camera-error").isVisible()).toBe(false);
  });

  test("and was the only one is named while the call goes on, and trying again brings it back", async () => {
    const [alice, bob] = await couple(stage);
    await alice.page.evaluate(() => {
      const real = navigator.mediaDevices.getUserMedia;
      navigator.mediaDevices.getUserMedia = async () => {
        navigator.mediaDevices.getUserMedia = real;
        throw new DOMException("none is left", "NotFoundError");
      };
    });
    await alice.by("local-video").evaluate((video) => {
      if (!(video instanceof HTMLVideoElement) || !(video.srcObject instanceof MediaStream)) return;
      const [track] = video.srcObject.getVideoTracks();
      track?.stop();
      track?.dispatchEvent(new Event("ended"));
    });
    await alice.by("camera-error").waitFor();
    expect(await alice.by("camera-error").innerText()).toContain("The camera was disconnected");
    expect(await alice.state()).toBe("connected");
    await alice.by("camera-retry").click();
    await alice.by("camera-error").waitFor({ state: "hidden" });
    expect(await alice.state()).toBe("connected");
    await bob.sees(10);
  });
});

describe("another camera", () => {
  test("is chosen in the middle of a call, and the choice is remembered", async () => {
    // Chromium's second fake camera is one for depth, which nothing encodes.
    await using stage = await setStage({}, { whole: true, camera: "several" });
    const [alice, bob] = await couple(stage);
    const usedBy = ({ by }: Guest) =>
      by("local-video").evaluate((video) => {
        const { srcObject } = video as HTMLVideoElement;
        return (srcObject as MediaStream).getVideoTracks()[0]?.label;
      });
    const first = await usedBy(alice);
    await alice.by("settings-open").click();
    const menu = alice.by("camera-choice");
    await menu.locator("option").nth(2).waitFor({ state: "attached" });
    const labels = await menu.locator("option").allInnerTexts();
    const second = labels.findLast((label) => label !== first) ?? "";
    await menu.selectOption(second);
    await alice.by("settings-close").click();
    await bob.sees(20);
    expect(await usedBy(alice)).toBe(second);
    expect(await alice.state()).toBe("connected");

    await alice.page.reload();
    await alice.start();
    await alice.until("connected");
    expect(await usedBy(alice)).toBe(second);
    expect(await stage.clear()).toEqual([]);
  });
});
