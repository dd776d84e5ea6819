/** The way of a usual signal, from one socket to the other, is the one that src/README.md describes. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { assemble, type Assembly } from "../../src/app/peer-stream.ts";
import { createMemoryEngine } from "../../src/engine/memory/memory-engine.ts";
import { createSystem } from "../../src/system.ts";
import type { PeerEvent } from "../../src/protocol.ts";
import { engineOptions } from "../support/engine-options.ts";
import { root } from "../support/root.ts";
import { fakeSocket } from "../support/trpc-sockets.ts";

const callsMax = 16;
const filesMax = 10;

/** A peer on a socket that keeps what it is sent, and how that got there. */
function connect(peerStream: Assembly) {
  const events: PeerEvent[] = [];
  let stack: string[] = [];
  const socket = fakeSocket({
    open: true,
    send(text: string) {
      const { result } = JSON.parse(text) as { result?: { data?: { data?: PeerEvent } } };
      const event = result?.data?.data;
      if (!event?.type) return;
      events.push(event);
      if (event.type === "add-ice-candidate")
        stack = (new Error("here").stack ?? "").split("\n").slice(1);
    },
    close() {},
    terminate() {},
  });
  const data = { addressHash: "an address", address: undefined, release() {} };
  const listener = peerStream.accept(socket, { url: "/trpc", headers: new Headers(), data });
  let id = 0;
  const call = (method: string, path: string, input?: object) =>
    listener.message(JSON.stringify({ id: ++id, method, params: { input: input ?? {}, path } }));
  call("subscription", "events");
  call("mutation", "join");
  return {
    call,
    get stack() {
      return stack;
    },
    roomId: () => events.flatMap((event) => ("polite" in event ? [event.roomId] : []))[0],
  };
}

test("a usual signal takes the way that src/README.md describes, in one call stack", async () => {
  const system = createSystem();
  const limit = { perS: 1000, burst: 1000 };
  const peerStream = assemble({
    system,
    engine: createMemoryEngine(system, engineOptions),
    log: { debug() {}, info() {}, warn() {}, error() {}, bug: console.error },
    ice: { stunUrls: [], turnUrls: [], turnTtlS: 300 },
    sessionSecrets: ["a secret of the tests"],
    // Its timer would go on after this test.
    keepAlive: { enabled: false },
    rates: { signals: limit, intents: limit, bytes: { perS: 1e6, burst: 1e6 } },
    origins: { allowed: [], allowNone: true, allowLoopback: false, ownHosts: [] },
    admission: {
      socketsPerAddress: 0,
      handshakesPerMin: 0,
      peersMax: 0,
      trustedProxies: { includes: () => false },
      hashKey: () => "a key of the tests",
      isKeyKnown: () => true,
      onUnannouncedProxy() {},
      onFull() {},
    },
  });
  const [alice, bob] = [connect(peerStream), connect(peerStream)];
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = 100;
  const candidate = { candidate: "candidate:1 1 udp 2 192.0.2.1 9 typ host", sdpMid: "0" };
  alice.call("mutation", "addIceCandidate", { roomId: alice.roomId(), candidate });
  Error.stackTraceLimit = before;
  peerStream.stop();

  // From the sender's socket to the partner's: what is outside of src is the test itself.
  const files = bob.stack
    .flatMap((line) => /\/src\/([\w/-]+\.ts):/.exec(line)?.[1] ?? [])
    .reverse();
  const way = files.filter((file, index) => file !== files[index - 1]);
  expect(files.length).toBeGreaterThan(8);
  expect(files.length).toBeLessThanOrEqual(callsMax);
  expect(new Set(files).size).toBeLessThanOrEqual(filesMax);

  const text = await Bun.file(join(root, "src/README.md")).text();
  const section = text.split("## The way of a signal")[1]?.split("\n## ")[0] ?? "";
  const documented = [...section.matchAll(/^\d+\. \[`([\w/-]+\.ts)`\]/gm)].map(([, file]) => file);
  // The binding to Bun is at both ends; here a socket of the test is in its place.
  expect(documented.filter((file) => file !== "trpc-ws/bun.ts")).toEqual(way);
  console.log(`  ${files.length} calls through ${new Set(files).size} files`);
});
