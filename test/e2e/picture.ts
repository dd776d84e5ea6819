/** Takes the README's picture: two people in a call, as the page shows it to one of them. */
import { launchBrowser } from "../support/browser.ts";
import { startServer } from "../support/server-process.ts";
import { somebody } from "./stage.ts";

const path = new URL("picture.jpg", import.meta.url).pathname;
await using server = await startServer();
await using browser = await launchBrowser();
const options = { viewport: { width: 1200, height: 720 }, colorScheme: "light" } as const;
const [alice, bob] = [
  somebody(await browser.open(`${server.origin}/?fake=1`, options), "Alice"),
  somebody(await browser.open(`${server.origin}/?fake=1`), "Bob"),
];
for (const one of [alice, bob]) {
  await one.page.getByLabel("What would you like to talk about?").fill("chess, jazz");
  await one.start();
}
await alice.until("connected");
await alice.sees(30);
await alice.say("Hello! Do you play the Sicilian?");
await bob.say("Only when nobody is looking.");
await alice.reads("Only when nobody");
await alice.press("stats-toggle");
await alice
  .by("stats")
  .getByText(/^\d+ × \d+/)
  .waitFor();
await alice.page.screenshot({ path, type: "jpeg", quality: 80 });
