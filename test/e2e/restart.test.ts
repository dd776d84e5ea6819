import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { couple, setStage, type Stage } from "./stage.ts";

setDefaultTimeout(60_000);

let stage: Stage;
beforeAll(async () => void (stage = await setStage({ SKIP_COOLDOWN_MS: "1000" })));
afterEach(async () => expect(await stage.clear()).toEqual([]));
afterAll(() => stage[Symbol.asyncDispose]());

test("a restart under a call: picture and chat go on, and the server learns of the room by the two", async () => {
  const [alice, bob] = await couple(stage);
  await alice.say("before");
  await bob.reads("before");

  await stage.stopServer();
  const away = /^Lost the connection to the server. Your call continues/;
  await Promise.all([alice.hears(away), bob.hears(away)]);
  await Promise.all([alice.sees(20), bob.sees(20)]);
  await alice.say("still here?");
  await bob.reads("still here?");

  await stage.startServer();
  const connected = /^You are connected/;
  await Promise.all([alice.hears(connected), bob.hears(connected)]);
  await Promise.all([alice.sees(20), bob.sees(20)]);
  await bob.say("and now?");
  await alice.reads("and now?");
  expect(await alice.log()).toContain("before");

  await alice.next();
  await bob.hears(/^The stranger moved on/);
  // The two are wanted again after the cooldown: it has their wishes from them, too. What was said the first time is gone.
  await Promise.all([alice.forgets("still here?"), bob.forgets("still here?")]);
  await Promise.all([alice.hears(connected), bob.hears(connected)]);
  await Promise.all([alice.sees(), bob.sees()]);
  await alice.say("nice to see you again");
  await bob.reads("nice to see you again");
});

test("Next under a call while the server is gone: both look for somebody when it is back", async () => {
  const [alice, bob] = await couple(stage);
  await alice.say("only for the first time");
  await bob.reads("only for the first time");
  await stage.stopServer();
  await Promise.all([alice.until("reconnecting"), bob.until("reconnecting")]);
  await alice.next();
  await alice.hears(/^Lost the connection to the server. Reconnecting/);
  await stage.startServer();
  await Promise.all([alice.forgets("only for the"), bob.forgets("only for the")]);
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await Promise.all([alice.sees(), bob.sees()]);
});

test("a restart brings back who waited, and leaves alone who did not", async () => {
  const carol = await stage.enter();
  await carol.start();
  await carol.until("waiting");
  await carol.stop();
  await carol.until("idle");
  const carolsStates = await carol.diary();
  const alice = await stage.enter();
  await alice.start();
  await alice.until("waiting");

  await stage.stopServer();
  await alice.hears(/^Lost the connection to the server. Reconnecting/);
  await stage.startServer();
  await alice.hears(/^Looking for someone/);
  const bob = await stage.enter();
  await bob.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);

  expect(await carolsStates()).toEqual([]);
  await carol.start();
  await carol.until("waiting");
});
