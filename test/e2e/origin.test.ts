/** A page of another origin, with the client library, against a real server that does or does not accept it. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { launchBrowser } from "../support/browser.ts";
import { startClientSite, type ClientSite } from "../support/client-site.ts";
import { startServer } from "../support/server-process.ts";

setDefaultTimeout(60_000);

let site: ClientSite;
beforeAll(async () => void (site = await startClientSite()));
afterAll(() => site[Symbol.dispose]());

interface Seen {
  status: string;
  error?: { kind: string; origin?: string };
}

/** Starts a peer on the site's page, and answers its states until it waits or is idle with an error. */
async function statesAt(url: string): Promise<Seen[]> {
  await using browser = await launchBrowser();
  const page = await browser.open(site.origin);
  return await page.evaluate(async (server): Promise<Seen[]> => {
    type State = { status: string; error?: { kind: string; origin?: string } };
    interface Stream {
      subscribe(listener: (state: State) => void): void;
      start(): void;
      close(): void;
    }
    const path = "/client.js";
    const { createPeerStream } = (await import(path)) as {
      createPeerStream(options: { url: string }): Stream;
    };
    const peer = createPeerStream({ url: server });
    const states: State[] = [];
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`after 20 s it is ${JSON.stringify(states)}`)),
        20_000,
      );
      peer.subscribe((state) => {
        const { status, error } = state;
        // Only what can be sent back: an error's cause is an object of this page.
        states.push({
          status,
          ...(error && {
            error: { kind: error.kind, ...(error.origin && { origin: error.origin }) },
          }),
        });
        if (status !== "waiting" && !error) return;
        // The first `waiting` is the wish; the server's own follows with its counts.
        if (status === "waiting" && !("online" in state)) return;
        clearTimeout(timer);
        resolve();
      });
      peer.start();
    });
    // Closing is a state of its own.
    const seen = [...states];
    peer.close();
    return seen;
  }, url);
}

test("B9 a page whose origin is refused is idle and says which, and the server says what to set", async () => {
  await using server = await startServer({ CORS_ORIGIN: "https://other.example" });
  const states = await statesAt(`${server.origin.replace("http", "ws")}/trpc`);
  expect(states.at(-1)).toEqual({
    status: "idle",
    error: { kind: "origin-not-allowed", origin: site.origin },
  });
  const lines = server.output.split("\n").filter((line) => line.includes("an origin was refused"));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain(`add ${site.origin} to CORS_ORIGIN`);
});

test("B9 a page whose origin is allowed waits for a partner", async () => {
  await using server = await startServer({ CORS_ORIGIN: site.origin });
  const states = await statesAt(`${server.origin.replace("http", "ws")}/trpc`);
  expect(states.at(-1)).toEqual({ status: "waiting" });
});

test("B9 a URL at which there is no Peer Stream server is an error, not a wait", async () => {
  await using server = await startServer({ CORS_ORIGIN: site.origin });
  const states = await statesAt(`${server.origin.replace("http", "ws")}/tprc`);
  expect(states.at(-1)).toMatchObject({ status: "idle", error: { kind: "wrong-url" } });
});
