/** The index in memory against a naive list, with tickets that come, go and look; long lists among them. */
import { expect, test } from "bun:test";
import { createDimensions, fit, requiredWants } from "../../../src/domain/facts.ts";
import { defaultWishes, type Ticket } from "../../../src/domain/ticket.ts";
import { LobbyIndex, type WaitingPeer } from "../../../src/engine/memory/lobby-index.ts";
import { declaration, somebody } from "../../support/population.ts";
import { seededRandom } from "../../support/virtual-system.ts";

interface Peer extends WaitingPeer<Peer> {
  value: { ticket: Ticket | undefined };
}

function peerWith(sessionId: string, queuedSince: number, random: () => number): Peer {
  const wishes = { ...defaultWishes, ...somebody(random) };
  const ticket: Ticket = {
    sessionId,
    wishes,
    since: queuedSince,
    queuedSince,
    accepts: "anybody",
    required: requiredWants(wishes, random() < 0.5 ? 0 : 10_000),
    revision: 1,
  };
  return {
    value: { ticket },
    person: { number: undefined, barred: undefined },
    indexEntries: undefined,
  };
}

for (const { seed, sizeMax, timeMax } of [
  { seed: 1, sizeMax: 100, timeMax: 100_000 },
  { seed: 2, sizeMax: 3000, timeMax: 3_600_000 },
  { seed: 3, sizeMax: 3000, timeMax: 1 },
  { seed: 4, sizeMax: 1200, timeMax: 4000 },
])
  test(`finds the oldest ones that fit, as a list would: up to ${sizeMax} within ${timeMax} ms`, () => {
    const random = seededRandom(seed);
    const index = new LobbyIndex<Peer>(createDimensions(declaration));
    let peers: Peer[] = [];
    let found = 0;
    for (let round = 0; round < 6 * sizeMax; round++) {
      const isGrowing = Math.floor(round / sizeMax) % 2 === 0;
      if (random() < (isGrowing ? 0.9 : 0.1)) {
        const peer = peerWith(`${round}`, Math.floor(random() * timeMax), random);
        index.add(peer);
        peers.push(peer);
      } else if (peers.length > 0) {
        const [gone] = peers.splice(Math.floor(random() * peers.length), 1);
        if (gone) index.remove(gone);
      }
      if (round % 10 > 0) continue;
      const looking = peerWith("looking", timeMax, random);
      index.add(looking);
      const own = looking.value.ticket as Ticket;
      const fitting = peers.flatMap(({ value: { ticket } }) =>
        ticket && fit(own, ticket) ? ticket : [],
      );
      const oldest = Math.min(...fitting.map(({ queuedSince }) => queuedSince));
      const eligible = index.eligibleFor(looking, 4);
      for (const ticket of eligible) expect(fitting).toContain(ticket);
      expect(eligible.length > 0).toBe(fitting.length > 0);
      // Times are compared to the second.
      if (eligible[0]) expect(eligible[0].queuedSince - oldest).toBeLessThan(1000);
      found += eligible.length;
      index.remove(looking);
    }
    for (const peer of peers) index.remove(peer);
    expect(found).toBeGreaterThan(sizeMax / 10);
  });

test("finds the oldest ones that fit where many were queued at one time, and others come back to their places before it", () => {
  const random = seededRandom(5);
  const index = new LobbyIndex<Peer>(createDimensions(declaration));
  const peers: Peer[] = [];
  const add = (queuedSince: number) => {
    const peer = peerWith(`${peers.length}`, queuedSince, random);
    index.add(peer);
    peers.push(peer);
  };
  for (let n = 0; n < 1500; n++) add(5000);
  for (let n = 0; n < 600; n++) add(2000);
  for (let round = 0; round < 300; round++) {
    const looking = peerWith("looking", 9000, random);
    index.add(looking);
    const own = looking.value.ticket as Ticket;
    const fitting = peers.flatMap(({ value: { ticket } }) =>
      ticket && fit(own, ticket) ? ticket : [],
    );
    const eligible = index.eligibleFor(looking, 4);
    for (const ticket of eligible) expect(fitting).toContain(ticket);
    expect(eligible[0]?.queuedSince ?? 0).toBe(
      fitting.length > 0 ? Math.min(...fitting.map(({ queuedSince }) => queuedSince)) : 0,
    );
    index.remove(looking);
  }
  for (const peer of peers) index.remove(peer);
});

test("a look compares a bounded number of those whom no bits tell from others, and finds who fits under its last term", () => {
  const topics = Array.from({ length: 40 }, (_, n) => `topic ${n}`);
  const index = new LobbyIndex<Peer>(createDimensions({ topics: { kind: "set", of: topics } }));
  let reads = 0;
  const add = (sessionId: string, wishes: Partial<Ticket["wishes"]>) => {
    const all = { ...defaultWishes, ...wishes };
    const ticket: Ticket = {
      sessionId,
      get wishes() {
        reads += 1;
        return all;
      },
      since: 0,
      queuedSince: 0,
      accepts: "anybody",
      required: requiredWants(all, 0),
      revision: 1,
    };
    const peer: Peer = {
      value: { ticket },
      person: { number: undefined, barred: undefined },
      indexEntries: undefined,
    };
    index.add(peer);
    return peer;
  };
  for (let n = 0; n < 4000; n++)
    add(`states all, and wants what nobody states ${n}`, {
      facts: { topics: topics.slice(0, 16) },
      wants: [{ of: "topics", in: ["topic 39"] }],
    });
  add("states and wants nothing", {});
  const looking = add("looking", { facts: { topics: topics.slice(0, 16) } });
  reads = 0;
  const eligible = index.eligibleFor(looking, 64);
  expect(eligible.map(({ sessionId }) => sessionId)).toEqual(["states and wants nothing"]);
  expect(reads).toBeLessThan(4000);
});
