/** What browsers do to pages on their own account. */
import type { CDPSession } from "playwright-core";
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { setStage, type Somebody, type Stage } from "./stage.ts";

setDefaultTimeout(60_000);

/** Works the page past the driver, whose every look at a page counts as a press of the person's. */
async function devtoolsOf({ page }: Somebody) {
  const session: CDPSession = await page.context().newCDPSession(page);
  await session.send("Page.enable");
  const evaluate = async (expression: string): Promise<unknown> => {
    const { result } = await session.send("Runtime.evaluate", { expression, returnByValue: true });
    return result.value;
  };
  return {
    session,
    evaluate,
    /** Asks again and again until the answer is yes. */
    async until(expression: string, timeoutMs = 20_000): Promise<void> {
      const endsAt = performance.now() + timeoutMs;
      while ((await evaluate(expression)) !== true) {
        if (performance.now() > endsAt) throw new Error(`it never came to ${expression}`);
        await Bun.sleep(50);
      }
    },
  };
}

describe("the back-forward cache", () => {
  let stage: Stage;
  beforeEach(async () => {
    // The driver switches it off, because its own picture of a page gets lost in it.
    const without = ["--disable-back-forward-cache"];
    stage = await setStage({ SKIP_COOLDOWN_MS: "1000" }, { whole: true, camera: "none", without });
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  test("a page left in a call says goodbye, and coming back to it finds somebody again", async () => {
    const alice = await stage.enter();
    await alice.start();
    // Chromium keeps no page whose camera is on.
    await alice.by("camera-none").click();
    const bob = await stage.enter("/?fake=1");
    await bob.start();
    await Promise.all([alice.until("connected"), bob.until("connected")]);

    const { session, evaluate, until } = await devtoolsOf(alice);
    const cameBack = Promise.withResolvers<void>();
    session.on("Page.frameNavigated", ({ type }) => {
      if (type === "BackForwardCacheRestore") cameBack.resolve();
    });
    await evaluate("addEventListener('pageshow', (event) => (window.kept = event.persisted))");
    await evaluate("location.href = 'about:blank'");
    await bob.hears(/^The stranger left. Looking for someone else/);

    await evaluate("history.back()");
    await cameBack.promise;
    await until("window.kept === true");
    const status = "document.querySelector('[data-testid=status]').dataset.state";
    await Promise.all([until(`${status} === 'connected'`), bob.until("connected")]);
    const video = "document.querySelector('[data-testid=remote-video]')";
    await until(`${video}.getVideoPlaybackQuality().totalVideoFrames > 5`);
    expect(await stage.clear()).toEqual([]);
  });
});

describe("a browser that plays no sound without a press", () => {
  test("shows the picture, and offers to turn the sound on", async () => {
    await using stage = await setStage(
      {},
      { whole: true, args: ["--autoplay-policy=user-gesture-required"] },
    );
    const alice = await stage.enter();
    const { evaluate, until } = await devtoolsOf(alice);
    await evaluate("document.querySelector('[data-testid=start]').click()");
    const bob = await stage.enter();
    await bob.start();
    await bob.until("connected");

    const video = "document.querySelector('[data-testid=remote-video]')";
    await until("!document.querySelector('[data-testid=unmute]').hidden");
    expect(await evaluate("navigator.userActivation.hasBeenActive")).toBe(false);
    expect(await evaluate(`${video}.muted && !${video}.paused`)).toBe(true);
    await until(`${video}.getVideoPlaybackQuality().totalVideoFrames > 5`);

    await alice.by("unmute").click();
    await alice.by("unmute").waitFor({ state: "hidden" });
    expect(await evaluate(`${video}.muted || ${video}.paused`)).toBe(false);
    await alice.sees();
    expect(await stage.clear()).toEqual([]);
  });
});
