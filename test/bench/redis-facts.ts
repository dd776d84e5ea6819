/**
 * What a join costs Redis where tickets have facts and wants: `bun test/bench/redis-facts.ts [waiting...]` (default 1000 20000 waiting).
 * A figure is Redis' own time for the scripts of one join (INFO cpu: its main thread), and how long they take (SLOWLOG).
 */
import { createLobby } from "../../src/app/peer-stream.ts";
import { createDimensions, type Want } from "../../src/domain/facts.ts";
import { isRejection } from "../../src/domain/rejection.ts";
import { defaultWishes, type Wishes } from "../../src/domain/ticket.ts";
import type { Caller } from "../../src/engine/engine.ts";
import type { Facts } from "../../src/protocol.ts";
import type { FactsDeclaration } from "../../src/protocol/declaration.ts";
import { engineOptions } from "../support/engine-options.ts";
import { enginesOn, startRedis } from "../support/redis.ts";
import { createVirtualSystem, seededRandom } from "../support/virtual-system.ts";

const sizes = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [1000, 20_000];
const joins = 300;
const countries = Array.from({ length: 120 }, (_, n) => `country ${n}`);
const topics = Array.from({ length: 40 }, (_, n) => `topic ${n}`);
const declaration: FactsDeclaration = {
  region: { kind: "one", of: ["eu", "na", "asia", "sa", "africa", "oceania"] },
  country: { kind: "one", of: countries },
  gender: { kind: "one", of: ["woman", "man", "other"] },
  age: { kind: "range", from: 18, to: 99, bands: [21, 25, 30, 35, 40, 50, 60] },
  topics: { kind: "set", of: topics },
  adult: { kind: "flag" },
  level: { kind: "range", from: 1, to: 10 },
  lane: { kind: "one", of: ["calm", "usual", "new"] },
};

const random = seededRandom(1);
/** The lower the more often, as with words and countries. */
const skewed = <T>(values: readonly T[]) => values[Math.floor(values.length * random() ** 3)] as T;
const chance = (share: number) => random() < share;

/** Shares of what people state, and of what they want. */
function somebody(): Pick<Wishes, "facts" | "wants"> {
  const gender = chance(0.68) ? "man" : chance(0.94) ? "woman" : "other";
  const age = 18 + Math.floor(50 * random() ** 2);
  const facts: Facts = {
    region: skewed(["eu", "na", "asia", "sa", "africa", "oceania"]),
    country: skewed(countries),
    age,
    level: 1 + Math.floor(10 * random()),
    lane: chance(0.8) ? "usual" : chance(0.7) ? "new" : "calm",
    ...(chance(0.9) && { gender }),
    ...(chance(0.3) && { topics: [...new Set([skewed(topics), skewed(topics)])] }),
    ...(chance(0.5) && { adult: true }),
  };
  const wants: Want[] = [];
  if (chance(gender === "man" ? 0.5 : 0.15))
    wants.push({ of: "gender", in: [gender === "man" ? "woman" : "man"] });
  if (chance(0.3)) wants.push({ of: "age", from: Math.max(18, age - 6), to: age + 8 });
  if (chance(0.2)) wants.push({ of: "region", in: [facts["region"] as string] });
  if (chance(0.05)) wants.push({ of: "country", in: [facts["country"] as string] });
  if (chance(0.1)) wants.push({ of: "topics", in: [skewed(topics)] });
  if (chance(0.1)) wants.push({ of: "adult", is: true });
  if (chance(0.1)) wants.push({ of: "level", from: 5, softAfterMs: 8000 });
  return { facts, wants };
}

const anybody = (): Pick<Wishes, "facts" | "wants"> => ({});
const asked = (stated: Pick<Wishes, "facts" | "wants">): Wishes => ({
  ...defaultWishes,
  autoRejoin: false,
  ...stated,
});

interface Row {
  name: string;
  isDeclared: boolean;
  waiting: () => Pick<Wishes, "facts" | "wants">;
  joins: () => Pick<Wishes, "facts" | "wants">;
}

const woman = (): Facts => ({ gender: "woman", country: "country 0", age: 40 });
const rows: Row[] = [
  { name: "nothing declared", isDeclared: false, waiting: anybody, joins: anybody },
  { name: "declared, nothing stated", isDeclared: true, waiting: anybody, joins: anybody },
  { name: "people", isDeclared: true, waiting: somebody, joins: somebody },
  {
    name: "people; a want of few",
    isDeclared: true,
    waiting: somebody,
    joins: () => ({
      facts: { ...somebody().facts, gender: "other", adult: true },
      wants: [
        { of: "gender", in: ["other"] },
        { of: "age", from: 45, to: 49 },
      ],
    }),
  },
  {
    name: "people; a want that nobody meets",
    isDeclared: true,
    waiting: somebody,
    joins: () => {
      const wants = ["adult", "gender", "topics", "region"].map((of) =>
        of === "adult" ? { of, is: false } : { of, in: [of === "topics" ? "topic 0" : "other"] },
      );
      return { facts: { ...somebody().facts, topics: topics.slice(0, 16) }, wants };
    },
  },
  {
    name: "all alike, told apart by number only",
    isDeclared: true,
    waiting: () => ({ facts: woman() }),
    joins: () => ({ facts: woman(), wants: [{ of: "age", from: 41, to: 48 }] }),
  },
];

async function measure({ name, isDeclared, waiting, joins: joining }: Row, size: number) {
  await using redis = await startRedis(["--appendonly", "no"]);
  const engines = enginesOn(redis);
  const system = createVirtualSystem();
  const dimensions = isDeclared ? createDimensions(declaration) : undefined;
  const engine = engines.open(system, { ...engineOptions, dimensions });
  const log = { debug() {}, info() {}, warn() {}, error() {}, bug: console.error };
  const ice = { stunUrls: [], turnUrls: [], turnTtlS: 300 };
  const { signaling } = createLobby({ engine, system, log, ice });
  async function connect(sessionId: string): Promise<Caller> {
    const request = { sessionId, generation: 0, addressHash: "", wake() {} };
    const attached = await engine.attach(request);
    if (isRejection(attached)) throw new Error(attached.reason);
    return { sessionId, generation: attached.stream.generation };
  }
  const bytes = async () =>
    Number(/used_memory:(\d+)/.exec(await redis.cli("info", "memory"))?.[1]);
  const connected: Caller[] = [];
  for (let n = 0; n < size; n += 50) {
    const ids = Array.from({ length: Math.min(50, size - n) }, (_, m) => `waits ${n + m}`);
    connected.push(...(await Promise.all(ids.map(connect))));
  }
  const before = await bytes();
  for (let n = 0; n < size; n += 50)
    await Promise.all(
      connected.slice(n, n + 50).map((one) => engine.enqueue(one, asked(waiting()))),
    );
  const ticketBytes = Math.round(((await bytes()) - before) / size);
  const callers: Caller[] = [];
  for (let n = 0; n < joins; n++) callers.push(await connect(`joins ${n}`));
  await redis.cli("config", "set", "slowlog-log-slower-than", "0", "slowlog-max-len", "100000");
  await redis.cli("config", "resetstat");
  await redis.cli("slowlog", "reset");
  const cpuUs = async () => {
    const info = await redis.cli("info", "cpu");
    const of = (what: string) =>
      1e6 * Number(new RegExp(`used_cpu_${what}_main_thread:([\\d.]+)`).exec(info)?.[1]);
    return of("user") + of("sys");
  };
  let paired = 0;
  const cpuBefore = await cpuUs();
  for (const caller of callers) {
    const answer = await signaling.join(caller, {
      ...asked(joining()),
      interests: [],
      languages: [],
    });
    if ("status" in answer && answer.status === "paired") paired += 1;
    else if ("status" in answer) await engine.end(caller, { ending: "leave" });
  }
  const micros = (await cpuUs()) - cpuBefore;
  const stats = await redis.cli("info", "commandstats");
  const scripts = Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1]);
  const slow = await redis.cli("--json", "slowlog", "get", "-1");
  const times = (JSON.parse(slow) as [number, number, number, string[]][])
    .filter(([, , , [command]]) => /^evalsha$/i.test(command ?? ""))
    .map(([, , us]) => us)
    .sort((a, b) => a - b);
  const quantile = (q: number) => String(times[Math.floor(q * (times.length - 1))]);
  await engines.close();
  const cells = [
    `${Math.round((100 * paired) / joins)} %`,
    (scripts / joins).toFixed(1),
    String(Math.round(micros / joins)),
    `${quantile(0.5)}, ${quantile(0.95)}`,
    String(ticketBytes),
  ];
  console.log(`| ${name} | ${size} | ${cells.join(" | ")} |`);
}

console.log(
  "| who waits, and joins | waiting | paired | scripts | µs of Redis | a script: median, 95 % (µs) | bytes of Redis a ticket |",
);
console.log("| --- | --- | --- | --- | --- | --- | --- |");
for (const row of rows) for (const size of sizes) await measure(row, size);
