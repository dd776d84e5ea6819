/** B15: a call to whom media flows outlives whatever happens to the signaling. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { startRedis } from "../support/redis.ts";
import { startServer } from "../support/server-process.ts";
import { until } from "../support/until.ts";
import { couple, setStage, type Guest, type Stage } from "./stage.ts";

setDefaultTimeout(120_000);

const graceMs = 2000;
const settings = {
  GRACE_MS: String(graceMs),
  SKIP_COOLDOWN_MS: "1000",
  // The test itself asks for the numbers.
  ALLOW_NO_ORIGIN: "true",
};

let stage: Stage;
beforeAll(async () => void (stage = await setStage(settings)));
afterEach(async () => expect(await stage.clear()).toEqual([]));
afterAll(() => stage[Symbol.asyncDispose]());

const unreachable = /^Lost the connection to the server. Your call continues/;
const partnerDropped = /^The stranger's connection dropped. Waiting for them to reconnect/;
const connected = /^You are connected/;

const both = (guests: readonly Guest[], each: (guest: Guest) => Promise<unknown>) =>
  Promise.all(guests.map(each));

const isolate = ({ network }: Guest) => {
  network.refuse(true);
  network.cut();
};

/** Waits until the server has so many rooms. */
function rooms(origin: string, count: number): Promise<void> {
  return until(`the server has ${count} rooms`, async () => {
    const answer = await fetch(`${origin}/trpc/stats`);
    const { result, error } = (await answer.json()) as {
      result?: { data: { rooms: { video: number } } };
      error?: unknown;
    };
    if (!result) throw new Error(JSON.stringify(error));
    return result.data.rooms.video === count;
  });
}

/** Notes each connection that the page makes from now on. */
const watchCalls = ({ page }: Guest) =>
  page.evaluateHandle(() => {
    const made: RTCPeerConnection[] = [];
    const { createDataChannel } = RTCPeerConnection.prototype;
    RTCPeerConnection.prototype.createDataChannel = function (...args) {
      made.push(this);
      return createDataChannel.apply(this, args);
    };
    return made;
  });

/** The call goes on as it was, and it is in a room of the server's, which each can leave by Next. */
async function expectWhole([alice, bob]: readonly [Guest, Guest], made: readonly number[]) {
  await both([alice, bob], (one) => one.hears(connected));
  await both([alice, bob], (one) => one.sees(20));
  await alice.say("after");
  await bob.reads("after");
  for (const one of [alice, bob]) expect(await one.log()).toContain("before");
  expect(made).toEqual([0, 0]);
  await alice.next();
  await bob.hears(/^The stranger moved on/);
  // And so can the other one, in the next room.
  await both([alice, bob], (one) => one.forgets("before"));
  await both([alice, bob], (one) => one.hears(connected));
  await bob.next();
  await alice.hears(/^The stranger moved on/);
}

/** Two in a call in which something was said; `made` counts the connections since. */
async function calling(on: Stage) {
  const guests = await couple(on);
  await both(guests, (one) => one.sees());
  await guests[0].say("before");
  await guests[1].reads("before");
  const calls = await both(guests, watchCalls);
  const made = () =>
    Promise.all(
      calls.map((handle) =>
        (handle as Awaited<ReturnType<typeof watchCalls>>).evaluate(({ length }) => length),
      ),
    );
  return { guests, made };
}

test("B15 one of the two is away for longer than the grace: its place is kept, and nobody takes it", async () => {
  const { guests, made } = await calling(stage);
  const [alice, bob] = guests;
  isolate(alice);
  await Promise.all([alice.hears(unreachable), bob.hears(partnerDropped)]);
  const carol = await stage.enter();
  await carol.start();
  await carol.until("waiting");
  // The grace is over by then, however late it began.
  await Bun.sleep(2 * graceMs);
  await bob.hears(partnerDropped);
  expect(await carol.state()).toBe("waiting");
  await carol.stop();
  alice.network.refuse(false);
  await expectWhole(guests, await made());
});

test("B15 both are away for longer than the grace: the room is made whole again by the two", async () => {
  const { guests, made } = await calling(stage);
  await rooms(stage.origin, 1);
  for (const one of guests) isolate(one);
  await both(guests, (one) => one.hears(unreachable));
  await rooms(stage.origin, 0);
  await both(guests, (one) => one.sees(20));
  const [alice, bob] = guests;
  alice.network.refuse(false);
  // Until the other one is back the call goes on without a room.
  await alice.hears(/^The server no longer knows this call/);
  await rooms(stage.origin, 0);
  bob.network.refuse(false);
  await both(guests, (one) => one.hears(connected));
  await rooms(stage.origin, 1);
  await expectWhole(guests, await made());
});

test("B15 the server is killed under a call, and started again: it learns of the room by the two", async () => {
  const { guests, made } = await calling(stage);
  await stage.killServer();
  await both(guests, (one) => one.hears(unreachable));
  await both(guests, (one) => one.sees(20));
  await stage.startServer();
  await both(guests, (one) => one.hears(connected));
  await rooms(stage.origin, 1);
  await expectWhole(guests, await made());
});

test("B15 the node of one is killed, and its peer finds another one only after the grace", async () => {
  await using redis = await startRedis();
  const env = { ...settings, REDIS_URL: redis.url, SESSION_SECRET: "a secret of both nodes" };
  await using first = await setStage(env);
  await using second = await startServer({
    ...env,
    LIMIT_SOCKETS_PER_ADDRESS: "0",
    LIMIT_HANDSHAKES_PER_MIN: "0",
  });
  const { guests, made } = await calling(first);
  const [alice, bob] = guests;
  bob.network.retarget(new URL(second.origin));
  bob.network.cut();
  await bob.until("reconnecting");
  await both(guests, (one) => one.hears(connected));

  alice.network.refuse(true);
  await first.killServer();
  // Of a node that is dead the others know only after a lease, which is longer than this grace.
  const gone = /^The (stranger's connection dropped|server no longer knows this call)/;
  await Promise.all([alice.hears(unreachable), bob.hears(gone, 30_000)]);
  await both(guests, (one) => one.sees(20));
  alice.network.retarget(new URL(second.origin));
  alice.network.refuse(false);
  await expectWhole(guests, await made());
  expect(await first.clear()).toEqual([]);
});

test("a page that is offline for longer than the grace is in the same call in its next network", async () => {
  const { guests, made } = await calling(stage);
  const [alice, bob] = guests;
  await alice.page.context().setOffline(true);
  alice.network.cut();
  await Promise.all([alice.hears(unreachable), bob.hears(partnerDropped)]);
  await Bun.sleep(2 * graceMs);
  await bob.hears(partnerDropped);
  await alice.page.context().setOffline(false);
  await expectWhole(guests, await made());
});

test("a page that is left and come back to has left its call, and finds somebody again", async () => {
  const { guests } = await calling(stage);
  const [alice, bob] = guests;
  await alice.page.goto("about:blank");
  await bob.hears(/^The stranger left/);
  await alice.page.goBack();
  // Restored from the cache of pages it searches by itself; loaded anew it does not.
  await alice.until(["idle", "waiting", "connecting", "connected"]);
  if ((await alice.state()) === "idle") await alice.start();
  await both(guests, (one) => one.hears(connected));
});
