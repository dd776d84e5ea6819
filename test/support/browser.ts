import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";
import { fakeCameraPicture } from "./fake-camera.ts";

const chromiumPath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const shellPath = process.env["CHROMIUM_HEADLESS_SHELL"] ?? "/usr/bin/chromium-headless-shell";

const quietFlags = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
/** What a page gets when it asks for a camera. `several` are three fake ones to choose from. */
export type Camera = "fake" | "several" | "denied" | "none";

const cameraFlags: Record<Camera, string[]> = {
  fake: ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
  several: ["--use-fake-device-for-media-stream=device-count=3", "--use-fake-ui-for-media-stream"],
  // Nobody is there to answer the question for permission, which counts as a no.
  denied: ["--use-fake-device-for-media-stream"],
  none: [],
};

/** A browser with pages that keep a record of everything that goes wrong in them. */
export interface TestBrowser extends AsyncDisposable {
  readonly browser: Browser;
  /** Opens `url` in a window of its own: no storage is shared with any other. */
  open(url: string, options?: OpenOptions): Promise<Page>;
  /** Errors on the consoles and uncaught ones, of all pages since the last `clear`. */
  readonly complaints: readonly string[];
  /** Closes every page. Returns their errors, which must be none. */
  clear(): Promise<string[]>;
}

/** What a browser test may need beside a camera. */
export interface BrowserOptions {
  camera?: Camera;
  /**
   * Whether to launch the whole of Chromium instead of its headless shell. The shell is the same
   * engine (rendering, network, WebRTC) without a user interface, and takes half the CPU time; it
   * has no permission prompts, no choice of camera and no back-forward cache.
   */
  whole?: boolean;
  /** Runs in every page before the page's own scripts. */
  script?: () => void;
  /** More flags. */
  args?: string[];
  /** Flags that the driver would set by itself, and must not. */
  without?: string[];
}

/** A window's size, colours, language and the like. */
export type OpenOptions = NonNullable<Parameters<Browser["newContext"]>[0]>;

/**
 * Launches Chromium, with a fake camera that plays a moving picture and beeps unless told otherwise.
 * @throws if there is no Chromium: a browser test is never skipped.
 */
export async function launchBrowser(options: BrowserOptions = {}): Promise<TestBrowser> {
  const { camera = "fake", whole = false, script, args = [], without = [] } = options;
  const executablePath = whole ? chromiumPath : shellPath;
  if (!existsSync(executablePath)) {
    throw new Error(
      `There is no Chromium at ${executablePath}. The README's test line installs one; ` +
        `or set ${whole ? "CHROMIUM" : "CHROMIUM_HEADLESS_SHELL"} to the path of yours.`,
    );
  }
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "peer-stream-camera-"));
  stack.defer(() => rm(folder, { recursive: true }));
  const picture = join(folder, "camera.y4m");
  // Chromium then offers a single camera, so the file cannot be combined with several.
  if (camera === "fake") await Bun.write(picture, fakeCameraPicture());
  const browser = await chromium.launch({
    executablePath,
    ignoreDefaultArgs: without,
    args: [
      ...quietFlags,
      ...cameraFlags[camera],
      ...(camera === "fake" ? [`--use-file-for-fake-video-capture=${picture}`] : []),
      ...args,
      // Chromium has no sandbox for root.
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
    ],
  });
  stack.defer(() => browser.close());
  const owned = stack.move();
  const complaints: string[] = [];

  const context = async (options: OpenOptions = {}) => {
    const made = await browser.newContext(options);
    made.on("console", (message) => {
      if (message.type() === "error") complaints.push(`console: ${message.text()}`);
    });
    made.on("weberror", (error) => complaints.push(`page: ${error.error().stack}`));
    if (script) await made.addInitScript(script);
    return made;
  };

  return {
    browser,
    complaints,
    async open(url, options) {
      // Animations delay every click until they end; and painting a video at 1280x720 in software takes two to three times
      // the CPU time of all else that a page in a call does.
      const plain: OpenOptions = { reducedMotion: "reduce", viewport: { width: 400, height: 400 } };
      const page = await (await context({ ...plain, ...options })).newPage();
      await page.goto(url);
      return page;
    },
    async clear() {
      await Promise.all(browser.contexts().map((context) => context.close()));
      return complaints.splice(0);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
