import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { couple, setStage, somebody, type Guest, type Stage } from "./stage.ts";

setDefaultTimeout(60_000);

let stage: Stage;
beforeAll(async () => void (stage = await setStage({ SKIP_COOLDOWN_MS: "1000" })));
afterEach(async () => expect(await stage.clear()).toEqual([]));
afterAll(() => stage[Symbol.asyncDispose]());

const unreachable = /^Lost the connection to the server. Your call continues/;
const partnerDropped = /^The stranger's connection dropped. Waiting for them to reconnect/;
const connected = /^You are connected/;

/** A word from each to the other. */
async function talk(alice: Guest, bob: Guest, word: string): Promise<void> {
  await alice.say(`${word} from Alice`);
  await bob.reads(`${word} from Alice`);
  await bob.say(`${word} from Bob`);
  await alice.reads(`${word} from Bob`);
}

/** Cuts everybody's connection, keeps new ones out, and resolves when that has lasted `ms`. */
async function cut(guests: Guest[], ms: number): Promise<void> {
  const endsAt = performance.now() + ms;
  for (const { network } of guests) {
    network.refuse(true);
    network.cut();
  }
  await Bun.sleep(endsAt - performance.now());
}

test("Alice's connection cut for 2 s in a call: the call and the chat go on, and both are told", async () => {
  const [alice, bob] = await couple(stage);
  await talk(alice, bob, "before");
  const diaries = await Promise.all([alice.diary(), bob.diary()]);

  const over = cut([alice], 2000);
  await Promise.all([alice.hears(unreachable), bob.hears(partnerDropped)]);
  await Promise.all([alice.sees(20), bob.sees(20)]);
  await talk(alice, bob, "during");
  await over;
  await Promise.all([alice.hears(unreachable), bob.hears(partnerDropped)]);
  alice.network.refuse(false);

  await Promise.all([alice.hears(connected), bob.hears(connected)]);
  await Promise.all([alice.sees(20), bob.sees(20)]);
  await talk(alice, bob, "after");
  for (const diary of diaries) expect(await diary()).toEqual(["reconnecting", "connected"]);
  // A new room begins with an empty log, so this is still the first.
  for (const one of [alice, bob]) expect(await one.log()).toContain("before from Bob");
});

test("both connections cut for 2 s in a call: nobody loses anything", async () => {
  const [alice, bob] = await couple(stage);
  await talk(alice, bob, "before");
  const over = cut([alice, bob], 2000);
  await Promise.all([alice.hears(unreachable), bob.hears(unreachable)]);
  await Promise.all([alice.sees(20), bob.sees(20)]);
  await talk(alice, bob, "during");
  await over;
  for (const { network } of [alice, bob]) network.refuse(false);
  await Promise.all([alice.hears(connected), bob.hears(connected)]);
  await talk(alice, bob, "after");
  expect(await alice.log()).toContain("before from Bob");
  // The server has kept the room: Next is a skip, and told as one.
  await alice.next();
  await bob.hears(/^The stranger moved on/);
});

test("a connection that is reset again and again ends in the same call", async () => {
  const [alice, bob] = await couple(stage);
  await talk(alice, bob, "before");
  for (let resets = 0; resets < 5; resets += 1) {
    alice.network.cut();
    await alice.until("reconnecting");
    await alice.until("connected");
  }
  await bob.hears(connected);
  await talk(alice, bob, "after");
  expect(await bob.log()).toContain("before from Alice");
});

test("a half-open connection is noticed by both within 20 s, and recovers", async () => {
  const [alice, bob] = await couple(stage);
  await talk(alice, bob, "before");
  alice.network.freeze();
  await Promise.all([alice.hears(unreachable, 20_000), bob.hears(partnerDropped, 20_000)]);
  await Promise.all([alice.sees(20), bob.sees(20)]);
  await talk(alice, bob, "during");
  alice.network.thaw();
  await Promise.all([alice.hears(connected), bob.hears(connected)]);
  await talk(alice, bob, "after");
  expect(await bob.log()).toContain("before from Alice");
});

test("a connection gone for longer than calls are kept leaves the call alone while it lives, on both sides", async () => {
  await using impatient = await setStage({
    GRACE_MS: "2000",
    CALL_KEEP_MS: "0",
    SKIP_COOLDOWN_MS: "1000",
  });
  const [alice, bob] = await couple(impatient);
  await talk(alice, bob, "before");
  alice.network.refuse(true);
  alice.network.cut();
  const lostTrack = /^The server no longer knows this call. It continues until you press Next/;
  await bob.hears(lostTrack);
  await Promise.all([alice.sees(20), bob.sees(20)]);
  await talk(alice, bob, "during");
  // Whoever comes meanwhile is not brought to Bob, though he would be next.
  const carol = await impatient.enter();
  await carol.start();
  await carol.until("waiting");
  alice.network.refuse(false);
  await alice.hears(lostTrack);
  await talk(alice, bob, "after");
  expect(await carol.state()).toBe("waiting");
  expect(await bob.log()).toContain("before from Alice");
  await alice.next();
  await bob.hears(/^(The stranger left. Looking|You are connected)/);
  await carol.until("connected");
  expect(await impatient.clear()).toEqual([]);
});

test("B15 a partner that is gone along with its picture is lost when the grace is over", async () => {
  // Longer than a browser takes to notice that nothing arrives, or the partner's place would be kept until it has.
  await using impatient = await setStage({ GRACE_MS: "12000" });
  const [alice, bob] = await couple(impatient);
  const diary = await bob.diary();
  // A crash closes nothing.
  await alice.page.goto("chrome://crash").catch(() => {});
  await bob.hears(/^The stranger('s connection was lost| left). Looking for someone else/, 30_000);
  expect((await diary()).at(-1)).toBe("waiting");
});

test("B14 the partner's Next is told also while the server is out of reach", async () => {
  const [alice, bob] = await couple(stage);
  alice.network.refuse(true);
  alice.network.cut();
  await alice.hears(unreachable);
  await bob.next();
  await alice.hears(/^The stranger left. Lost the connection to the server. Reconnecting/);
  expect(await alice.log()).toContain("The conversation has ended.");
  alice.network.refuse(false);
  await Promise.all([alice.hears(connected), bob.hears(connected)]);
});

test("B14 and so is one that the server can't hear of either", async () => {
  const [alice, bob] = await couple(stage);
  for (const { network } of [alice, bob]) {
    network.refuse(true);
    network.cut();
  }
  await Promise.all([alice.hears(unreachable), bob.hears(unreachable)]);
  await bob.next();
  await alice.hears(/^The stranger left. Lost the connection to the server/);
  await bob.hears(/^Lost the connection to the server. Reconnecting/);
  for (const { network } of [alice, bob]) network.refuse(false);
  await Promise.all([alice.hears(connected), bob.hears(connected)]);
});

test("Next while the connection is gone is done when it is back", async () => {
  const [alice, bob] = await couple(stage);
  const over = cut([alice], 1000);
  await alice.until("reconnecting");
  await alice.next();
  await alice.hears(/^Lost the connection to the server. Reconnecting/);
  await over;
  alice.network.refuse(false);
  await alice.until("waiting");
  await bob.hears(/^The stranger moved on. Looking for someone else/);
});

test("a wait goes on after a drop, with nobody met meanwhile", async () => {
  const alice = await stage.enter();
  await alice.start();
  await alice.until("waiting");
  alice.network.refuse(true);
  alice.network.cut();
  await alice.hears(/^Lost the connection to the server. Reconnecting/);
  const bob = await stage.enter();
  await bob.start();
  await bob.until("waiting");
  alice.network.refuse(false);
  await Promise.all([alice.until("connected"), bob.until("connected")]);
});

test("a media path that breaks is mended by an ICE restart, in the same call", async () => {
  const alice = await stage.enter();
  const bob = await stage.enter();
  const watches = await Promise.all([alice, bob].map(watchConnections));
  const devtools = await alice.page.context().newCDPSession(alice.page);
  await devtools.send("Network.enable");
  // The socket goes on; of what WebRTC sends and gets, this share is lost.
  const lose = (packetLoss: number) =>
    devtools.send("Network.emulateNetworkConditions", {
      offline: false,
      latency: 1,
      downloadThroughput: -1,
      uploadThroughput: -1,
      packetLoss,
    });
  await lose(0);
  await alice.start();
  await bob.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await Promise.all([alice.sees(), bob.sees()]);
  await talk(alice, bob, "before");

  await lose(100);
  const unstable = /^The connection to the stranger is unstable. Reconnecting/;
  await Promise.all([alice.hears(unstable), bob.hears(unstable)]);
  await Promise.any(watches.map((watch) => watch.restarted()));
  await lose(0);
  await Promise.all([alice.hears(connected), bob.hears(connected)]);
  // Not as shown: on a busy machine Chromium may decode every frame after such a gap, and paint none.
  await Promise.all(watches.map((watch) => watch.decodes(20)));
  await talk(alice, bob, "after");
  expect(await alice.log()).toContain("before from Bob");
}, 90_000);

/** Looks into the page's peer connections, which are none of the page's surface. From before the first. */
async function watchConnections({ page }: Guest) {
  const inside = await page.evaluateHandle(() => {
    const seen = { restarts: 0, made: [] as RTCPeerConnection[] };
    const { createDataChannel, restartIce } = RTCPeerConnection.prototype;
    RTCPeerConnection.prototype.createDataChannel = function (...args) {
      seen.made.push(this);
      return createDataChannel.apply(this, args);
    };
    RTCPeerConnection.prototype.restartIce = function () {
      seen.restarts += 1;
      restartIce.call(this);
    };
    return seen;
  });
  const often = { polling: 100 };
  const decoded = () =>
    inside.evaluate(async ({ made }) => {
      const stats = await made.at(-1)?.getStats();
      return [...(stats?.values() ?? [])].reduce(
        (sum, { framesDecoded = 0 }) => sum + framesDecoded,
        0,
      );
    });
  return {
    /** Waits for the first ICE restart. */
    restarted: () => page.waitForFunction(({ restarts }) => restarts > 0, inside, often),
    /** Waits until the newest connection has decoded `count` more frames than now. */
    async decodes(count: number, timeoutMs = 30_000): Promise<void> {
      const least = (await decoded()) + count;
      const endsAt = performance.now() + timeoutMs;
      while ((await decoded()) < least) {
        if (performance.now() > endsAt)
          throw new Error(`not within ${timeoutMs} ms: ${least} decoded frames`);
        await Bun.sleep(20);
      }
    },
  };
}

test("a tab that lost its session to a copy says so, and Start takes it back", async () => {
  const [alice, bob] = await couple(stage);
  const opened = alice.page.context().waitForEvent("page");
  await alice.page.evaluate(() => void window.open(location.href));
  const copy = somebody(await opened, "the copy");
  await copy.start();
  await alice.hears(/^This chat is open in another tab. Press Start to use it here/);
  await Promise.all([copy.until("connected"), bob.until("connected")]);
  expect(await alice.state()).toBe("idle");
  expect(await alice.by("start").isVisible()).toBe(true);

  await alice.start();
  await copy.hears(/^This chat is open in another tab/);
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await Promise.all([alice.sees(), bob.sees()]);
  expect(await copy.state()).toBe("idle");
});

test("a tab whose session was taken over while it was cut off is told so when it is back", async () => {
  const [alice, bob] = await couple(stage);
  await bob.stop();
  await alice.until("waiting");
  // A copy with a way to the server of its own, so that the first tab can be cut off alone.
  const copy = await stage.enter();
  const key = "peer-stream.token";
  const token = await alice.page.evaluate((name) => sessionStorage.getItem(name) ?? "", key);
  await copy.page.evaluate(([name, value]) => sessionStorage.setItem(name, value), [
    key,
    token,
  ] as const);
  await copy.page.reload();

  alice.network.refuse(true);
  alice.network.cut();
  await alice.until("reconnecting");
  await copy.start();
  await copy.until("waiting");
  alice.network.refuse(false);
  await alice.hears(/^This chat is open in another tab/);
  await bob.start();
  await Promise.all([copy.until("connected"), bob.until("connected")]);
  expect(await alice.state()).toBe("idle");
});
