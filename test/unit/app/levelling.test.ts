/** Who is asked to reconnect, on virtual time: sockets and other nodes are made up, the decision is the real one. */
import { expect, test } from "bun:test";
import { startLevelling } from "../../../src/app/levelling.ts";
import type { Activity } from "../../../src/domain/levelling.ts";
import { createMarks } from "../../../src/engine/marks.ts";
import type { NodeLoad } from "../../../src/engine/node-loads.ts";
import { createLog } from "../../../src/observe/log.ts";
import type { Context } from "../../../src/rpc/context.ts";
import type { Socket } from "../../../src/trpc-ws/socket.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

const node = (id: string, peers: number, draining = false): NodeLoad => ({
  id,
  name: id,
  peers,
  draining,
});

/** A node with 40 peers beside one with 2. Whoever is asked stays, unless `leaves` says that it reconnects elsewhere. */
function createNode(activityOf: (id: string) => Activity | undefined, leaves = true) {
  const system = createVirtualSystem();
  const lines: string[] = [];
  const asked: { id: string; at: number }[] = [];
  const open = new Map<string, { context: Context; socket: Socket }>();
  const state = { isDraining: false, isKnown: true, others: [node("b", 2)], counted: 0 };
  for (let n = 0; n < 40; n += 1) {
    const id = `peer ${n}`;
    const socket = {
      send() {
        asked.push({ id, at: system.elapsed() });
        if (leaves) open.delete(id);
      },
    } as unknown as Socket;
    const context = { session: id, connection: { subscriptions: 1 } } as unknown as Context;
    open.set(id, { context, socket });
  }
  const stop = startLevelling({
    loads: {
      list: () => (state.isKnown ? { own: node("a", open.size), others: state.others } : undefined),
      activityOf,
      drain() {},
    },
    levelPerMinute: 60,
    sockets: { contexts: () => open.values() },
    isDraining: () => state.isDraining,
    marks: createMarks(system.elapsed),
    system,
    log: createLog("info", { write: (line: string) => void lines.push(line) }),
    metrics: { levelled: (peers) => void (state.counted += peers) },
  });
  return { system, asked, lines, state, stop };
}

test("idle peers are asked first, then those in calls, then those who wait, and nobody who is about to be connected", async () => {
  const kinds: (Activity | undefined)[] = ["waiting", undefined, "connected", "idle"];
  const kindOf = (id: string) => kinds[Number(id.slice(5)) % 4];
  const { system, asked, state } = createNode(kindOf);
  await system.advance(60_000);
  expect(asked.length).toBeGreaterThanOrEqual(15);
  expect(state.counted).toBe(asked.length);
  const kindsAsked = asked.map(({ id }) => kindOf(id));
  expect(kindsAsked).not.toContain(undefined);
  // Each time some are looked at, by chance, and the first of these are asked.
  const ranks = kindsAsked.map((kind) => ["idle", "connected", "waiting"].indexOf(kind ?? ""));
  expect(ranks.slice(0, 8).filter((rank) => rank === 0).length).toBeGreaterThanOrEqual(7);
  expect(ranks.slice(0, 16)).not.toContain(2);
});

test("one a second at 60 a minute, and no peer twice in ten minutes, though all stay", async () => {
  const { system, asked, lines } = createNode(() => "idle", false);
  await system.advance(600_000);
  const ids = asked.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const [index, { at }] of asked.entries())
    expect(at - (asked[index - 1]?.at ?? 0)).toBeGreaterThanOrEqual(1000);
  // It did not begin and end again and again.
  expect(lines).toHaveLength(1);
});

test("nobody is asked by a node that drains or does not know the others, and none that drains is counted", async () => {
  for (const change of [
    (state: { isDraining: boolean }) => (state.isDraining = true),
    (state: { isKnown: boolean }) => (state.isKnown = false),
    (state: { others: NodeLoad[] }) => (state.others = [node("b", 2, true)]),
  ]) {
    const { system, asked, state } = createNode(() => "idle", false);
    await system.advance(12_000);
    expect(asked.length).toBeGreaterThan(0);
    const before = asked.length;
    change(state as never);
    await system.advance(60_000);
    expect(asked.length).toBe(before);
  }
});

test("nothing happens any more once it is stopped", async () => {
  const { system, asked, stop } = createNode(() => "idle");
  await system.advance(12_000);
  const before = asked.length;
  expect(before).toBeGreaterThan(0);
  stop();
  await system.advance(60_000);
  expect(asked.length).toBe(before);
});
