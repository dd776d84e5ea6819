import type { Page } from "playwright-core";
import { launchBrowser, type Camera } from "../support/browser.ts";
import { startServer } from "../support/server-process.ts";

export type State = "idle" | "waiting" | "connecting" | "connected" | "reconnecting";

/** A real server and a real browser; a test file has one of its own. */
export interface Stage extends AsyncDisposable {
  readonly origin: string;
  /** Opens the page as somebody new: with a window and a storage of its own. */
  enter(path?: string): Promise<Somebody>;
  /** Closes every page, and waits until the server has noticed. Returns what went wrong in them. */
  clear(): Promise<string[]>;
}

/** Sets the stage. Environment variables in `env` reach the server. */
export async function setStage(env: Record<string, string> = {}, camera?: Camera): Promise<Stage> {
  await using setUp = new AsyncDisposableStack();
  const server = setUp.use(await startServer({ SESSION_SECRET: "a".repeat(64), ...env }));
  const browser = setUp.use(await launchBrowser(camera));
  const owned = setUp.move();
  let told = 0;
  return {
    origin: server.origin,
    async enter(path = "/") {
      return somebody(await browser.open(server.origin + path));
    },
    async clear() {
      await Promise.all(browser.browser.contexts().map((context) => context.close()));
      const complaints = browser.complaints.slice(told);
      told = browser.complaints.length;
      return complaints;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A person in front of a page. */
export type Somebody = ReturnType<typeof somebody>;

/** Puts a person in front of `page`. */
export function somebody(page: Page) {
  const by = (id: string) => page.getByTestId(id);
  return {
    page,
    by,
    start: () => by("start").click(),
    next: () => by("next").click(),
    stop: () => by("stop").click(),
    /** Waits until the status line shows one of these states. */
    async until(states: State | State[], timeout = 20_000): Promise<void> {
      const any = [states].flat().map((state) => `[data-testid=status][data-state=${state}]`);
      await page.locator(any.join(",")).waitFor({ timeout });
    },
    state: async () => (await by("status").getAttribute("data-state")) as State,
    status: () => by("status").innerText(),
    /** Waits for the status line to say so. */
    async hears(words: RegExp, timeout = 20_000): Promise<void> {
      await by("status").filter({ hasText: words }).waitFor({ timeout });
    },
    async say(text: string): Promise<void> {
      await by("chat-input").fill(text);
      await by("chat-send").click();
    },
    /** Waits for the chat log to hold this text. */
    async reads(text: string): Promise<void> {
      await by("chat-log").getByText(text).waitFor({ timeout: 10_000 });
    },
    /** Waits for the chat log to hold this text no longer. */
    async forgets(text: string): Promise<void> {
      await by("chat-log").getByText(text).waitFor({ state: "detached", timeout: 20_000 });
    },
    log: () => by("chat-log").innerText(),
    /** Waits until the video has shown `count` more frames than now. */
    async sees(count = 5, id = "remote-video"): Promise<void> {
      const frames = (video: Element | null) =>
        video instanceof HTMLVideoElement ? video.getVideoPlaybackQuality().totalVideoFrames : 0;
      const before = await by(id).evaluate(frames);
      await page.waitForFunction(
        ([selector, least]) => {
          const video = document.querySelector(selector);
          if (!(video instanceof HTMLVideoElement)) return false;
          return video.getVideoPlaybackQuality().totalVideoFrames >= least;
        },
        [`[data-testid=${id}]`, before + count] as const,
        { timeout: 15_000 },
      );
    },
  };
}

/** Two people who have pressed Start and are connected with each other. */
export async function couple(stage: Stage): Promise<[Somebody, Somebody]> {
  const alice = await stage.enter();
  await alice.start();
  await alice.until("waiting");
  const bob = await stage.enter();
  await bob.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  return [alice, bob];
}

/** Which of the others talks with `one`: found out as people do, by asking. */
export async function partnerOf(one: Somebody, others: Somebody[]): Promise<Somebody> {
  const word = `hello ${crypto.randomUUID()}`;
  await one.say(word);
  return Promise.any(
    others.map(async (other) => {
      await other.reads(word);
      return other;
    }),
  );
}
