/**
 * Racing nodes: joins, skips and drops on several nodes of one Redis, of which some are killed and some paused at
 * any moment. Everybody writes down what it was told; afterwards the histories are held against each other.
 */
import { expect, test } from "bun:test";
import type { Stats } from "../../src/protocol.ts";
import { startCluster } from "../support/cluster.ts";
import { startRedisCluster } from "../support/redis-cluster.ts";
import { startRedis, type Redis } from "../support/redis.ts";
import { connectPeer, httpClient, refusalOf, type TestPeer } from "../support/server.ts";
import { seededRandom } from "../support/virtual-system.ts";

/** On one Redis, and in each of the other places, which share nearly all of that code. */
const soak = process.env["SOAK_OPERATIONS"];
const operationsIn = (index: number) => Number(soak ?? (index === 0 ? 10_000 : 6000));
const peerCount = 100;
const skipCooldownMs = 5000;
const graceMs = 20_000;

interface Racer {
  name: number;
  peer: TestPeer;
  /** The room it believes to be in. */
  room: string | undefined;
  /** It has asked to leave that room; the answer may be on its way. */
  leaving: boolean;
  /**
   * Its connection has gone and `session` has not come yet. An answer on the new one may come before what was
   * missed, so that only `session`, after that, says where it stands.
   */
  away: boolean;
  /** The rooms that it was told have begun. */
  entered: Set<string>;
  ends: Map<string, number>;
  /** When it asked to skip each room. */
  skipAskedAt: Map<string, number>;
  /** How many signals it has sent into each room, by the answers; and the number of the last one that it received. */
  said: Map<string, number>;
  heard: Map<string, number>;
  /** It was told how things are in place of what it has missed. */
  hasMissed: boolean;
}

interface Ledger {
  /** Who was told to be what in a room. */
  rooms: Map<string, Map<"polite" | "impolite", number>>;
  /** Two who skipped → until when (milliseconds) they can't have been paired again. */
  cooldowns: Map<string, number>;
  violations: string[];
  pairings: number;
  /** Signals that were received. */
  signals: number;
}

const both = (a: number, b: number) => [Math.min(a, b), Math.max(a, b)].join(" and ");

function membersOf({ rooms }: Ledger, roomId: string): number[] {
  return [...(rooms.get(roomId)?.values() ?? [])];
}

/** Notes that one has been told to be in a room. @returns whether it is the second one of it. */
function noteMember(ledger: Ledger, { name }: Racer, room: { roomId: string; polite: boolean }) {
  const members = ledger.rooms.get(room.roomId) ?? new Map<"polite" | "impolite", number>();
  const role = room.polite ? "polite" : "impolite";
  const isNew = !members.has(role);
  if (!isNew && members.get(role) !== name)
    ledger.violations.push(`${name}: ${room.roomId} has two who are ${role}`);
  members.set(role, name);
  ledger.rooms.set(room.roomId, members);
  return isNew && members.size === 2;
}

/** The last events of one, with what tells them apart. */
function lately({ peer }: Racer): string {
  const told = peer.told.slice(-12).map(({ id, event }) => {
    const { type } = event;
    const room = "roomId" in event ? event.roomId.slice(0, 4) : "";
    const state = "state" in event ? event.state.status : "";
    const resumed = "resumed" in event && event.resumed ? "resumed" : "";
    return [id, type, room, state, resumed].filter((part) => part !== "").join(" ");
  });
  return told.join("; ");
}

/** Notes what one was told, and what of it must never be. */
function keepBook(ledger: Ledger, racers: Racer[], racer: Racer) {
  const wrong = (what: string) => ledger.violations.push(`${racer.name}: ${what}`);
  racer.peer.onLost(() => (racer.away = true));
  racer.peer.onTold((event) => {
    switch (event.type) {
      case "create-offer":
      case "wait-for-offer": {
        if (racer.room !== undefined && !racer.leaving && !racer.away)
          wrong(`in ${event.roomId} while still in ${racer.room}`);
        racer.room = event.roomId;
        racer.hasMissed = false;
        if (racer.entered.has(event.roomId)) wrong(`told twice that ${event.roomId} has begun`);
        racer.entered.add(event.roomId);
        const isSecond = noteMember(ledger, racer, event);
        const [one, other] = membersOf(ledger, event.roomId);
        if (!isSecond || one === undefined || other === undefined) return;
        ledger.pairings += 1;
        if (one === other) wrong("paired with itself");
        if ((ledger.cooldowns.get(both(one, other)) ?? 0) > Date.now())
          wrong(`met ${one === racer.name ? other : one} within the cooldown`);
        return;
      }
      case "partner-disconnected": {
        const times = (racer.ends.get(event.roomId) ?? 0) + 1;
        racer.ends.set(event.roomId, times);
        if (times > 1) wrong(`told ${times} times that ${event.roomId} has ended`);
        if (event.reason === "skipped") {
          const skipper = membersOf(ledger, event.roomId).find((name) => name !== racer.name);
          const askedAt = racers[skipper ?? -1]?.skipAskedAt.get(event.roomId) ?? 0;
          if (skipper !== undefined)
            ledger.cooldowns.set(both(racer.name, skipper), askedAt + skipCooldownMs);
        }
        if (racer.room === event.roomId) racer.room = undefined;
        return;
      }
      case "offer": {
        if (event.sdp.startsWith("from")) return;
        const [room = "", from, number] = event.sdp.split(" ");
        const [n, last] = [Number(number), racer.heard.get(room) ?? 0];
        ledger.signals += 1;
        racer.heard.set(room, n);
        if (event.roomId !== room) wrong(`a signal of ${room} in ${event.roomId}`);
        if (racer.ends.has(room)) wrong(`a signal after ${room} had ended`);
        if (from === String(racer.name)) wrong(`its own signal in ${room}`);
        if (n <= last) wrong(`signal ${n} after signal ${last} in ${room}`);
        if (n > last + 1 && !racer.hasMissed)
          wrong(
            `signal ${n} after signal ${last} in ${room}, and nothing between: ${lately(racer)}`,
          );
        return;
      }
      case "session":
      case "resync": {
        if (event.type === "resync") racer.hasMissed = true;
        const room = event.state.status === "paired" ? event.state.roomId : undefined;
        if (event.state.status === "paired") noteMember(ledger, racer, event.state);
        // One's own skip is the one way out of a room that nobody tells of, and its answer may be cut off. A session that is not resumed
        // comes in place of what was missed, also on a socket that has stayed open: its node was taken for gone, or its Redis has lost data.
        const hasAll = event.type === "session" && event.resumed;
        if (racer.room !== room && !racer.leaving && !racer.away && hasAll)
          wrong(`back in ${room} after ${racer.room}: ${lately(racer)}`);
        racer.room = room;
        racer.away = false;
        return;
      }
      default:
    }
  });
}

/** Of `kill`: one that is killed again and again, and started again with what it had. */
const places = {
  "one Redis": async () => ({ envOf: ({ url }: Redis) => ({ REDIS_URL: url }), kill: [] }),
  async "three Redis, with a part of the lobby each"(stack: AsyncDisposableStack) {
    const kill = [stack.use(await startRedis()), stack.use(await startRedis())];
    const envOf = (redis: Redis) => ({
      REDIS_URL: [redis, ...kill].map(({ url }) => url).join(),
    });
    return { envOf, kill };
  },
  async "a Redis Cluster of three masters"(stack: AsyncDisposableStack) {
    const { urls } = stack.use(await startRedisCluster());
    return { envOf: () => ({ REDIS_URL: urls, REDIS_CLUSTER: "true" }), kill: [] };
  },
} satisfies Record<
  string,
  (stack: AsyncDisposableStack) => Promise<{
    envOf: (redis: Redis) => Record<string, string>;
    kill: Redis[];
  }>
>;

for (const [index, [place, prepare]] of Object.entries(places).entries()) {
  const operations = operationsIn(index);
  test(`${operations} joins, signals, skips and drops on four racing nodes and ${place}, some killed and some paused, with wall clocks that step: nobody in two rooms, nobody lost, nobody met too soon, every end told once, every signal delivered once and in order`, async () => {
    const random = seededRandom(6 + index);
    const pick = (count: number) => Math.floor(random() * count);
    const env = {
      SKIP_COOLDOWN_MS: String(skipCooldownMs),
      GRACE_MS: String(graceMs),
      RELAX_AFTER_MS: "500",
      // All parts of the lobby are open once everybody is there, and stay open.
      REDIS_SHARD_PEERS: "25",
    };
    // Their wall clocks are not right; those of two are set forward and back all the while.
    const clocks: Record<string, string>[] = [
      {},
      { WALL_CLOCK_AHEAD_MS: "30000" },
      { WALL_CLOCK_AHEAD_MS: "-60000", WALL_CLOCK_STEPS_MS: "5000" },
      { WALL_CLOCK_STEPS_MS: "3600000" },
    ];
    await using stack = new AsyncDisposableStack();
    const { envOf, kill } = await prepare(stack);
    const cluster = stack.use(
      await startCluster(4, env, undefined, (node) => clocks[node] ?? {}, envOf),
    );
    const ledger: Ledger = {
      rooms: new Map(),
      cooldowns: new Map(),
      violations: [],
      pairings: 0,
      signals: 0,
    };
    const racers: Racer[] = [];
    for (let name = 0; name < peerCount; name++) {
      const peer = stack.use(await connectPeer(cluster.site));
      const racer: Racer = {
        name,
        peer,
        room: undefined,
        leaving: false,
        away: false,
        entered: new Set(),
        ends: new Map(),
        skipAskedAt: new Map(),
        said: new Map(),
        heard: new Map(),
        hasMissed: false,
      };
      racers.push(racer);
      keepBook(ledger, racers, racer);
    }

    let done = 0;
    let asked = 0;
    /** Asks until it is answered, or refused for good; the same id each time, so it is done once. */
    async function untilKnown(call: () => Promise<unknown>) {
      for (;;) {
        const answer = await refusalOf(call());
        if ("answered" in answer || (answer["reason"] ?? "unavailable") !== "unavailable")
          return answer;
        await Bun.sleep(20);
      }
    }
    const refusals = new Map<string, number>();
    /** One signal: it counts once it is known to have been delivered. */
    async function say({ peer, name, said }: Racer, room: string) {
      const number = (said.get(room) ?? 0) + 1;
      const input = { id: `${++asked}`, roomId: room, sdp: `${room} ${name} ${number}` };
      const answer = await untilKnown(() => peer.client.offer.mutate(input));
      const { delivered } = (answer["answered"] ?? {}) as { delivered?: boolean };
      if (delivered === true) said.set(room, number);
    }
    async function act(racer: Racer) {
      const { peer, room } = racer;
      const die = random();
      if (die < 0.1) return peer.cut();
      if (die < 0.5 && room !== undefined && random() < 0.8) return say(racer, room);
      const skips = die >= 0.5 && die < 0.9 && room !== undefined;
      const id = `${++asked}`;
      const interests = [`interest ${pick(4)}`];
      if (die >= 0.5) racer.leaving = true;
      if (skips) racer.skipAskedAt.set(room, Date.now());
      const answer = await untilKnown(() => {
        if (die < 0.5) return peer.client.join.mutate({ id, interests });
        return skips
          ? peer.client.skip.mutate({ id, roomId: room })
          : peer.client.leave.mutate({ id });
      });
      if ("answered" in answer) {
        if (die < 0.5) return;
        // No answer overtakes the events that led to it: whatever it has been told of before is over.
        if (!skips || racer.room === room) racer.room = undefined;
        racer.leaving = false;
      } else {
        racer.leaving = false;
        const reason = String(answer["reason"]);
        refusals.set(reason, (refusals.get(reason) ?? 0) + 1);
      }
    }
    const racing = racers.map(async (racer) => {
      while (done < operations) {
        done += 1;
        await act(racer);
        await Bun.sleep(pick(60));
      }
    });

    const accidents = { killed: 0, paused: 0, redisKilled: 0 };
    const disaster = (async () => {
      while (done < operations) {
        await Bun.sleep(1000 + pick(1500));
        const redis: Redis | undefined = kill[pick(3)];
        if (redis) {
          accidents.redisKilled += 1;
          await redis.kill();
          await Bun.sleep(pick(1500));
          await redis.start();
          continue;
        }
        const victim = pick(4);
        cluster.up[victim] = false;
        if (random() < 0.5) {
          accidents.killed += 1;
          await cluster.nodes[victim]?.kill();
          await cluster.replace(victim);
        } else {
          accidents.paused += 1;
          cluster.nodes[victim]?.pause();
          await Bun.sleep(500 + pick(8000));
          cluster.nodes[victim]?.resume();
          cluster.up[victim] = true;
        }
      }
    })();
    await Promise.all([...racing, disaster]);

    // Quiet again: everybody wants somebody, and there is one for each.
    await Promise.all(
      racers.map(async ({ peer }) => {
        while (!("answered" in (await refusalOf(peer.client.join.mutate())))) await Bun.sleep(50);
      }),
    );
    const stats = () => httpClient(cluster.at(0)).stats.query();
    const settledBy = Date.now() + skipCooldownMs + graceMs + 15_000;
    for (;;) {
      // A node that was paused refuses until it has begun anew.
      const counts = await refusalOf(stats());
      const { online, waiting, rooms } = (counts["answered"] ?? {}) as Partial<Stats>;
      if (online === peerCount && waiting?.video === 0 && rooms?.video === peerCount / 2) break;
      if (Date.now() > settledBy) {
        ledger.violations.push(`in the end: ${JSON.stringify(counts)}`);
        break;
      }
      await Bun.sleep(100);
    }
    // Each has been told of its room when it is answered.
    await Promise.all(racers.map(({ peer }) => refusalOf(peer.client.join.mutate())));
    // What everybody believes is what is so: a signal through each room reaches the other member.
    for (const racer of racers) {
      const { room, name, peer } = racer;
      const members = room === undefined ? [] : membersOf(ledger, room);
      const sent = await refusalOf(
        peer.client.offer.mutate({ roomId: room ?? "none", sdp: `from ${name}` }),
      );
      if (JSON.stringify(sent) !== '{"answered":{"delivered":true}}')
        ledger.violations.push(`${name} believes to be in ${room}, but ${JSON.stringify(sent)}`);
      else if (members.length !== 2 || !members.includes(name))
        ledger.violations.push(`${name} is in ${room}, whose members are ${members}`);
    }
    expect(ledger.signals).toBeGreaterThan(operations / 20);
    console.log(
      `  ${done} operations, ${ledger.pairings} pairings, ${ledger.signals} signals, ${accidents.killed} nodes killed, ${accidents.paused} paused, ${accidents.redisKilled} times Redis, refusals ${JSON.stringify(Object.fromEntries(refusals))}: ${ledger.violations.length} violations`,
    );
    expect(ledger.violations).toEqual([]);
  }, 1_200_000);
}
