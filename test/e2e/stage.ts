import type { Page } from "playwright-core";
import { launchBrowser, type BrowserOptions, type OpenOptions } from "../support/browser.ts";
import { startServer } from "../support/server-process.ts";
import { createTcpProxy, type TcpProxy, type WebSocketTreatment } from "../support/tcp-proxy.ts";
import { answerWithin, until } from "../support/until.ts";

export type State = "idle" | "waiting" | "connecting" | "connected" | "reconnecting";

/** A real server and a real browser; a test file has one of its own. */
export interface Stage extends AsyncDisposable {
  /**
   * Opens the page as somebody new: with a window, a storage and a way to the server of its own, which treats WebSockets as
   * `webSockets` says.
   */
  enter(path?: string, options?: OpenOptions, webSockets?: WebSocketTreatment): Promise<Guest>;
  /** The server itself, past everybody's network. */
  readonly origin: string;
  /** Asks the server to leave, and waits until it has. */
  stopServer(): Promise<void>;
  /** Ends the server as a power cut would. */
  killServer(): Promise<void>;
  /** Starts the server again, on the same port and with the same secret; with other variables in `env`. */
  startServer(env?: Record<string, string>): Promise<void>;
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
  const browser = setUp.use(await launchBrowser({ script: withoutJitter, ...options }));
  const networks: TcpProxy[] = [];
  setUp.defer(() => {
    // Not waited for: an end that was frozen when the other closed never hears of it.
    for (const network of networks) void network[Symbol.asyncDispose]();
  });
  const owned = setUp.move();
  let entered = 0;
  return {
    origin,
    async enter(path = "/", options = {}, webSockets = "pass") {
      const network = await createTcpProxy(new URL(origin));
      network.treatWebSockets(webSockets);
      networks.push(network);
      const name = names[entered++] ?? `peer ${entered}`;
      const page = await browser.open(network.http + path, options);
      return { ...somebody(page, name), network };
    },
    stopServer: () => server.stop(),
    killServer: () => server.kill(),
    async startServer(env = {}) {
      server = await startServer({ ...settings, ...env, PORT: new URL(origin).port });
    },
    async clear() {
      const complaints = await browser.clear();
      entered = 0;
      // The browser itself writes these, whatever the page does about it.
      const byBrowser = /WebSocket connection to .* failed|net::ERR_|with a status of 426/;
      return complaints.filter((line) => !byBrowser.test(line));
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/**
 * The client waits a random time of up to 10 s before it reconnects (`retryDelayMs`, which has tests of its own). Here it
 * is always the shortest, 200 ms.
 */
function withoutJitter(): void {
  const { random } = Math;
  // Almost 0, but random: the client makes the ids of its calls of it, and two pages may share a session.
  Math.random = () => random() / 1e6;
}

/** The names by which failures refer to the guests, in the order in which they entered. */
const names = ["Alice", "Bob", "Carol", "Dave"];

/** Somebody whose connection to the server can be cut, frozen and restored. */
export type Guest = Somebody & { readonly network: TcpProxy };

/** A person in front of a page. */
export type Somebody = ReturnType<typeof somebody>;

/**
 * Puts a person in front of `page`. All of its waits are bounded, and fail with the name, what was waited for, and what
 * the page showed instead.
 */
export function somebody(page: Page, name: string) {
  const by = (id: string) => page.getByTestId(id);

  /**
   * Asks the page every few milliseconds, from outside: the page's own timers and frames are throttled while it is hidden,
   * and Playwright's own waits look only twice a second.
   */
  async function wait<A>(
    what: string,
    withinMs: number,
    holds: (argument: A) => boolean,
    argument: A,
  ): Promise<void> {
    const evaluate = holds as (argument: unknown) => boolean;
    try {
      // While a page loads there is nothing to evaluate in, which counts as false.
      await until(what, () => page.evaluate(evaluate, argument), withinMs);
    } catch (error) {
      throw new Error(`${name}: ${String(error)}. ${await shown()}`);
    }
  }

  async function shown(): Promise<string> {
    if (page.isClosed()) return "The page is closed";
    const answer = page.evaluate(() => {
      const text = (id: string) =>
        document.querySelector<HTMLElement>(`[data-testid=${id}]`)?.innerText ?? "";
      const state = document.body.dataset["state"] ?? "none";
      return `The state is ${state}, the status line "${text("status")}", the chat "${text("chat-log")}"`;
    });
    return answerWithin(2000, answer).catch((error) => `The page says nothing: ${String(error)}`);
  }

  return {
    page,
    by,
    start: () => by("start").click(),
    /** Twice, as it takes to leave somebody. */
    async next(): Promise<void> {
      await by("next").click();
      // A click that waits until the button stands still may come after the four seconds in which a second press counts.
      const armed = by("next").and(page.locator("[data-armed]"));
      await armed.evaluate((button: HTMLElement) => button.click());
    },
    stop: () => by("stop").click(),
    /** Presses a tool that a small screen keeps in a panel. */
    async press(tool: "block" | "stats-toggle" | "share" | "fill" | "fullscreen"): Promise<void> {
      if (!(await by(tool).isVisible())) await by("more").click();
      await by(tool).click();
    },
    /** Waits until the status line shows one of these states. */
    until(states: State | State[], withinMs = 20_000): Promise<void> {
      const any = [states].flat();
      const holds = (any: string[]) => {
        const status = document.querySelector("[data-testid=status]");
        return any.includes(status?.getAttribute("data-state") ?? "");
      };
      return wait(`the state is ${any.join(" or ")}`, withinMs, holds, any);
    },
    state: async () => (await by("status").getAttribute("data-state")) as State,
    status: () => by("status").innerText(),
    /** Waits for the status line to say so. */
    hears(words: RegExp, withinMs = 20_000): Promise<void> {
      const holds = (words: RegExp) => {
        const status = document.querySelector<HTMLElement>("[data-testid=status]");
        return words.test(status?.innerText ?? "");
      };
      return wait(`the status line says ${words}`, withinMs, holds, words);
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
    reads: (text: string): Promise<void> =>
      wait(`the chat holds "${text}"`, 10_000, chatHolds, text),
    /** Waits for the chat log to hold this text no longer. */
    forgets: (text: string): Promise<void> =>
      wait(
        `the chat no longer holds "${text}"`,
        20_000,
        (text) => {
          const log = document.querySelector<HTMLElement>("[data-testid=chat-log]");
          return log !== null && !log.innerText.includes(text);
        },
        text,
      ),
    log: () => by("chat-log").innerText(),
    /** Waits until the video has shown `count` more frames than now. */
    async sees(count = 5, id = "remote-video"): Promise<void> {
      const before = await by(id).evaluate((video) =>
        video instanceof HTMLVideoElement ? video.getVideoPlaybackQuality().totalVideoFrames : 0,
      );
      const holds = ([id, least]: readonly [string, number]) => {
        const video = document.querySelector(`[data-testid=${id}]`);
        if (!(video instanceof HTMLVideoElement)) return false;
        return video.getVideoPlaybackQuality().totalVideoFrames >= least;
      };
      await wait(`${id} shows ${count} more frames`, 15_000, holds, [id, before + count] as const);
    },
  };
}

function chatHolds(text: string): boolean {
  const log = document.querySelector<HTMLElement>("[data-testid=chat-log]");
  return log?.innerText.includes(text) ?? false;
}

/** Two people who have pressed Start and are connected with each other. */
export async function couple(stage: Stage): Promise<[Guest, Guest]> {
  const [alice, bob] = await Promise.all([stage.enter(), stage.enter()]);
  await alice.start();
  await alice.until("waiting");
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
