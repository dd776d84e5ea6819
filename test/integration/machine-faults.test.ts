/** The process on a machine that fails it: no files to open, nowhere to write, no memory left, a clock that jumps. */
import { describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { freePort } from "../support/ports.ts";
import { ends } from "../support/ends.ts";
import { root } from "../support/root.ts";
import { connectPeer } from "../support/server.ts";
import { startServer, type ServerProcess } from "../support/server-process.ts";
import { until } from "../support/until.ts";

const { PATH = "" } = process.env;
const unlimited = {
  PATH,
  ALLOW_NO_ORIGIN: "true",
  LIMIT_SOCKETS_PER_ADDRESS: "0",
  LIMIT_HANDSHAKES_PER_MIN: "0",
  LIMIT_INTENTS_PER_S: "0",
  DRAIN_MS: "1000",
};

/** The server, started by a shell that first does what `limits` says. */
const startUnder = (limits: string, env: Record<string, string> = unlimited) =>
  startServer(env, {
    command: ["sh", "-c", `${limits}; exec "$0" "$@"`, process.execPath, "src/main.ts"],
    cwd: root,
  });

const peersOf = (server: ServerProcess) => ({ ws: server.origin.replace("http", "ws") });

/** The answer to a request on a connection of its own, within a second. */
const statusOf = async (server: ServerProcess, path: string) =>
  (
    await fetch(server.origin + path, {
      headers: { connection: "close" },
      signal: AbortSignal.timeout(1000),
    })
  ).status;

/** Two peers that meet, of whom one sends an offer to the other. */
async function meet(server: ServerProcess): Promise<void> {
  await using alice = await connectPeer(peersOf(server));
  await using bob = await connectPeer(peersOf(server));
  await alice.client.join.mutate();
  await bob.client.join.mutate();
  const { roomId } = await alice.next("wait-for-offer");
  await bob.client.offer.mutate({ roomId, sdp: "an offer" });
  expect((await alice.next("offer")).sdp).toBe("an offer");
}

describe("out of descriptors", () => {
  test("those who are connected are served, and newcomers are as soon as idle connections are closed", async () => {
    await using server = await startUnder("ulimit -n 96");
    await using alice = await connectPeer(peersOf(server));
    await using bob = await connectPeer(peersOf(server));
    // Sockets past the limit are refused by name; connections that ask for nothing take the files all the same.
    const idle: Socket[] = [];
    ends.push(() => idle.forEach((socket) => socket.destroy()));
    for (let count = 0; count < 100; count++)
      idle.push(connect(Number(new URL(server.origin).port), "127.0.0.1").on("error", () => {}));
    await until("it is logged", () => server.output.includes("no more files can be opened"));
    await expect(statusOf(server, "/livez")).rejects.toThrow();
    await alice.client.join.mutate();
    await bob.client.join.mutate();
    const { roomId } = await alice.next("wait-for-offer");

    const isServed = async () => (await statusOf(server, "/livez")) === 200;
    await until("newcomers are served again", isServed, 30_000);
    expect(await statusOf(server, "/readyz")).toBe(200);
    await bob.client.offer.mutate({ roomId, sdp: "an offer" });
    expect((await alice.next("offer")).sdp).toBe("an offer");
    expect(server.output.split("no more files can be opened")).toHaveLength(2);
  }, 40_000);

  test("how many are open is known even if none is left to look with", () => {
    const program = `
      import { openSync } from "node:fs";
      import { processReadings } from "./src/system.ts";
      const readings = processReadings();
      for (;;) try { openSync("/dev/null", "r"); } catch { break; }
      console.log(readings.openFiles(), readings.openFilesMax);`;
    const { stdout } = Bun.spawnSync(
      ["sh", "-c", 'ulimit -n 64; exec "$0" -e "$1"', process.execPath, program],
      { cwd: root },
    );
    expect(stdout.toString()).toBe("64 64\n");
  });

  test("a soft limit is raised to the hard one", async () => {
    await using server = await startUnder("ulimit -Sn 64; ulimit -Hn 512");
    const limits = await Bun.file(`/proc/${server.pid}/limits`).text();
    expect(limits).toMatch(/^Max open files +512 +512 /m);
  });
});

test("nothing can be written to any file, as on a full disk or a read-only file system: it serves, as it writes none", async () => {
  // Nor can any be made where a runtime may want to.
  const nowhere = { HOME: "/nowhere", TMPDIR: "/nowhere" };
  await using server = await startUnder("trap '' XFSZ; ulimit -f 0", { ...unlimited, ...nowhere });
  await meet(server);
  for (const path of ["/", "/livez", "/readyz"]) expect(await statusOf(server, path)).toBe(200);
});

describe("out of memory", () => {
  test("a server that can't have what it needs ends at once, with the code of a signal", async () => {
    const start = startUnder("ulimit -d 50000");
    // SIGABRT, SIGTRAP or SIGSEGV, as the allocator that fails has it.
    await expect(start).rejects.toThrow(/ended with code 1(34|33|39)/);
  });

  test("one that the kernel has killed is started again, and its peers come back by themselves", async () => {
    const port = String(await freePort());
    const env = { ...unlimited, PORT: port, SESSION_SECRET: "the same after a restart" };
    const first = await startServer(env);
    await using alice = await connectPeer(peersOf(first));
    await using bob = await connectPeer(peersOf(first));
    // What the kernel does where memory has run out.
    await first.kill();
    expect(await first.exited).toBe(137);
    await using second = await startServer(env);
    expect(await statusOf(second, "/readyz")).toBe(200);
    for (const peer of [alice, bob])
      await until("a peer joins again", async () => {
        await peer.client.join.mutate();
        return true;
      });
    const { roomId } = await alice.next("wait-for-offer");
    expect((await bob.next("create-offer")).roomId).toBe(roomId);
  }, 30_000);
});

describe("the wall clock is set", () => {
  const hourMs = 3_600_000;
  const yearMs = 8766 * hourMs;
  test.each([
    ["an hour forward", hourMs],
    ["an hour back", -hourMs],
    ["a year forward", yearMs],
    ["a year back", -yearMs],
  ])(
    "%s: nobody notices, and tokens expire by it alone",
    async (_, byMs) => {
      const env = { ...unlimited, GRACE_MS: "2000", WALL_CLOCK_JUMP_MS: String(byMs) };
      await using server = await startServer(env);
      const wallClockMs = () => Number(/.*"time":(\d+)/s.exec(server.output)?.[1]);
      await using alice = await connectPeer(peersOf(server));
      await using bob = await connectPeer(peersOf(server));
      await alice.client.join.mutate();
      await bob.client.join.mutate();
      const { roomId } = await alice.next("wait-for-offer");

      process.kill(server.pid, "SIGUSR1");
      await until("another pair is logged at the new time", async () => {
        await meet(server);
        return Math.abs(wallClockMs() - Date.now() - byMs) < 60_000;
      });
      for (const path of ["/livez", "/readyz"]) expect(await statusOf(server, path)).toBe(200);
      await bob.client.offer.mutate({ roomId, sdp: "an offer" });
      expect((await alice.next("offer")).sdp).toBe("an offer");

      const { token } = alice;
      alice.cut();
      await until("alice has a token again", () => alice.token !== token);
      // A token lasts for a week; without one it is another session, which has no room.
      if (byMs < yearMs) await alice.client.answer.mutate({ roomId, sdp: "an answer" });
      else await alice.client.join.mutate();
      expect((await bob.next(byMs < yearMs ? "answer" : "partner-disconnected")).roomId).toBe(
        roomId,
      );
    },
    40_000,
  );
});
