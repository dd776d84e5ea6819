/** The lobby's index in memory beside a list that is searched from its start: what it offers, and that it misses nobody. */
import { expect, test } from "bun:test";
import { fit, requiredWants, type Want } from "../../../src/domain/facts.ts";
import { accepts, defaultWishes, type Ticket, type Wishes } from "../../../src/domain/ticket.ts";
import { createAvoidanceGraph, isBarred } from "../../../src/engine/memory/avoidance.ts";
import { LobbyIndex, type WaitingPeer } from "../../../src/engine/memory/lobby-index.ts";
import { dimensions } from "../../support/facts-contract.ts";
import { seededRandom } from "../../support/virtual-system.ts";

interface Peer extends WaitingPeer<Peer> {
  value: { ticket: Ticket | undefined };
  readonly person: Person;
}
interface Person {
  number: number | undefined;
  barred: Map<number, number> | undefined;
  avoids: Map<Person, number> | undefined;
}

/** Whether two may be paired by words, mode and lobby, as the documents say: without any index. */
function meetByWords({ wishes: a, accepts: as }: Ticket, { wishes: b, accepts: bs }: Ticket) {
  if (a.mode !== b.mode || a.lobby !== b.lobby) return false;
  const both = (wanted: Ticket["accepts"]) => accepts(as, wanted) && accepts(bs, wanted);
  return (
    a.interests.some((word) => b.interests.includes(word)) ||
    (both("language") && a.languages.some((word) => b.languages.includes(word))) ||
    both("anybody")
  );
}

/** @param few how many different things people state: the fewer, the more are alike. */
function lobby(seed: number, few: number) {
  const random = seededRandom(seed);
  const pick = <T>(values: readonly T[]) => values[Math.floor(random() * values.length)] as T;
  const chance = (share: number) => random() < share;
  const some = (values: readonly string[]) => values.filter(() => chance(0.3));
  const index = new LobbyIndex<Peer>(dimensions);
  const avoidance = createAvoidanceGraph<Person>(100);
  const peers: Peer[] = [];
  let now = 1_000_000;
  let ids = 0;

  function wishes(): Wishes {
    const wants: Want[] = [];
    if (chance(0.6)) wants.push({ of: "region", in: [pick(["eu", "us", "asia"].slice(0, few))] });
    if (chance(0.3)) wants.push({ of: "gender", in: [pick(["woman", "man", "other"])] });
    if (chance(0.3)) wants.push({ of: "age", from: 20 + Math.floor(random() * few * 3), to: 60 });
    if (chance(0.2)) wants.push({ of: "topics", in: some(["jazz", "rock", "chess"]) });
    if (chance(0.1))
      wants.push({ of: "country", in: [`country ${31 * Math.floor(random() * 2)}`] });
    return {
      ...defaultWishes,
      mode: chance(0.9) ? "video" : "text",
      ...(chance(0.1) && { lobby: "club" }),
      interests: chance(0.2) ? some(["a", "b"]) : [],
      languages: chance(0.2) ? some(["en", "de"]) : [],
      facts: {
        ...(chance(0.9) && { region: pick(["eu", "us", "asia"].slice(0, few)) }),
        ...(chance(0.9) && { gender: pick(["woman", "man", "other"].slice(0, few)) }),
        ...(chance(0.7) && { age: 20 + Math.floor(random() * few * 5) }),
        ...(chance(0.5) && { topics: some(["jazz", "rock", "chess"]) }),
        ...(chance(0.5) && { country: `country ${31 * Math.floor(random() * 2)}` }),
      },
      wants: wants.filter(({ in: values }) => values?.length !== 0),
    };
  }

  const ticketOf = (wished: Wishes, id = `peer ${ids++}`): Ticket => ({
    sessionId: id,
    wishes: wished,
    since: now,
    // A few have a place that they have kept.
    queuedSince: chance(0.1) ? now - Math.floor(random() * 60_000) : now,
    accepts:
      wished.interests.length + wished.languages.length === 0 || chance(0.5)
        ? "anybody"
        : pick(["interest", "language"] as const),
    required: requiredWants(wished, 0),
    revision: 1,
  });

  return {
    index,
    random,
    peers,
    avoidance,
    enter(): Peer {
      now += Math.floor(random() * 300);
      const person = { number: undefined, barred: undefined, avoids: undefined };
      const peer: Peer = { value: { ticket: ticketOf(wishes()) }, person, indexEntries: undefined };
      for (const other of peers)
        if (chance(0.02)) {
          for (const one of [peer, other]) index.remove(one);
          avoidance.avoid(peer.person, other.person, Infinity);
          index.add(other);
        }
      peers.push(peer);
      index.add(peer);
      return peer;
    },
    leave() {
      const [gone] = peers.splice(Math.floor(random() * peers.length), 1);
      if (gone) index.remove(gone);
    },
    change() {
      const peer = pick(peers);
      index.remove(peer);
      peer.value = { ticket: ticketOf(wishes(), peer.value.ticket?.sessionId) };
      index.add(peer);
    },
    /** Those whom a peer may meet, the longest queued first. */
    expected(peer: Peer): Ticket[] {
      const own = peer.value.ticket;
      if (!own) return [];
      return peers
        .flatMap((other) => {
          const { ticket } = other.value;
          if (!ticket || other === peer || isBarred(peer.person, other.person)) return [];
          return meetByWords(own, ticket) && fit(own, ticket) ? [ticket] : [];
        })
        .sort((a, b) => a.queuedSince - b.queuedSince);
    },
  };
}

/** Tickets are queued to the second: within one, the order is that of arrival. */
const bucketOf = (ticket: Ticket | undefined) => Math.ceil((ticket?.queuedSince ?? 0) / 1000);

test.each([
  ["short lists", 40, 3],
  ["long lists of people who differ", 600, 3],
  ["long lists of people who are alike", 600, 1],
] as const)("offers only those who fit, and the longest queued of them: %s", (_, size, few) => {
  for (let seed = 1; seed <= 4; seed++) {
    const { index, random, peers, enter, leave, change, expected } = lobby(seed, few);
    let looks = 0;
    let found = 0;
    for (let step = 0; step < 2.5 * size; step++) {
      const what = random();
      if (peers.length < size / 2 || what < 0.5) enter();
      else if (what < 0.75) leave();
      else change();
      if (step % 8 !== 0) continue;
      const peer = peers[Math.floor(random() * peers.length)];
      const own = peer?.value.ticket;
      if (!peer || !own) continue;
      const offered = index.eligibleFor(peer, 4);
      const all = expected(peer);
      const about = { seed, step, id: own.sessionId, offered: offered.length, of: all.length };
      looks += 1;
      found += offered.length;
      for (const ticket of offered)
        expect({ about, fits: all.includes(ticket) }).toEqual({ about, fits: true });
      expect(new Set(offered).size).toBe(offered.length);
      if (!accepts(own.accepts, "anybody")) continue;
      // Whoever accepts anybody is offered somebody if there is anybody who does too, and the one who was queued first.
      const alike = all.filter((one) => accepts(one.accepts, "anybody"));
      expect({ about, none: alike.length > 0 && offered.length === 0 }).toEqual({
        about,
        none: false,
      });
      const first = Math.min(...alike.map(bucketOf));
      const isFirst = alike.length === 0 || offered.some((one) => bucketOf(one) <= first);
      expect({ about, isFirst }).toEqual({ about, isFirst: true });
    }
    expect(looks).toBeGreaterThan(10);
    expect(found).toBeGreaterThan(0);
    while (peers.length > 0) leave();
  }
});
