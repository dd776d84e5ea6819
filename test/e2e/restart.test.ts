import { expect, setDefaultTimeout, test } from "bun:test";
import { launchBrowser } from "../support/browser.ts";
import { startServer } from "../support/server-process.ts";
import { somebody } from "./stage.ts";

setDefaultTimeout(120_000);

test("a server restarted under a call: picture and chat go on, and Next finds somebody again", async () => {
  const secret = { SESSION_SECRET: "b".repeat(64), DRAIN_MS: "500" };
  await using browser = await launchBrowser();
  const first = await startServer(secret);
  const alice = somebody(await browser.open(first.origin));
  const bob = somebody(await browser.open(first.origin));
  await alice.start();
  await bob.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);

  await first.stop();
  await Promise.all([alice.until("reconnecting"), bob.until("reconnecting")]);
  await Promise.all([alice.sees(), bob.sees()]);
  await alice.say("still here?");
  await bob.reads("still here?");

  await using second = await startServer({ ...secret, PORT: new URL(first.origin).port });
  expect(second.origin).toBe(first.origin);
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await Promise.all([alice.sees(), bob.sees()]);

  await alice.next();
  // The server knows of no cooldown between these two any more: they meet at once, before anybody
  // could read that one had left. What was said the first time is gone.
  await Promise.all([alice.forgets("still here?"), bob.forgets("still here?")]);
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await Promise.all([alice.sees(), bob.sees()]);
  await alice.say("nice to see you again");
  await bob.reads("nice to see you again");
  // The sockets that found no server are the only thing the pages may complain of.
  const other = browser.complaints.filter((line) => !line.includes("ERR_CONNECTION_REFUSED"));
  expect(other).toEqual([]);
});
