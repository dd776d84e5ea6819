/** A deploy from the release before, whose data has another layout, beside this one on one Redis, under load. */
import { expect, test } from "bun:test";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unlimited } from "../support/cluster.ts";
import { startRedis } from "../support/redis.ts";
import { root } from "../support/root.ts";
import { startServer, type Program } from "../support/server-process.ts";
import { connectPeer, refusalOf, type TestPeer } from "../support/server.ts";
import { until } from "../support/until.ts";

/** The last commit with version 1 of the layout. */
const before = "dfdd9e7acc98e174a78fb083e12b92c3b2942731";

/** The program of an earlier commit, with the packages of this one; `undefined` if it can't be had in a clone without the history. */
async function programOf(commit: string, use: AsyncDisposableStack): Promise<Program | undefined> {
  const git = (...args: string[]) => Bun.spawnSync(["git", ...args], { cwd: root }).exitCode === 0;
  const isKnown = () => git("cat-file", "-e", `${commit}^{commit}`);
  if (!isKnown()) git("fetch", "--quiet", "--depth=1", "origin", commit);
  if (!isKnown()) return undefined;
  const cwd = await mkdtemp(join(tmpdir(), "peer-stream-before-"));
  use.defer(() => rm(cwd, { recursive: true }));
  await Bun.$`git archive ${commit} src package.json tsconfig.json bunfig.toml | tar -x -C ${cwd}`
    .cwd(root)
    .quiet();
  await symlink(join(root, "node_modules"), join(cwd, "node_modules"));
  return { command: [process.execPath, "src/main.ts"], cwd };
}

/** Where the release before can't be run: its nodes are there as far as Redis knows, and their data stays as it is. */
async function expectRefusalByKeys(): Promise<void> {
  console.log(`  ${before} is not in this clone: its nodes are only played by their keys`);
  await using redis = await startRedis(["--appendonly", "no"]);
  await redis.cli("set", "peer-stream:layout", "1", "px", "60000");
  await redis.cli("hset", "peer-stream:1:s:alice", "revision", "7");
  const env = { ...unlimited, REDIS_URL: redis.url, SESSION_SECRET: "the same on every node" };
  const refused = await startServer(env).catch((error: unknown) => String(error));
  expect(refused).toContain("nodes with version 1 of the data's layout are running");
  expect(await redis.cli("hgetall", "peer-stream:1:s:alice")).toBe("revision\n7\n");
  await redis.cli("del", "peer-stream:layout");
  await using now = await startServer(env);
  expect((await fetch(`${now.origin}/readyz`)).status).toBe(200);
}

const wsOf = ({ origin }: { origin: string }) => ({ ws: origin.replace("http", "ws") });
const signalsOf = ({ told }: TestPeer) =>
  told.flatMap(({ event }) => (event.type === "offer" ? Number(event.sdp) : []));

test("a release with another layout refuses to start beside the one that runs, which loses nothing; then it takes its place", async () => {
  await using use = new AsyncDisposableStack();
  const program = await programOf(before, use);
  if (!program) return expectRefusalByKeys();
  const redis = use.use(await startRedis(["--appendonly", "no"]));
  const env = {
    ...unlimited,
    REDIS_URL: redis.url,
    SESSION_SECRET: "the same on every node",
    DRAIN_MS: "1000",
  };
  const old = await Promise.all([startServer(env, program), startServer(env, program)]);
  for (const node of old) use.defer(() => node.kill());
  const [one, other] = old as [(typeof old)[0], (typeof old)[0]];
  const alice = use.use(await connectPeer(wsOf(one)));
  const bob = use.use(await connectPeer(wsOf(other)));
  await alice.client.join.mutate({});
  await bob.client.join.mutate({});
  let roomId = "";
  await until("they are paired", () => {
    for (const { event } of alice.told)
      if (event.type === "create-offer" || event.type === "wait-for-offer") roomId = event.roomId;
    return roomId !== "";
  });
  let sent = 0;
  let isTalking = true;
  const talking = (async () => {
    while (isTalking) {
      const answer = await alice.client.offer.mutate({ roomId, sdp: `${sent}`, id: `${sent}` });
      expect(answer).toEqual({ delivered: true });
      sent += 1;
    }
  })();
  const refused = await startServer(env).catch((error: unknown) => String(error));
  expect(refused).toContain("nodes with version 1 of the data's layout are running");
  expect(refused).toContain("ended with code 1");
  // So does the release before, beside this one: it can be gone back to.
  const atRefusal = sent;
  await until("they go on talking", () => sent > atRefusal + 50);
  isTalking = false;
  await talking;
  await until("bob has received all", () => signalsOf(bob).length === sent);
  expect(signalsOf(bob)).toEqual(Array.from({ length: sent }, (_, n) => n));
  expect([...alice.types, ...bob.types]).not.toContain("resync");

  await Promise.all(old.map((node) => node.stop()));
  // What happens to it a minute after the last heartbeat.
  await redis.cli("del", "peer-stream:layout");
  const now = await startServer(env);
  use.defer(() => now.kill());
  const backward = await startServer(env, program).catch((error: unknown) => String(error));
  expect(backward).toContain("nodes with version 2 of the data's layout are running");
  // The tokens of before are good: a peer that was connected joins as if nothing had been.
  const again = use.use(await connectPeer(wsOf(now), { token: alice.token }));
  const carol = use.use(await connectPeer(wsOf(now)));
  expect(await refusalOf(again.client.join.mutate({}))).toEqual({
    answered: { status: "waiting" },
  });
  expect(await carol.client.join.mutate({})).toEqual({ status: "paired" });
}, 60_000);
