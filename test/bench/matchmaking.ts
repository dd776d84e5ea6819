/**
 * What a join (and a leave) costs as the lobby grows: `bun test/bench/matchmaking.ts [largest] [row]` (default
 * 1000000 waiting, every row).
 *
 * A row's figure is the time of that alone; what puts the lobby back as it was is not counted. The control row
 * is the least that any lobby could do: one Map set, one delete, one random pick, on a Map of the same size. It
 * takes turns with the row, five hundred each, so that neither has the processor's caches to itself for long, nor a
 * noisy moment. All sizes take turns too, several rounds in one run after some to warm up; a figure is the median
 * of the rounds.
 */
import { heapStats } from "bun:jsc";
import { createLobby } from "../../src/app/peer-stream.ts";
import { createDimensions, meets, type Dimensions } from "../../src/domain/facts.ts";
import { isRejection } from "../../src/domain/rejection.ts";
import { defaultWishes, type Wishes } from "../../src/domain/ticket.ts";
import type { Caller, Engine } from "../../src/engine/engine.ts";
import { createMemoryEngine } from "../../src/engine/memory/memory-engine.ts";
import type { Signaling } from "../../src/signaling/signaling.ts";
import { createSystem } from "../../src/system.ts";
import { seededRandom } from "../support/virtual-system.ts";
import { engineOptions } from "../support/engine-options.ts";
import { declaration, somebody } from "../support/population.ts";

const largest = Number(process.argv[2] ?? 1e6);
const only = process.argv[3] ?? "";
const sizes = [1e3, 1e4, 1e5, 1e6].filter((size) => size <= largest);
const warmUpRounds = 5;
const rounds = 11;
const turnsPerRound = 4;
const cyclesPerTurn = 500;
/** As many as avoid each other in the clique: each member's cooldowns reach the cap's order. */
const cliqueSize = 1000;

interface Lobby {
  engine: Engine;
  signaling: Signaling;
  /** A present session that is idle. */
  connect(): Promise<Caller>;
  /** A ticket that waits; nobody looks for a partner for it. */
  wait(wishes: Wishes, caller?: Caller): Promise<Caller>;
}

function openLobby(dimensions?: Dimensions): Lobby {
  // Its clock stands still: no ticket relaxes and no alarm goes off in the middle of a measurement.
  const system = { ...createSystem(), now: () => 1_000_000, schedule: () => () => {} };
  const engine = createMemoryEngine(system, { ...engineOptions, dimensions });
  const log = { debug() {}, info() {}, warn() {}, error() {}, bug: console.error };
  const ice = { stunUrls: [], turnUrls: [], turnTtlS: 300 };
  const { signaling } = createLobby({ engine, system, log, ice });
  async function connect() {
    const attached = await engine.attach({
      sessionId: system.id(),
      generation: 0,
      addressHash: "",
      wake() {},
    });
    if (isRejection(attached)) throw new Error(attached.reason);
    const { sessionId, generation } = attached.stream;
    return { sessionId, generation };
  }
  return {
    engine,
    signaling,
    connect,
    async wait(wishes, known) {
      const caller = known ?? (await connect());
      await engine.enqueue(caller, wishes);
      return caller;
    },
  };
}

/** Does what is measured, and answers how to put the lobby back. */
type Cycle = (n: number) => Promise<() => unknown>;
type Case = (size: number) => Promise<Cycle>;

const asked = (interests: string[] = []) => ({
  ...defaultWishes,
  interests,
  languages: [],
  autoRejoin: false,
});

/** A hundred sessions take turns, so that no cache flatters the one. */
async function joiners(lobby: Lobby, wishes: Wishes) {
  const callers: Caller[] = [];
  for (let n = 0; n < 100; n++) {
    const caller = await lobby.wait(wishes);
    await lobby.engine.end(caller, { ending: "leave" });
    callers.push(caller);
  }
  return (n: number) => callers[n % callers.length] as Caller;
}

/** Everybody in it avoids everybody else. */
async function cliqueIn(lobby: Lobby, wishes: Wishes, size: number): Promise<Caller[]> {
  const { engine } = lobby;
  const members: Caller[] = [];
  for (let n = 0; n < size; n++) members.push(await lobby.connect());
  let room = 0;
  for (const [n, one] of members.entries())
    for (const other of members.slice(0, n)) {
      await lobby.wait(wishes, one);
      await lobby.wait(wishes, other);
      const [a, b] = [
        await engine.matchOptions(one.sessionId),
        await engine.matchOptions(other.sessionId),
      ];
      if (!a || !b) throw new Error("both wait");
      await engine.pair({
        roomId: `clique ${++room}`,
        impolite: a.ticket,
        polite: b.ticket,
        relayOnly: false,
        sharedInterests: [],
      });
      await engine.end(one, { ending: "skip" });
      await engine.end(one, { ending: "leave" });
      await engine.end(other, { ending: "leave" });
    }
  for (const member of members) await lobby.wait(wishes, member);
  return members;
}

/** A Map set, a delete, a random pick. */
const control: Case = async (size) => {
  const random = seededRandom(1);
  const map = new Map<string, { since: number }>();
  const keys: string[] = [];
  for (let n = 0; n < size; n++) {
    keys.push(`session ${n}`);
    map.set(`session ${n}`, { since: n });
  }
  let sum = 0;
  return async (n) => {
    const key = `newcomer ${n % 100}`;
    map.set(key, { since: n });
    sum += map.get(keys[Math.floor(random() * keys.length)] ?? "")?.since ?? 0;
    map.delete(key);
    return () => sum;
  };
};

const cases: Record<string, Case> = {
  async "join, nobody fits"(size) {
    const lobby = openLobby();
    for (let n = 0; n < size; n++) await lobby.wait(asked([`interest ${n}`]));
    const joiner = await joiners(lobby, asked(["unshared"]));
    return async (n) => {
      const caller = joiner(n);
      const answer = await lobby.signaling.join(caller, asked([`unshared ${n % 100}`]));
      if (!("status" in answer) || answer.status !== "waiting") throw new Error("it must wait");
      return () => lobby.signaling.leave(caller);
    };
  },

  async "join and pair, without interests"(size) {
    const lobby = openLobby();
    for (let n = 0; n < size; n++) await lobby.wait(asked());
    const joiner = await joiners(lobby, asked());
    return pairAndRestore(lobby, joiner, () => asked());
  },

  async "join and pair, with three interests"(size) {
    const lobby = openLobby();
    const random = seededRandom(2);
    const words = wordsOfPeople(random);
    const some = () => asked([0, 1, 2].map(() => words[Math.floor(random() * words.length)] ?? ""));
    for (let n = 0; n < size; n++) await lobby.wait(some());
    const joiner = await joiners(lobby, asked(["unshared"]));
    return pairAndRestore(lobby, joiner, some);
  },

  async "join and pair, eight dimensions"(size) {
    const lobby = openLobby(createDimensions(declaration));
    const random = seededRandom(4);
    const some = () => ({ ...asked(), ...somebody(random) });
    for (let n = 0; n < size; n++) await lobby.wait(some());
    const joiner = await joiners(lobby, asked());
    return pairAndRestore(lobby, joiner, some, true);
  },

  async "join, eight dimensions, nobody fits"(size) {
    const lobby = openLobby(createDimensions(declaration));
    const random = seededRandom(5);
    const wants = [
      { of: "region", in: ["oceania"] },
      { of: "age", from: 60, to: 99 },
    ];
    const picky = { ...asked(), facts: { region: "asia", age: 30 }, wants };
    for (let n = 0; n < size; n++) {
      const one = somebody(random);
      const fits = one.facts !== undefined && wants.every((want) => meets(one.facts, want));
      await lobby.wait({ ...asked(), ...(fits ? { facts: {} } : one) });
    }
    const joiner = await joiners(lobby, picky);
    return async (n) => {
      const caller = joiner(n);
      const answer = await lobby.signaling.join(caller, picky);
      if (!("status" in answer) || answer.status !== "waiting") throw new Error("it must wait");
      return () => lobby.signaling.leave(caller);
    };
  },

  async "leave, with three interests"(size) {
    const lobby = openLobby();
    const random = seededRandom(3);
    const words = wordsOfPeople(random);
    const some = () => asked([0, 1, 2].map(() => words[Math.floor(random() * words.length)] ?? ""));
    for (let n = 0; n < size; n++) await lobby.wait(some());
    const leavers = await joiners(lobby, some());
    for (let n = 0; n < 100; n++) await lobby.wait(some(), leavers(n));
    return async (n) => {
      const caller = leavers(n);
      const answer = await lobby.signaling.leave(caller);
      if (!("status" in answer) || answer.status !== "idle") throw new Error("it must have left");
      return () => lobby.wait(some(), caller);
    };
  },

  async "join a clique that avoids each other"(size) {
    const lobby = openLobby();
    const clique = await cliqueIn(lobby, asked(["clique"]), Math.min(cliqueSize, size));
    for (let n = clique.length; n < size; n++) await lobby.wait(asked([`interest ${n}`]));
    let outside = clique[0] as Caller;
    await lobby.signaling.leave(outside);
    return async (n) => {
      const member = outside;
      const answer = await lobby.signaling.join(member, asked(["clique"]));
      if (!("status" in answer) || answer.status !== "waiting") throw new Error("it must wait");
      outside = clique[n % clique.length] as Caller;
      return () => lobby.signaling.leave(outside);
    };
  },
};

/** As many words as people use, however many people there are; as long as words are; as they come off the wire. */
function wordsOfPeople(random: () => number): string[] {
  const letter = () => String.fromCharCode(97 + Math.floor(random() * 26));
  const word = () => Array.from({ length: 3 + Math.floor(random() * 10) }, letter).join("");
  return JSON.parse(JSON.stringify(Array.from({ length: 1000 }, word)));
}

function pairAndRestore(
  lobby: Lobby,
  joiner: (n: number) => Caller,
  wishes: () => Wishes,
  mayWait = false,
): Cycle {
  const asInput = (wished: Wishes) => ({
    ...wished,
    interests: [...wished.interests],
    languages: [],
  });
  let next = asInput(wishes());
  return async (n) => {
    const caller = joiner(n);
    const answer = await lobby.signaling.join(caller, next);
    return async () => {
      next = asInput(wishes());
      let partnerId: string | undefined;
      lobby.engine.onEnded((end) => (partnerId = end.partnerId));
      await lobby.engine.end(caller, { ending: "leave" });
      if (partnerId !== undefined)
        await lobby.wait(wishes(), { sessionId: partnerId, generation: 1 });
      else if (!mayWait && (!("status" in answer) || answer.status !== "waiting"))
        throw new Error("a room was due");
    };
  };
}

async function measure(cycle: Cycle, from: number): Promise<number> {
  let spent = 0;
  for (let n = from; n < from + cyclesPerTurn; n++) {
    const startedAt = Bun.nanoseconds();
    const restore = await cycle(n);
    spent += Bun.nanoseconds() - startedAt;
    await restore();
  }
  return spent / cyclesPerTurn;
}

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const median = (values: number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const cell = (text: string | number) => String(text).padStart(11);

/** What was measured, kept to the end: garbage that goes in the middle of the next measurement would be taken off it. */
const kept: unknown[] = [];

async function heapOf(make: () => Promise<unknown>, count: number): Promise<number> {
  Bun.gc(true);
  const before = heapStats().heapSize;
  kept.push(await make());
  Bun.gc(true);
  return Math.round((heapStats().heapSize - before) / count);
}

console.log(
  `\nns each (median of ${rounds} rounds of ${turnsPerRound * cyclesPerTurn}), by tickets waiting`,
);
console.log(
  `${"".padEnd(42)}${sizes.map((size) => cell(size)).join("")}${cell("max/min")}${cell("x control")}`,
);
const controls: Cycle[] = [];
for (const size of sizes) controls.push(await control(size));
for (const [name, make] of Object.entries(cases)) {
  if (!name.includes(only)) continue;
  const cycles: Cycle[] = [];
  for (const size of sizes) cycles.push(await make(size));
  Bun.gc(true);
  const figures = sizes.map(() => ({ row: [] as number[], control: [] as number[] }));
  for (let round = 0; round < warmUpRounds + rounds; round++)
    for (const [index, figure] of figures.entries()) {
      const row: number[] = [];
      const least: number[] = [];
      for (let turn = 0; turn < turnsPerRound; turn++) {
        const from = (round * turnsPerRound + turn) * cyclesPerTurn;
        row.push(await measure(cycles[index] as Cycle, from));
        least.push(await measure(controls[index] as Cycle, from));
      }
      if (round < warmUpRounds) continue;
      figure.row.push(mean(row));
      figure.control.push(mean(least));
    }
  const medians = figures.map(({ row }) => median(row));
  const least = figures.map((figure) => median(figure.control));
  const growth = (medians.at(-1) ?? 0) / (medians[0] ?? 1);
  const overControl = Math.max(...medians.map((ns, index) => ns / (least[index] ?? 1)));
  console.log(
    `${name.padEnd(42)}${medians.map((ns) => cell(Math.round(ns))).join("")}${cell(growth.toFixed(2))}${cell(overControl.toFixed(1))}`,
  );
  console.log(
    `${"  times per second".padEnd(42)}${medians.map((ns) => cell(Math.round(1e9 / ns))).join("")}`,
  );
  console.log(
    `${"  control beside it".padEnd(42)}${least.map((ns) => cell(Math.round(ns))).join("")}`,
  );
}

const count = 100_000;
let idleBytes: number | undefined;
const memory = async (name: string, wishes?: (n: number) => Wishes, dimensions?: Dimensions) => {
  const bytes = await heapOf(async () => {
    const lobby = openLobby(dimensions);
    for (let n = 0; n < count; n++) await (wishes ? lobby.wait(wishes(n)) : lobby.connect());
    return lobby;
  }, count);
  idleBytes ??= bytes;
  const ofTicket = wishes ? `, ${bytes - idleBytes} of them the ticket's` : "";
  console.log(`${name.padEnd(42)}${cell(bytes)}${ofTicket}`);
};
console.log(`\nbytes of heap per peer, ${count} of them`);
await memory("connected and idle");
await memory("waiting without interests", () => asked());
await memory("waiting with three interests of 1000", (n) =>
  asked([`a${n % 1000}`, `b${(n * 7) % 1000}`, `c${(n * 13) % 1000}`]),
);
const random = seededRandom(6);
await memory(
  "waiting, eight dimensions",
  () => ({ ...asked(), ...somebody(random) }),
  createDimensions(declaration),
);
