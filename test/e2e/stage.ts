import type { Page } from "playwright-core";
import { launchBrowser, type BrowserOptions, type OpenOptions } from "../support/browser.ts";
import { startServer } from "../support/server-process.ts";
import { createTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

export type State = "idle" | "waiting" | "connecting" | "connected" | "reconnecting";

/** A real server and a real browser; a test file has one of its own. */
export interface Stage extends AsyncDisposable {
  /** Opens the page as somebody new: with a window, a storage and a way to the server of its own. */
  enter(path?: string, options?: OpenOptions): Promise<Guest>;
  /** The server itself, past everybody's network. */
  readonly origin: string;
  /** Asks the server to leave, and waits until it has. */
  stopServer(): Promise<void>;
  /** Starts the server again, on the same port and with the same secret. */
  startServer(): Promise<void>;
  /** Closes every page. Returns what went wrong in them, but for what a missing server brings about. */
  clear(): Promise<string[]>;
}

/** Sets the stage. Environment variables in `env` reach the server. */
export async function setStage(
  env: Record<string, string> = {},
  options: BrowserOptions = {},
): Promise<Stage> {
  await using setUp = new AsyncDisposableStack();
  // Everybody here has one address, and reconnects more often than a minute of a household's would.
  const unlimited = { LIMIT_SOCKETS_PER_ADDRESS: "0", LIMIT_HANDSHAKES_PER_MIN: "0" };
  const settings = {
    SESSION_SECRET: "a secret of the stage, kept over restarts",
    DRAIN_MS: "1000",
    ...unlimited,
    ...env,
  };
  let server = await startServer(settings);
  setUp.defer(() => server.stop());
  const { origin } = server;
  const browser = setUp.use(await launchBrowser(options));
  const networks: TcpProxy[] = [];
  setUp.defer(() => {
    // Not waited for: an end that was frozen when the other closed never hears of it.
    for (const network of networks) void network[Symbol.asyncDispose]();
  });
  const owned = setUp.move();
  let told = 0;
  return {
    origin,
    async enter(path = "/", options) {
      const network = await createTcpProxy(new URL(origin));
      networks.push(network);
      return { ...somebody(await browser.open(network.http + path, options)), network };
    },
    stopServer: () => server.stop(),
    async startServer() {
      server = await startServer({ ...settings, PORT: new URL(origin).port });
    },
    async clear() {
      await Promise.all(browser.browser.contexts().map((context) => context.close()));
      const complaints = browser.complaints.slice(told);
      told = browser.complaints.length;
      // The browser itself writes these, whatever the page does about it.
      return complaints.filter((line) => !/WebSocket connection to .* failed|net::ERR_/.test(line));
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Somebody whose way to the server can be cut, frozen and mended. */
export type Guest = Somebody & { readonly network: TcpProxy };

/** A person in front of a page. */
export type Somebody = ReturnType<typeof somebody>;

/** Puts a person in front of `page`. */
export function somebody(page: Page) {
  const by = (id: string) => page.getByTestId(id);
  return {
    page,
    by,
    start: () => by("start").click(),
    /** Twice, as it takes to leave somebody. */
    async next(): Promise<void> {
      await by("next").click();
      await by("next").and(page.locator("[data-armed]")).click();
    },
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
    /** Begins to write down every state from now on. Call what it returns to read them. */
    async diary(): Promise<() => Promise<string[]>> {
      const diary = await by("status").evaluateHandle((status) => {
        const seen: string[] = [];
        let last = status.getAttribute("data-state");
        new MutationObserver(() => {
          const state = status.getAttribute("data-state");
          if (state !== last && state !== null) seen.push(state);
          last = state;
        }).observe(status, { attributes: true, attributeFilter: ["data-state"] });
        return seen;
      });
      return () => diary.jsonValue();
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
export async function couple(stage: Stage): Promise<[Guest, Guest]> {
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
