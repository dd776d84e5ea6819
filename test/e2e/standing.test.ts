/** Standing offers in Chromium and Firefox: who waits has its offer ready, and nobody leaves a connection open. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { PeerStream, StartOptions } from "../../src/client/index.ts";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { startClientSite, type ClientSite } from "../support/client-site.ts";
import { startCoturn } from "../support/coturn.ts";
import { launchFirefox } from "../support/firefox.ts";
import { startServer, type ServerProcess } from "../support/server-process.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(60_000);

const stack = new AsyncDisposableStack();
let site: ClientSite;
let server: ServerProcess;
let browser: TestBrowser;
beforeAll(async () => {
  site = stack.use(await startClientSite());
  const coturn = stack.use(await startCoturn());
  server = stack.use(
    await startServer({
      CORS_ORIGIN: site.origin,
      SKIP_COOLDOWN_MS: "0",
      TURN_URLS: coturn.url,
      TURN_SECRET: coturn.secret,
    }),
  );
  browser = stack.use(await launchBrowser());
});
afterEach(async () => expect(await browser.clear()).toEqual([]));
afterAll(() => stack.disposeAsync());

/** What `watch` adds to a page. */
interface Watched {
  peer: PeerStream;
  sent: string[];
  connections: RTCPeerConnection[];
}

/** Either driver's page, as far as both have the same. */
interface AnyPage {
  evaluate<Result, Argument>(
    run: (argument: Argument) => Result,
    argument: Argument,
  ): Promise<Awaited<Result>>;
}

const url = (query = "") =>
  `${site.origin}/?server=${server.origin.replace("http", "ws")}/trpc${query}`;

/** Somebody who looks for a partner on a page that notes the calls which it sends, and its connections. */
async function visitor(page: AnyPage) {
  const ask = <Result, Argument = undefined>(
    run: (argument: Argument) => Result,
    argument?: Argument,
  ): Promise<Awaited<Result>> => page.evaluate(run, argument as Argument);
  await until("the page is ready", () => ask(() => "ready" in document.body.dataset));
  await ask(async () => {
    const watched = window as unknown as Watched;
    watched.sent = [];
    watched.connections = [];
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (frame) {
      for (const [, path] of String(frame).matchAll(/"path":"(\w+)"/g))
        watched.sent.push(path ?? "");
      send.call(this, frame);
    };
    const Real = RTCPeerConnection;
    window.RTCPeerConnection = class extends Real {
      constructor(configuration?: RTCConfiguration) {
        super(configuration);
        watched.connections.push(this);
      }
    };
    await watched.peer.camera.open();
  });
  const state = () => ask(() => (window as unknown as Watched).peer.state.status);
  return {
    ask,
    start: (options: StartOptions = {}) =>
      ask((options) => (window as unknown as Watched).peer.start(options), options),
    next: () => ask(() => (window as unknown as Watched).peer.next()),
    until: (status: string) =>
      until(`${status} is shown`, async () => (await state()) === status, 20_000),
    /** The calls that it has sent since the last time. */
    sent: () => ask(() => (window as unknown as Watched).sent.splice(0)),
    /** Waits until its offer is with the server. */
    stands: () =>
      until("it has left an offer", () =>
        ask(() => (window as unknown as Watched).sent.includes("standby")),
      ),
    open: () =>
      ask(() => {
        const { connections } = window as unknown as Watched;
        return connections.filter(({ signalingState }) => signalingState !== "closed").length;
      }),
    /** Waits until frames of the partner are shown. */
    sees: () =>
      until("the partner is seen", () =>
        ask(() => {
          const video = document.querySelector("video");
          return video !== null && video.videoWidth > 0 && video.currentTime > 0;
        }),
      ),
    /** The types of the candidates of the selected pair. */
    path: () =>
      ask(async () => {
        const { connections } = window as unknown as Watched;
        const report = await connections.at(-1)?.getStats();
        const all = [
          ...((report as unknown as Map<string, Record<string, string>>)?.values() ?? []),
        ];
        const typeOf = (id?: string) => all.find((entry) => entry["id"] === id)?.["candidateType"];
        const pair = all.find(
          ({ type, id }) =>
            type === "candidate-pair" &&
            all.some((entry) => entry["selectedCandidatePairId"] === id),
        );
        return [typeOf(pair?.["localCandidateId"]), typeOf(pair?.["remoteCandidateId"])];
      }),
  };
}
type Visitor = Awaited<ReturnType<typeof visitor>>;

const enter = async (query?: string) => visitor(await browser.open(url(query)));

/** Alice waits with her offer, then Bob comes. Returns what each has sent since Bob came. */
async function meet(alice: Visitor, bob: Visitor, options: StartOptions = {}) {
  await alice.start(options);
  await alice.stands();
  await alice.sent();
  await bob.start(options);
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await Promise.all([alice.sees(), bob.sees()]);
  return [await alice.sent(), await bob.sent()];
}

test("the call of one that waits begins without an offer being sent", async () => {
  const [alice, bob] = [await enter(), await enter()];
  const [byAlice, byBob] = await meet(alice, bob);
  expect(byAlice).not.toContain("offer");
  expect(byBob?.filter((path) => path === "answer")).toHaveLength(1);
  expect(byBob).not.toContain("standby");
  expect([await alice.open(), await bob.open()]).toEqual([1, 1]);
});

test("one that has them switched off answers them, and is offered to as always", async () => {
  const [alice, bob] = [await enter(), await enter("&without")];
  expect((await meet(alice, bob))[0]).not.toContain("offer");
  await alice.ask(() => (window as unknown as Watched).peer.stop());
  await bob.until("waiting");
  await bob.sent();
  await alice.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  // Whoever comes makes the offer.
  expect((await alice.sent()).filter((path) => path === "offer")).toHaveLength(1);
  expect(await bob.sent()).not.toContain("standby");
});

test("relay-only, the offer has relayed addresses alone, and the call takes that way", async () => {
  const [alice, bob] = [await enter(), await enter()];
  const [byAlice] = await meet(alice, bob, { relayOnly: true });
  expect(byAlice).not.toContain("offer");
  expect(await alice.path()).toEqual(["relay", "relay"]);
  expect(await bob.path()).toEqual(["relay", "relay"]);
});

test("one that hides its address meets one that does not: the room is relay-only for both", async () => {
  const [alice, bob] = [await enter(), await enter()];
  await alice.start();
  await alice.stands();
  await bob.start({ relayOnly: true });
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await Promise.all([alice.sees(), bob.sees()]);
  expect(await alice.path()).toEqual(["relay", "relay"]);
  expect(await bob.path()).toEqual(["relay", "relay"]);
  expect([await alice.open(), await bob.open()]).toEqual([1, 1]);
});

test("after many rooms each has one connection open, and none after the last", async () => {
  const [alice, bob] = [await enter(), await enter()];
  await meet(alice, bob);
  for (let rooms = 0; rooms < 5; rooms += 1) {
    // Bob waits with an offer before Alice comes.
    await alice.ask(() => (window as unknown as Watched).peer.stop());
    await bob.sent();
    await bob.until("waiting");
    await bob.stands();
    expect(await bob.open()).toBe(1);
    await bob.sent();
    await alice.start();
    await Promise.all([alice.until("connected"), bob.until("connected")]);
    expect(await bob.sent()).not.toContain("offer");
    expect([await alice.open(), await bob.open()]).toEqual([1, 1]);
    // Both wait for a moment, and are paired again at once.
    await bob.next();
    await Promise.all([alice.until("connected"), bob.until("connected")]);
    await until(
      "one connection is open",
      async () => (await alice.open()) + (await bob.open()) === 2,
    );
  }
  for (const one of [alice, bob]) await one.ask(() => (window as unknown as Watched).peer.stop());
  expect([await alice.open(), await bob.open()]).toEqual([0, 0]);
});

// Launching it takes long where much else runs.
test("Firefox leaves an offer that Chromium answers, and the other way round", async () => {
  await using firefox = await launchFirefox();
  const fox = await visitor((await firefox.open(url())) as AnyPage);
  const chromium = await enter();
  expect((await meet(fox, chromium))[0]).not.toContain("offer");
  await fox.ask(() => (window as unknown as Watched).peer.stop());
  await chromium.sent();
  await chromium.until("waiting");
  await chromium.stands();
  await fox.start();
  await Promise.all([chromium.until("connected"), fox.until("connected")]);
  await Promise.all([chromium.sees(), fox.sees()]);
  expect(await chromium.sent()).not.toContain("offer");
  expect([await fox.open(), await chromium.open()]).toEqual([1, 1]);
  expect(firefox.complaints).toEqual([]);
}, 120_000);
