/** Calls that hide both peers' addresses, through a real TURN server. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { Page } from "playwright-core";
import { configuredServersFor } from "../../src/ice.ts";
import type { IceServer } from "../../src/protocol.ts";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { startCoturn, type Coturn } from "../support/coturn.ts";
import { startServer, type ServerProcess } from "../support/server-process.ts";
import { somebody } from "./stage.ts";

setDefaultTimeout(60_000);

const stack = new AsyncDisposableStack();
const parts: { coturn?: Coturn; server?: ServerProcess; browser?: TestBrowser } = {};
beforeAll(async () => {
  const coturn = (parts.coturn = stack.use(await startCoturn()));
  parts.server = stack.use(
    await startServer({
      STUN_URLS: coturn.url.replace("turn:", "stun:").replace(/\?.*/, ""),
      TURN_URLS: coturn.url,
      TURN_SECRET: coturn.secret,
      FORCE_RELAY: "true",
    }),
  );
  parts.browser = stack.use(await launchBrowser());
});
afterAll(() => stack.disposeAsync());

function stage(): { coturn: Coturn; server: ServerProcess; browser: TestBrowser } {
  const { coturn, server, browser } = parts;
  if (!coturn || !server || !browser) throw new Error("the stage is not set");
  return { coturn, server, browser };
}

/** Somebody whose calls can be looked into. */
async function enter(name: string, configure: RTCConfiguration = {}) {
  const { server, browser } = stage();
  const page = await browser.open(server.origin);
  await page.evaluate((changes) => {
    const Real = RTCPeerConnection;
    window.RTCPeerConnection = class extends Real {
      constructor(configuration?: RTCConfiguration) {
        super({ ...configuration, ...changes });
        Object.assign(window, { connection: this });
      }
    };
  }, configure);
  return somebody(page, name);
}

/** Two in a call, each of whom sees the other. */
async function coupleInCall() {
  const alice = await enter("Alice");
  const bob = await enter("Bob");
  await alice.start();
  await bob.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await Promise.all([alice.sees(), bob.sees()]);
  return { alice, bob };
}

interface Path {
  /** The types of the pair that carries the call. */
  selected: [local: string | undefined, remote: string | undefined];
  /** Of all candidates of the partner's that this page knows. */
  remoteTypes: string[];
  relayOnly: boolean;
}

function pathOf(page: Page): Promise<Path> {
  return page.evaluate(async () => {
    const { connection } = window as unknown as { connection: RTCPeerConnection };
    const stats = new Map<string, Record<string, string>>(
      Object.entries(Object.fromEntries(await connection.getStats())),
    );
    const all = [...stats.values()];
    const pairId = all.find(({ type }) => type === "transport")?.["selectedCandidatePairId"];
    const pair = stats.get(pairId ?? "");
    const typeOf = (id?: string) => stats.get(id ?? "")?.["candidateType"];
    return {
      selected: [typeOf(pair?.["localCandidateId"]), typeOf(pair?.["remoteCandidateId"])],
      remoteTypes: all
        .filter(({ type }) => type === "remote-candidate")
        .map((candidate) => candidate["candidateType"] ?? ""),
      relayOnly: connection.getConfiguration().iceTransportPolicy === "relay",
    };
  });
}

test("a call through the relay: the selected pair is relay on both sides, and nobody learns another address", async () => {
  const { coturn, browser } = stage();
  const { alice, bob } = await coupleInCall();
  await alice.say("Hello through the relay");
  await bob.reads("Hello through the relay");
  for (const { page } of [alice, bob]) {
    const { selected, remoteTypes, relayOnly } = await pathOf(page);
    expect(selected).toEqual(["relay", "relay"]);
    expect(new Set(remoteTypes)).toEqual(new Set(["relay"]));
    expect(relayOnly).toBe(true);
    for (const text of [await page.content(), await descriptionOf(page)])
      expect(text).not.toMatch(/typ (host|srflx|prflx)/);
  }
  // Each with credentials of the address that both come from, good for as long as stated.
  const users = [...coturn.log.matchAll(/user <(\d+):([\w.-]+)>: incoming packet ALLOCATE/g)];
  expect(new Set(users.map(([, , name]) => name)).size).toBe(1);
  for (const [, expiry] of users) {
    const leftS = Number(expiry) - Date.now() / 1000;
    expect(leftS).toBeGreaterThan(200);
    expect(leftS).toBeLessThanOrEqual(300);
  }
  await Promise.all(browser.browser.contexts().map((context) => context.close()));
  expect(browser.complaints).toEqual([]);
});

/** What the partner told: its description, with its candidates. */
function descriptionOf(page: Page): Promise<string> {
  return page.evaluate(() => {
    const { connection } = window as unknown as { connection: RTCPeerConnection };
    return connection.remoteDescription?.sdp ?? "";
  });
}

test("a changed page that tells all its addresses gives none of them away, and still gets its call", async () => {
  const { browser } = stage();
  const mallory = await enter("Mallory", { iceTransportPolicy: "all" });
  const alice = await enter("Alice");
  await mallory.start();
  await alice.start();
  await Promise.all([mallory.until("connected"), alice.until("connected")]);
  await alice.sees();
  expect((await pathOf(mallory.page)).relayOnly).toBe(false);
  const { selected, remoteTypes } = await pathOf(alice.page);
  expect(selected[0]).toBe("relay");
  expect(remoteTypes).not.toContain("host");
  expect(remoteTypes).not.toContain("srflx");
  expect(await descriptionOf(alice.page)).not.toMatch(
    /typ (host|srflx|prflx)|raddr (?!0\.0\.0\.0)/,
  );
  await Promise.all(browser.browser.contexts().map((context) => context.close()));
});

test("B4 a restart after the credentials have expired gets a relayed path of its own on both sides", async () => {
  const { coturn, browser } = stage();
  const { alice, bob } = await coupleInCall();
  // As if the call had lasted longer than its credentials.
  const config = { stunUrls: [], turnUrls: [coturn.url], turnSecret: coturn.secret, turnTtlS: 60 };
  const expired = configuredServersFor(config, Date.now() - 70_000, "room");
  const restarted = ({ page }: ReturnType<typeof somebody>) =>
    page.evaluate(async (iceServers) => {
      const { connection } = window as unknown as { connection: RTCPeerConnection };
      const ufragOf = () => /a=ice-ufrag:(\S+)/.exec(connection.localDescription?.sdp ?? "")?.[1];
      const before = ufragOf();
      connection.setConfiguration({ ...connection.getConfiguration(), iceServers });
      Object.defineProperty(connection, "iceConnectionState", {
        value: "failed",
        configurable: true,
      });
      connection.dispatchEvent(new Event("iceconnectionstatechange"));
      Reflect.deleteProperty(connection, "iceConnectionState");
      const deadline = performance.now() + 10_000;
      // Until the path in use is one of the new generation.
      for (;;) {
        const stats = await connection.getStats();
        const all = [...stats.values()] as Record<string, unknown>[];
        const transport = all.find(({ type }) => type === "transport");
        const pair = all.find(({ id }) => id === transport?.["selectedCandidatePairId"]);
        const local = all.find(({ id }) => id === pair?.["localCandidateId"]);
        const now = ufragOf();
        if (now !== before && local?.["usernameFragment"] === now) return local?.["candidateType"];
        if (performance.now() > deadline) return `${before} ${now} ${JSON.stringify(local)}`;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }, expired);
  expect(await Promise.all([restarted(alice), restarted(bob)])).toEqual(["relay", "relay"]);
  await Promise.all([alice.sees(), bob.sees()]);
  await Promise.all(browser.browser.contexts().map((context) => context.close()));
});

test("B1 a relay that is away for 19 s costs a call nothing but that time", async () => {
  const { coturn, browser } = stage();
  const { alice, bob } = await coupleInCall();
  const states = await Promise.all([alice.diary(), bob.diary()]);
  coturn.pause();
  try {
    await Bun.sleep(19_000);
  } finally {
    coturn.resume();
  }
  await Promise.all([alice.sees(), bob.sees()]);
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  for (const observed of states) expect(await observed()).not.toContain("waiting");
  await Promise.all(browser.browser.contexts().map((context) => context.close()));
}, 90_000);

test("credentials are good until they expire, and for nothing signed with another secret", async () => {
  const { coturn, server, browser } = stage();
  const page = await browser.open(server.origin);
  const config = {
    stunUrls: [],
    turnUrls: [coturn.url],
    turnSecret: coturn.secret,
    turnTtlS: 60,
  };
  const now = Date.now();
  const allocated = async (servers: IceServer[]) => allocate(page, servers);
  expect(await allocated(configuredServersFor(config, now, "room"))).toEqual({ relayed: true });
  // Made so long ago that 10 s, or an hour, have passed since its last second.
  for (const agoMs of [70_000, 3_660_000])
    expect(await allocated(configuredServersFor(config, now - agoMs, "room"))).toEqual({
      relayed: false,
      error: 401,
    });
  const other = configuredServersFor(
    { ...config, turnSecret: "another secret than coturn's" },
    now,
    "room",
  );
  expect(await allocated(other)).toEqual({ relayed: false, error: 401 });
  // A later expiry than the one that was signed.
  const [genuine] = configuredServersFor(config, now - 70_000, "room");
  const username = genuine?.username?.replace(/^\d+/, String(Math.floor(now / 1000) + 600)) ?? "";
  expect(await allocated([{ urls: [coturn.url], ...genuine, username }])).toMatchObject({
    relayed: false,
  });
});

test("A1 one address holds no more allocations than its quota, whatever rooms it has, and others have theirs", async () => {
  const quota = 3;
  await using coturn = await startCoturn([`--user-quota=${quota}`]);
  const { server, browser } = stage();
  const page = await browser.open(server.origin);
  const config = { stunUrls: [], turnUrls: [coturn.url], turnSecret: coturn.secret, turnTtlS: 60 };
  // Credentials as different rooms get them at different times: their expiry differs, their address does not.
  const askedFor = (address: string, count: number) =>
    Array.from({ length: count }, (_, n) =>
      configuredServersFor(config, Date.now() + 1000 * n, address),
    );
  const held = await holdAllocations(page, askedFor("a greedy address", 8));
  expect(held.relayed).toBe(quota);
  expect(new Set(held.errors)).toEqual(new Set([486]));
  expect(await holdAllocations(page, askedFor("an honest address", 2))).toEqual({
    relayed: 2,
    errors: [],
  });
});

/** How many of these get a relayed address, while each keeps the one it has; and STUN's errors of the others. */
function holdAllocations(page: Page, all: IceServer[][]) {
  return page.evaluate(async (all) => {
    const result = { relayed: 0, errors: [] as number[] };
    for (const iceServers of all) {
      const connection = new RTCPeerConnection({ iceServers, iceTransportPolicy: "relay" });
      const gathered = new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 5000);
        const end = () => {
          clearTimeout(timer);
          resolve();
        };
        connection.onicecandidate = ({ candidate }) => {
          if (candidate?.type !== "relay") return;
          result.relayed += 1;
          end();
        };
        connection.onicecandidateerror = ({ errorCode }) => {
          if (errorCode >= 700) return;
          result.errors.push(errorCode);
          end();
        };
      });
      connection.createDataChannel("any");
      void connection.setLocalDescription();
      await gathered;
    }
    return result;
  }, all);
}

interface Allocation {
  relayed: boolean;
  /** STUN's error code (RFC 8489, 14.8). */
  error?: number;
}

/** Whether a browser gets a relayed address with these servers. */
function allocate(page: Page, iceServers: IceServer[]): Promise<Allocation> {
  return page.evaluate(
    (servers) =>
      new Promise<Allocation>((resolve) => {
        const connection = new RTCPeerConnection({
          iceServers: servers,
          iceTransportPolicy: "relay",
        });
        const end = (allocation: Allocation) => {
          connection.close();
          resolve(allocation);
        };
        connection.onicecandidate = ({ candidate }) => {
          if (candidate?.type === "relay") end({ relayed: true });
        };
        connection.onicecandidateerror = ({ errorCode }) => {
          if (errorCode < 700) end({ relayed: false, error: errorCode });
        };
        connection.createDataChannel("any");
        void connection.setLocalDescription();
        setTimeout(() => end({ relayed: false }), 10_000);
      }),
    iceServers,
  );
}
