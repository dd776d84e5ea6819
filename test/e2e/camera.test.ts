import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { couple, setStage, somebody } from "./stage.ts";

setDefaultTimeout(60_000);

describe("a camera that is denied", () => {
  test("is named, and a drawn picture is a way on", async () => {
    await using stage = await setStage({}, { camera: "denied" });
    const alice = await stage.enter();
    await alice.start();
    const trouble = alice.by("camera-error");
    await trouble.waitFor();
    expect(await trouble.innerText()).toContain("The camera is blocked");
    expect(await alice.status()).toBe("The camera is blocked");
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
  test("says so by name", async () => {
    await using stage = await setStage({}, { camera: "none" });
    const alice = await stage.enter();
    await alice.start();
    await alice.by("camera-error").waitFor();
    expect(await alice.status()).toBe("No camera found");
    expect(await stage.clear()).toEqual([]);
  });

  test("shows the whole thing with drawn pictures and the second stranger's link", async () => {
    await using stage = await setStage({}, { camera: "none" });
    const alice = await stage.enter("/?fake=1");
    await alice.start();
    await alice.until("waiting");
    const opened = alice.page.context().waitForEvent("page");
    await alice.page.getByRole("link", { name: "Open a second stranger" }).click();
    const bob = somebody(await opened);
    expect(bob.page.url()).toContain("?fake=1");
    await bob.start();
    await Promise.all([alice.until("connected"), bob.until("connected")]);
    await Promise.all([alice.sees(), bob.sees()]);
    expect(await stage.clear()).toEqual([]);
  });
});

describe("a camera that is unplugged in a call", () => {
  test("is named while the call goes on, and trying again brings it back", async () => {
    await using stage = await setStage();
    const [alice, bob] = await couple(stage);
    await alice.by("local-video").evaluate((video) => {
      if (!(video instanceof HTMLVideoElement) || !(video.srcObject instanceof MediaStream)) return;
      for (const track of video.srcObject.getTracks()) track.dispatchEvent(new Event("ended"));
    });
    await alice.by("camera-error").waitFor();
    expect(await alice.by("camera-error").innerText()).toContain("The camera went away");
    expect(await alice.state()).toBe("connected");
    await alice.by("camera-retry").click();
    await alice.by("camera-error").waitFor({ state: "hidden" });
    expect(await alice.state()).toBe("connected");
    await bob.sees(10);
    expect(await stage.clear()).toEqual([]);
  });
});
