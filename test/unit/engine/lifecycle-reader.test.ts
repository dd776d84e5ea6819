/** When the node that has the lock on lifecycle events may tell them. */
import { expect, test } from "bun:test";
import { createKeys } from "../../../src/engine/redis/keys.ts";
import { LifecycleReader } from "../../../src/engine/redis/lifecycle-reader.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

const leaseMs = 600;

/** A node that always gets the lock, and reads one event. */
function setUp() {
  const system = createVirtualSystem();
  const { advance } = system;
  const event = { id: "ended:room", type: "ended", at: 0, roomId: "room", peers: [] };
  const node = {
    id: "this node",
    keys: createKeys("test"),
    available: true,
    hasLease: true,
    run: async () => ["taken", [["1-0", ["event", JSON.stringify(event)]]], 0, [], 1] as never,
    publish: async () => {},
    command: async () => null,
  };
  const reader = new LifecycleReader({
    node,
    clock: system,
    leaseMs,
    wanted: ["ended"],
    inBackground: (_what, task) => void task(),
    onUntold: async () => {},
  });
  const told: string[] = [];
  reader.listen(async ({ id }) => void told.push(id));
  return { node, told, advance, reader };
}

test("it tells what it has read", async () => {
  const { told, reader, advance } = setUp();
  await reader.refresh();
  await advance(0);
  expect(told).toEqual(["ended:room"]);
});

test("it begins nothing once the others may take it for dead, although its lock has not ended yet", async () => {
  const { told, reader, node, advance } = setUp();
  node.hasLease = false;
  await reader.refresh();
  await advance(leaseMs / 2);
  expect(told).toEqual([]);
  node.hasLease = true;
  await reader.refresh();
  await advance(0);
  expect(told).toEqual(["ended:room"]);
});
