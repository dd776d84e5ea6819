/** Hints of classifiers in the peers' own browsers: a mark in reports, and nothing else. */
import { describe, expect, test } from "bun:test";
import type { ReportNotice } from "../../src/signaling/reports.ts";
import { connect, startHost } from "../support/host.ts";
import { startRedis } from "../support/redis.ts";
import { connectPeer, refusalOf, startServer, type TestPeer } from "../support/server.ts";
import { until } from "../support/until.ts";

const hint = { label: "nudity", score: 0.93 };

async function meet(ann: TestPeer, bob: TestPeer): Promise<string> {
  await ann.client.join.mutate();
  await bob.client.join.mutate();
  const { roomId } = await bob.next("create-offer");
  return roomId;
}

describe("a hint", () => {
  test("is in reports of its room, the latest of each member, and the room goes on", async () => {
    await using server = startServer({ safety: { takesHints: true } });
    await using ann = await connectPeer(server);
    await using bob = await connectPeer(server);
    const roomId = await meet(ann, bob);
    expect(await ann.client.hint.mutate({ roomId, label: "nudity", score: 0.1 })).toEqual({
      accepted: true,
    });
    await ann.client.hint.mutate({ roomId, ...hint });
    await bob.client.hint.mutate({ roomId, label: "none", score: 0 });
    const candidate = { candidate: "1" };
    expect(await bob.client.addIceCandidate.mutate({ roomId, candidate })).toEqual({
      delivered: true,
    });
    await bob.client.report.mutate({ roomId, reason: "nudity" });
    expect(server.reports).toMatchObject([
      { roomId, hints: { reported: hint, reporter: { label: "none", score: 0 } }, suspended: [] },
    ]);
    // No partner is told, and no log has it.
    expect(JSON.stringify([ann.told, bob.told, server.lines])).not.toContain("0.93");
    // The room is over.
    expect(await ann.client.hint.mutate({ roomId, ...hint })).toEqual({ accepted: false });
  });

  test("is taken only where the operator wants any", async () => {
    await using server = startServer();
    await using ann = await connectPeer(server);
    await using bob = await connectPeer(server);
    const roomId = await meet(ann, bob);
    expect(await ann.client.hint.mutate({ roomId, ...hint })).toEqual({ accepted: false });
    await bob.client.report.mutate({ roomId });
    expect(server.reports).toHaveLength(1);
    expect(server.reports[0]).not.toHaveProperty("hints");
  });

  test("of another room, or that is none, is refused", async () => {
    await using server = startServer({ safety: { takesHints: true } });
    await using ann = await connectPeer(server);
    await using bob = await connectPeer(server);
    const roomId = await meet(ann, bob);
    await using stranger = await connectPeer(server);
    expect(await refusalOf(stranger.client.hint.mutate({ roomId, ...hint }))).toMatchObject({
      reason: "not-in-room",
    });
    const wrong = [
      { ...hint, label: "" },
      { ...hint, label: "x".repeat(65) },
      { ...hint, label: "a\nb" },
      { ...hint, label: "\ud800" },
      { ...hint, score: -0.01 },
      { ...hint, score: 1.01 },
      { ...hint, score: "1" as never },
      { ...hint, frame: "x" } as typeof hint,
    ];
    for (const input of wrong)
      expect(await refusalOf(ann.client.hint.mutate({ roomId, ...input }))).toMatchObject({
        reason: "bad-input",
      });
    await bob.client.report.mutate({ roomId });
    expect(server.reports[0]).not.toHaveProperty("hints");
  });
});

test("a hint on one node is in a report on another one", async () => {
  await using redis = await startRedis();
  const reports: ReportNotice[] = [];
  const settings = {
    redisUrl: redis.url,
    sessionSecret: "a secret of both nodes",
    hints: true,
    onReport: (report: ReportNotice) => void reports.push(report),
  };
  const [one, two] = [startHost(settings), startHost(settings)];
  const [ann, bob] = [connect(one.ws), connect(two.ws)];
  for (const peer of [ann, bob]) {
    await peer.next("session");
    await peer.client.join.mutate();
  }
  const { roomId } = await bob.next("create-offer");
  expect(await ann.client.hint.mutate({ roomId, ...hint })).toEqual({ accepted: true });
  await bob.client.report.mutate({ roomId, reason: "nudity" });
  await until("the report is told", () => reports.length > 0);
  expect(reports[0]?.hints).toEqual({ reported: hint });
});
