/** ICE servers of a provider: kept by address, asked for once, limited in time and number, and what peers get when it fails. */
import { describe, expect, test } from "bun:test";
import type { IceSource, IceProviderAnswer, IceProvider, IceRequest } from "../../../src/ice.ts";
import { iceServersFor, relayAvailable } from "../../../src/ice.ts";
import type { IceServer } from "../../../src/protocol.ts";
import { withProvided } from "../../../src/signaling/provided-ice.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";
import { createWorld, type Peer } from "../../support/world.ts";

const ttlS = 3600;
const stun = { urls: ["stun:stun.example"] };
const refuse = () => Promise.reject(new Error("out of order"));

/** Answers are counted: `user1` is the first. */
function createSite(
  given: {
    answer?: (request: IceRequest, count: number) => IceProviderAnswer | Promise<IceProviderAnswer>;
    revoke?: IceProvider["revoke"];
  } = {},
) {
  const system = createVirtualSystem();
  const counts: Record<string, number> = {};
  const logged: string[] = [];
  const asked: string[] = [];
  const behaviour = {
    answer: given.answer ?? (async (_: IceRequest, count: number) => [turnOf(count)]),
    revoke: given.revoke,
  };
  let count = 0;
  const provide: IceProvider = (request) => {
    asked.push(request.name);
    return behaviour.answer(request, ++count);
  };
  if (given.revoke)
    provide.revoke = (username, signal) => behaviour.revoke?.(username, signal) ?? refuse();
  const note = (level: string) => (what: string, fields: object) =>
    void logged.push(`${level} ${what} ${"why" in fields ? String(fields.why) : ""}`.trim());
  const ice: IceSource = withProvided(
    { stunUrls: stun.urls, turnUrls: [], turnTtlS: ttlS, provide },
    {
      system,
      log: { warn: note("warn"), info: (what) => void logged.push(`info ${what}`) },
      metrics: {
        askedForTurn: (outcome) => void (counts[outcome] = (counts[outcome] ?? 0) + 1),
      },
    },
  );
  return {
    system,
    ice,
    asked,
    logged,
    counts,
    behaviour,
    /** At once if it is no promise. */
    given: (address: string, patience: "none" | "brief" | "full" = "brief") =>
      iceServersFor(ice, 0, address, patience),
  };
}

const turnOf = (count: number) => ({
  urls: "turn:turn.example",
  username: `user${count}`,
  credential: `password${count}`,
});

const user = (servers: unknown) =>
  (servers as IceServer[]).find(({ username }) => username !== undefined)?.username ?? "none";

describe("the credentials of an address", () => {
  test("are known to be valid for what is left of their time", async () => {
    const { given, ice, system } = createSite();
    const validForMs = () => ice.provided?.validForMs("ann");
    expect(validForMs()).toBeUndefined();
    await given("ann", "full");
    const atFirstMs = validForMs() ?? Number.NaN;
    expect(atFirstMs).toBeLessThanOrEqual(ttlS * 1000);
    await system.advance(10_000);
    expect(validForMs()).toBe(atFirstMs - 10_000);
    await system.advance(ttlS * 1000);
    expect(validForMs()).toBeUndefined();
  });

  test("are asked for once, however many want them at a time, by a pseudonym, and given at once from then on", async () => {
    const { given, asked, system } = createSite();
    const first = await Promise.all([given("ann"), given("ann"), given("ann", "full")]);
    expect(first.map(user)).toEqual(["user1", "user1", "user1"]);
    expect(first[0]).toEqual([
      stun,
      { urls: ["turn:turn.example"], username: "user1", credential: "password1" },
    ]);
    expect(asked).toEqual([expect.stringMatching(/^[\w-]{16}$/)]);
    expect(given("ann")).not.toBeInstanceOf(Promise);
    expect(user(await given("bob"))).toBe("user2");
    expect(asked[1]).not.toBe(asked[0]);
    // Another half: of all that is known nothing is asked again.
    await system.advance((ttlS * 1000) / 2 - 1);
    expect(user(given("ann"))).toBe("user1");
    expect(asked).toHaveLength(2);
  });

  test("are renewed at half of their time while the old ones are given, and waited for after three quarters", async () => {
    const { given, asked, system } = createSite();
    await given("ann");
    await system.advance((ttlS * 1000) / 2);
    expect(user(given("ann"))).toBe("user1");
    await system.settled();
    expect(user(given("ann"))).toBe("user2");
    expect(asked).toHaveLength(2);
    await system.advance((ttlS * 1000 * 3) / 4);
    const waited = given("ann");
    expect(waited).toBeInstanceOf(Promise);
    expect(user(await waited)).toBe("user3");
  });

  test("of a provider with a STUN server come without the configured one", async () => {
    const { given } = createSite({
      answer: async () => [{ urls: "stun:other.example" }, turnOf(1)],
    });
    expect((await given("ann")).map(({ urls }) => urls)).toEqual([
      ["stun:other.example"],
      ["turn:turn.example"],
    ]);
  });

  test("are kept for 10,000 addresses, of which the one that was used longest ago is forgotten", async () => {
    const { given, asked } = createSite();
    for (let index = 0; index < 10_000; index += 1) await given(`address ${index}`);
    expect(asked).toHaveLength(10_000);
    expect(given("address 0")).not.toBeInstanceOf(Promise);
    await given("one more");
    expect(given("address 0")).not.toBeInstanceOf(Promise);
    expect(given("address 1")).toBeInstanceOf(Promise);
  });

  test("are asked for at 200 addresses at a time: others get STUN alone", async () => {
    const answers = Promise.withResolvers<IceProviderAnswer>();
    const { given, asked } = createSite({ answer: () => answers.promise });
    for (let index = 0; index < 250; index += 1) void given(`address ${index}`, "full");
    expect(asked).toHaveLength(200);
    expect(given("one more")).toEqual([stun]);
    answers.resolve([turnOf(1)]);
    expect(user(await given("address 199", "full"))).toBe("user1");
    expect(user(await given("one more", "full"))).toBe("user1");
  });
});

describe("while the provider fails, peers get", () => {
  test("STUN alone without earlier credentials, at once but for the first; the log says why once a minute, and when it is over", async () => {
    const site = createSite({ answer: refuse });
    const { given, asked, system, logged, counts } = site;
    expect(await given("ann")).toEqual([stun]);
    for (let count = 0; count < 100; count += 1) expect(given(`address ${count}`)).toEqual([stun]);
    expect(asked).toHaveLength(1);
    expect(logged).toEqual(["warn the provider gives no TURN credentials out of order"]);
    expect(counts).toEqual({ failed: 1, none: 101 });
    // After 1, 2, 4, 8, 16, and then each 30 s.
    const at: number[] = [];
    for (let second = 1; second <= 120; second += 1) {
      await system.advance(1000);
      const before = asked.length;
      await Promise.all([given("ann"), given("bob"), given("cem")]);
      if (asked.length > before) at.push(second);
    }
    expect(at).toEqual([1, 3, 7, 15, 31, 61, 91]);
    expect(asked).toHaveLength(8);
    expect(logged).toHaveLength(2);
    site.behaviour.answer = async () => [turnOf(1)];
    await system.advance(30_000);
    expect(user(await given("ann"))).toBe("user1");
    expect(logged.at(-1)).toBe("info the provider gives TURN credentials again");
    expect(user(await given("bob"))).toBe("user1");
  });

  test("the last credentials of their address while these are valid, then STUN alone", async () => {
    const site = createSite();
    const { given, system, counts } = site;
    await given("ann");
    site.behaviour.answer = refuse;
    await system.advance(ttlS * 1000 - 1);
    expect(user(await given("ann"))).toBe("user1");
    expect(counts["older"]).toBe(1);
    await system.advance(1);
    expect(await given("ann")).toEqual([stun]);
  });

  test("what a hanging provider gives: after 500 ms STUN alone, and nobody waits any more until it answers", async () => {
    const answers = Promise.withResolvers<IceProviderAnswer>();
    const site = createSite({ answer: () => answers.promise });
    const { given, system, logged } = site;
    let first: IceServer[] | undefined;
    void Promise.resolve(given("ann")).then((servers) => (first = servers));
    await system.advance(499);
    expect(first).toBeUndefined();
    await system.advance(1);
    expect(first).toEqual([stun]);
    expect(given("ann")).toEqual([stun]);
    expect(given("bob")).toEqual([stun]);
    // What has to have credentials waits for as long as the request may take.
    const asked = Promise.resolve(given("cem", "full"));
    await system.advance(2000);
    expect(await asked).toEqual([stun]);
    expect(logged).toEqual([
      "warn the provider gives no TURN credentials no answer within 2000 ms",
    ]);
    site.behaviour.answer = async () => [turnOf(7)];
    await system.advance(1000);
    expect(user(await given("bob", "full"))).toBe("user7");
    // It answers again, and is waited for again.
    expect(given("ann")).toBeInstanceOf(Promise);
  });

  test("a function that throws at once, or answers rubbish, fails like any other", async () => {
    const throws = createSite({
      answer: () => {
        throw new TypeError("at once");
      },
    });
    expect(await throws.given("ann")).toEqual([stun]);
    expect(throws.logged[0]).toEndWith("at once");
    // What has no text at all is no reason to let peers wait forever.
    const nameless = createSite({ answer: () => Promise.reject(Object.create(null)) });
    expect(await nameless.given("ann")).toEqual([stun]);
    expect(nameless.logged).toHaveLength(1);
    const rubbish = createSite({ answer: async () => "<html>" as never });
    expect(await rubbish.given("ann")).toEqual([stun]);
    expect(rubbish.logged[0]).toContain("the answer is not a list of ICE servers");
  });

  test("no relay to hide an address behind", async () => {
    const site = createSite({ answer: refuse });
    expect(await relayAvailable(site.ice, "ann")).toBe(false);
    site.behaviour.answer = async () => [{ urls: "stun:other.example" }];
    await site.system.advance(1000);
    expect(await relayAvailable(site.ice, "ann")).toBe(false);
    site.behaviour.answer = async () => [turnOf(1)];
    expect(await relayAvailable(site.ice, "bob")).toBe(true);
  });
});

describe("what an address was given is revoked", () => {
  test("with all its renewals that are valid, and others are asked for after that", async () => {
    const revoked: string[] = [];
    const site = createSite({ revoke: async (username) => void revoked.push(username) });
    const { given, ice, system, counts } = site;
    await given("ann");
    await system.advance((ttlS * 1000) / 2);
    void given("ann");
    await system.settled();
    await given("bob");
    ice.provided?.revoke("ann");
    ice.provided?.revoke("nobody");
    await system.settled();
    expect(revoked.toSorted()).toEqual(["user1", "user2"]);
    expect(counts["revoked"]).toBe(2);
    expect(user(given("bob"))).toBe("user3");
    expect(user(await given("ann"))).toBe("user4");
    await system.advance(ttlS * 1000);
    ice.provided?.revoke("ann");
    await system.settled();
    expect(revoked).toHaveLength(2);
  });

  test("also if it is still being asked for", async () => {
    const revoked: string[] = [];
    const answers = Promise.withResolvers<IceProviderAnswer>();
    const site = createSite({
      answer: () => answers.promise,
      revoke: async (username) => void revoked.push(username),
    });
    void site.given("ann");
    site.ice.provided?.revoke("ann");
    answers.resolve([turnOf(1)]);
    await site.system.settled();
    expect(revoked).toEqual(["user1"]);
    site.behaviour.answer = async () => [turnOf(2)];
    expect(user(await site.given("ann"))).toBe("user2");
  });

  test("in three tries, and the log says if it could not be; a stop ends them", async () => {
    let tries = 0;
    const site = createSite({
      revoke() {
        tries += 1;
        return refuse();
      },
    });
    const { given, ice, system, logged, counts } = site;
    await given("ann");
    ice.provided?.revoke("ann");
    await system.advance(60_000);
    expect(tries).toBe(3);
    expect(counts["not-revoked"]).toBe(1);
    expect(logged).toEqual([
      "warn TURN credentials of a suspended peer were not revoked out of order",
    ]);
    await given("ann");
    ice.provided?.revoke("ann");
    await system.settled();
    ice.provided?.stop();
    await system.advance(60_000);
    expect(tries).toBe(4);
  });
});

describe("a site with a provider", () => {
  const user = (peer: Peer) => {
    const { event } = peer.told.findLast(({ event: told }) => "iceServers" in told) ?? {};
    const { iceServers = [] } = event as { iceServers?: IceServer[] };
    return iceServers.find(({ username }) => username !== undefined)?.username ?? "none";
  };

  test("asks for who waits, so that the pairing event has the credentials at once", async () => {
    const asked: string[] = [];
    const world = createWorld({
      ice: {
        provide: async ({ name }) => {
          asked.push(name);
          return [turnOf(asked.length)];
        },
      },
    });
    const [ann, bob] = [await world.connect("Ann"), await world.connect("Bob")];
    expect(asked).toHaveLength(0);
    await ann.join();
    expect(asked).toHaveLength(1);
    await bob.join({ mode: "text" });
    expect(asked).toHaveLength(1);
    await bob.join();
    expect([user(ann), user(bob)]).toEqual(["user1", "user2"]);
  });

  test("holds back only what follows the event that waits, in its order, and for 500 ms at most", async () => {
    const answers = new Map<string, PromiseWithResolvers<IceProviderAnswer>>();
    const world = createWorld({
      ice: {
        provide({ name }) {
          const answer = Promise.withResolvers<IceProviderAnswer>();
          answers.set(name, answer);
          return answer.promise;
        },
      },
    });
    const [ann, bob] = [await world.connect("Ann"), await world.connect("Bob")];
    await ann.join();
    // Those of Ann have come in time.
    for (const { resolve } of answers.values()) resolve([turnOf(1)]);
    await world.system.settled();
    expect(await bob.join()).toBe("paired");
    expect(user(ann)).toBe("user1");
    expect(bob.types()).toEqual(["session", "lobby"]);
    for (let index = 0; index < 5; index += 1)
      await world.signaling.send(ann.caller, {
        type: "add-ice-candidate",
        roomId: ann.roomId(),
        candidate: { candidate: String(index) },
      });
    await ann.skip();
    expect(ann.types().at(-1)).toBe("lobby");
    expect(bob.types()).toEqual(["session", "lobby"]);
    await world.advance(499);
    expect(bob.types()).toEqual(["session", "lobby"]);
    await world.advance(1);
    const types = bob.types(2);
    expect(types[0]).toMatch(/^(create|wait-for)-offer$/);
    expect(types.slice(1)).toEqual([
      ...Array.from({ length: 5 }, () => "add-ice-candidate"),
      "partner-disconnected",
      "lobby",
    ]);
    const candidates = bob.told.flatMap(({ event }) =>
      event.type === "add-ice-candidate" ? [event.candidate.candidate] : [],
    );
    expect(candidates).toEqual(["0", "1", "2", "3", "4"]);
    expect(user(bob)).toBe("none");
    // Nobody waits any more.
    const [cem, dan] = [await world.connect("Cem"), await world.connect("Dan")];
    await cem.join({ interests: ["jazz"] });
    await dan.join({ interests: ["jazz"] });
    expect([user(cem), user(dan)]).toEqual(["none", "none"]);
    expect(dan.types().at(-1)).toMatch(/-offer$/);
  });

  test("replays what was missed behind an event that waits, in order", async () => {
    let isHanging = false;
    let count = 0;
    const provide = () =>
      isHanging
        ? new Promise<never>(() => {})
        : Promise.resolve({ iceServers: [turnOf(++count)], ttlS: 60 });
    const world = createWorld({ graceMs: 120_000, ice: { provide } });
    const [ann, bob] = [await world.connect("Ann"), await world.connect("Bob")];
    await ann.join();
    await bob.join();
    const send = (index: number) =>
      world.signaling.send(ann.caller, {
        type: "add-ice-candidate",
        roomId: ann.roomId(),
        candidate: { candidate: String(index) },
      });
    await world.advance(500);
    expect(user(bob)).toBe("user2");
    const beforeTheOffer = bob.told[1]?.id;
    await bob.drop();
    // His credentials are about to expire.
    await world.advance(50_000);
    isHanging = true;
    await send(0);
    const before = bob.told.length;
    await bob.comeBack({ lastEventId: beforeTheOffer });
    await send(1);
    await world.advance(499);
    expect(bob.types(before)).toEqual([]);
    await world.advance(1);
    expect(bob.types(before)).toEqual(["add-ice-candidate", "session", "add-ice-candidate"]);
    expect(user(bob)).toBe("user2");
  });

  test("lets nobody in who may only be relayed while there is no relay, as without TURN", async () => {
    let fails = true;
    const world = createWorld({
      ice: { provide: async () => (fails ? refuse() : [turnOf(1)]) },
    });
    const ann = await world.connect("Ann");
    expect(await ann.join({ relayOnly: true })).toBe("relay-unavailable");
    expect(await ann.join({ relayOnly: true, mode: "text" })).toBe("waiting");
    expect(await ann.join()).toBe("waiting");
    fails = false;
    await world.advance(10_000);
    expect(await ann.join({ relayOnly: true })).toBe("waiting");
  });

  test("revokes what a peer was given that is suspended, when it is told, and of an address at once", async () => {
    const revoked: string[] = [];
    let count = 0;
    const provide: IceProvider = async () => [turnOf(++count)];
    provide.revoke = async (username) => void revoked.push(username);
    const world = createWorld({ ice: { provide } });
    const [ann, bob] = [await world.connect("Ann"), await world.connect("Bob", "bob's account")];
    await ann.join();
    await bob.join();
    const until = world.system.now() + 3_600_000;
    await world.signaling.suspend({ kind: "account", id: "bob's account" }, until);
    await world.system.settled();
    expect(revoked).toEqual(["user2"]);
    await world.signaling.suspend({ kind: "address", id: "address of Ann" }, until);
    await world.system.settled();
    expect(revoked).toEqual(["user2", "user1"]);
  });
});
