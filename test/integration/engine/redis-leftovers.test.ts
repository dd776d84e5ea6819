/** What is left in Redis when everybody has gone: nothing but what is meant to last, and what expires within a quarter of an hour. */
import { expect, test } from "bun:test";
import { isRejection } from "../../../src/domain/rejection.ts";
import { defaultWishes } from "../../../src/domain/ticket.ts";
import type { Stream } from "../../../src/engine/engine.ts";
import { createKeys, layoutKey, type Keys } from "../../../src/engine/redis/keys.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { enginesOn, startRedis } from "../../support/redis.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

const quarterHourMs = 15 * 60_000;
const tokenLifeMs = 7 * 24 * 3_600_000;

/** How long a key may be there after everybody has gone (milliseconds); `lasts` with what bounds it; a channel is no key. */
const lives = {
  session: quarterHourMs,
  log: quarterHourMs,
  results: quarterHourMs,
  avoidances: quarterHourMs,
  rooms: 0,
  online: 0,
  lobby: 0,
  term: 0,
  due: 0,
  node: quarterHourMs,
  // The node that was the last one; it is removed by the next.
  nodes: "lasts",
  nodeSessions: 0,
  takeOverLock: quarterHourMs,
  sockets: quarterHourMs,
  handshakes: quarterHourMs,
  // About 100,000 entries.
  moderationLog: "lasts",
  // As many as are kept of suspensions.
  suspensions: "lasts",
  // With the sessions that they name: as many as `BlockLimits` says.
  blockers: tokenLifeMs,
  blockersAt: tokenLifeMs,
  moved: tokenLifeMs,
  // One for each secret.
  addressKeys: "lasts",
  // A number each.
  openShards: "lasts",
  dataEpoch: "lasts",
  history: "lasts",
  nodeChannel: "channel",
  allNodes: "channel",
} as const satisfies Record<keyof Keys, number | "lasts" | "channel">;

test("when everybody has gone nothing stays in Redis but what is meant to last", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const prefix = "leftovers:";
  const engines = enginesOn(redis, { prefix, secrets: ["a secret"] });
  const system = createVirtualSystem();
  const engine = engines.open(system, {
    ...engineOptions,
    moderation: { ...engineOptions.moderation, voteAfterMs: 0 },
  });
  const streams: Stream[] = [];
  const modes = ["video", "audio", "text"] as const;
  const count = 24;
  for (let n = 0; n < count; n++) {
    const sessionId = `peer ${n}`;
    const addressHash = `network ${n} address ${n}`;
    const attached = await engine.attach({ sessionId, generation: 0, addressHash, wake() {} });
    if (isRejection(attached)) throw new Error(attached.reason);
    streams.push(attached.stream);
    const mode = modes[n % 3] ?? "video";
    const wishes = { ...defaultWishes, mode, interests: [`interest ${n % 4}`, "jazz"] };
    const caller = { sessionId, generation: 1, mutationId: "join" };
    await engine.enqueue(caller, wishes);
    const found = await engine.matchOptions(sessionId);
    const [polite] = found?.eligible ?? [];
    if (!found || !polite) continue;
    const roomId = `room ${n}`;
    const terms = { roomId, relayOnly: false, sharedInterests: [] };
    expect(await engine.pair({ ...terms, impolite: found.ticket, polite, caller })).toBe(true);
    for (let signal = 0; signal < 30; signal++)
      await engine.send({ ...caller, mutationId: `${signal}` }, roomId, '{"type":"offer"}');
    await engine.confirm(caller, roomId);
    await engine.confirm({ ...caller, sessionId: polite.sessionId }, roomId);
    const verb = n % 5;
    if (verb === 0) await engine.end(caller, { ending: "skip" });
    if (verb === 1) await engine.report(caller, roomId);
    if (verb === 2) {
      await engine.avoid(caller, roomId);
      await engine.end(caller, { ending: "block" });
    }
    if (verb === 3) await engine.detach(attached.stream);
  }
  await engine.suspend({ kind: "session", id: "peer 1" }, system.now() + 3_600_000);
  await engine.send({ sessionId: "nobody", generation: 1, mutationId: "1" }, "room", "{}");
  await engine.status({ sessionId: "nobody", generation: 1 });
  await engine.end({ sessionId: "nobody", generation: 1 }, { ending: "leave" });
  for (const stream of streams) await engine.detach(stream);
  for (let minute = 0; minute < 15; minute++) {
    await system.advance(60_000);
    await engine.sweep();
  }
  const keys = createKeys(prefix);
  const parts = (pattern: string) => pattern.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const patterns = Object.entries(lives).map(([name, life]) => {
    const key = keys[name as keyof Keys] as (...args: string[]) => string;
    const any = parts(key("ANY", "ANY", "ANY")).replaceAll("ANY", ".*");
    return { name, life, pattern: new RegExp(`^${any}$`) };
  });
  const found = (await redis.cli("--scan")).split("\n").filter(Boolean);
  // What blocks somebody is kept, whichever of its keys it is.
  const blockers = (await redis.cli("zrange", keys.blockers(), "0", "-1")).split("\n");
  for (const key of found) {
    const leftMs = Number(await redis.cli("pttl", key));
    if (key === layoutKey(prefix)) {
      expect(leftMs).toBeGreaterThan(0);
      continue;
    }
    const known = patterns.filter(({ pattern }) => pattern.test(key));
    expect(`${key}: ${known.map(({ name }) => name).join()}`).toMatch(/: \w+$/);
    const [{ name, life } = { name: "", life: 0 }] = known;
    if (life === "lasts") continue;
    const isBlockers = blockers.some((id) => [keys.session(id), keys.avoidances(id)].includes(key));
    const most = isBlockers ? tokenLifeMs : Number(life);
    expect(`${name} ${key} ${leftMs >= 0 && leftMs <= most ? "expires" : `has ${leftMs} ms`}`).toBe(
      `${name} ${key} expires`,
    );
  }
  expect(found.length).toBeGreaterThan(10);
  await engines.close();
}, 30_000);
