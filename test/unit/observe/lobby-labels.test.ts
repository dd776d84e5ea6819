/** However many lobbies an operator's claims name, the metrics have a bounded number of series. */
import { expect, test } from "bun:test";
import { createLobbyLabels } from "../../../src/observe/lobby-labels.ts";
import { createMetrics } from "../../../src/observe/metrics.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

const statsWith = (online: number) => ({
  online,
  waiting: { video: 0, audio: 0, text: 0 },
  rooms: { video: 0, audio: 0, text: 0 },
});

test("main has a label only where peers can choose another lobby", () => {
  expect(createLobbyLabels(["main"])(undefined)).toEqual({});
  expect(createLobbyLabels(["main"])("acme")).toEqual({ lobby: "acme" });
  expect(createLobbyLabels(["main", "berlin"])(undefined)).toEqual({ lobby: "main" });
});

test("those that come after the first hundred have one label together, and each keeps its own", () => {
  const labels = createLobbyLabels(["main", "berlin"]);
  const labelsOf = (from: number, to: number) => {
    const all = new Set<string | undefined>();
    for (let n = from; n < to; n++) all.add(labels(`lobby ${n}`).lobby);
    return [...all];
  };
  const first = Array.from({ length: 100 }, (_, n) => `lobby ${n}`);
  expect(labelsOf(0, 100)).toEqual(first);
  expect(labelsOf(100, 1000)).toEqual(["other"]);
  expect(labelsOf(0, 100)).toEqual(first);
  expect(labels("berlin")).toEqual({ lobby: "berlin" });
});

test("lobbies that share a label are counted together, at each scrape anew", async () => {
  const lobbies = new Map(Array.from({ length: 150 }, (_, n) => [`lobby ${n}`, statsWith(2)]));
  const metrics = createMetrics({
    engine: { stats: async () => ({ ...statsWith(301), lobbies }), suspensions: () => [] },
    lobbies: ["main"],
    schedule: createVirtualSystem().schedule,
    build: { version: "1.2.3", bun: "1.4.5" },
  });
  for (const left of [50, 49]) {
    const lines = (await metrics.render()).split("\n");
    const online = lines.filter((line) => /^peer_stream_site_peers_online[ {]/.test(line));
    expect(online).toHaveLength(102);
    expect(online[0]).toBe(`peer_stream_site_peers_online ${301 - 300 + 2 * (50 - left)}`);
    expect(online.at(-1)).toBe(`peer_stream_site_peers_online{lobby="other"} ${2 * left}`);
    lobbies.delete("lobby 149");
  }
});
