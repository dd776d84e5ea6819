/** A real Firefox, driven over WebDriver BiDi. */
import puppeteer, { type Page } from "puppeteer-core";

/** A Firefox with a made-up camera, and a record of everything that goes wrong in its pages. */
export interface Firefox extends AsyncDisposable {
  /** Opens `url` as somebody new: with a storage of its own. */
  open(url: string): Promise<Page>;
  /** Uncaught errors of all pages so far. Must stay empty. */
  readonly complaints: readonly string[];
}

/**
 * Launches Firefox.
 * @throws if there is none: a test that needs it is never skipped.
 */
export async function launchFirefox(): Promise<Firefox> {
  const executablePath = Bun.which("firefox-esr") ?? Bun.which("firefox");
  if (!executablePath)
    throw new Error(
      "There is no Firefox (Debian's package firefox-esr). The README's test line installs it.",
    );
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath,
    headless: true,
    extraPrefsFirefox: {
      "media.navigator.streams.fake": true,
      "media.navigator.permission.disabled": true,
      "media.autoplay.default": 0,
      // Both ends are on this machine: a name in the place of its address could be resolved by nobody.
      "media.peerconnection.ice.obfuscate_host_addresses": false,
      "media.peerconnection.ice.loopback": true,
      // There is no OpenH264 to download.
      "media.gmp-manager.updateEnabled": false,
    },
  });
  const complaints: string[] = [];
  return {
    complaints,
    async open(url) {
      const page = await (await browser.createBrowserContext()).newPage({ type: "window" });
      page.on("pageerror", (error) => complaints.push(String(error)));
      await page.goto(url);
      return page;
    },
    [Symbol.asyncDispose]: () => browser.close(),
  };
}
