/** What is loaded when it is needed, where that fails. */
import { createCamera } from "../../../src/client/create-camera.ts";
import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { loadCallCode, type CallCode } from "../../../src/client/call-code.ts";
import { type CameraParts } from "../../../src/client/camera.ts";
import { createLazyCamera } from "../../../src/client/lazy-camera.ts";
import { createPeer } from "../../../src/client/peer.ts";
import { browserTimers, type Timers } from "../../../src/client/platform.ts";
import { createProcessedCamera } from "../../../src/client/processed-camera.ts";
import { FakeConnection } from "./fake-connection.ts";
import { machine } from "./fake-devices.ts";
import { callCode, FakeNetwork } from "./fake-rtc.ts";
import { pass, settle } from "./virtual-time.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

const cause = new TypeError("Failed to fetch dynamically imported module");

/** A peer whose code fails to load so many times. */
function peerWithout(failures: number) {
  const server = new FakeConnection();
  let tries = 0;
  const load = async (): Promise<CallCode> => {
    if (tries++ < failures) throw cause;
    return callCode;
  };
  const peer = createPeer({
    connection: server,
    rtc: new FakeNetwork().browser("page"),
    callCode: () => loadCallCode(browserTimers, load),
  });
  return { server, peer, tries: () => tries };
}

test("a peer waits for the code of calls, and opens no event stream before", async () => {
  const { server, peer } = peerWithout(2);
  peer.start();
  await settle();
  expect([peer.state.status, server.opened]).toEqual(["waiting", false]);
  await pass(3000);
  expect(server.opened).toBe(true);
});

test("after half a minute without it the search ends with what was thrown, and another one loads it again", async () => {
  const { server, peer, tries } = peerWithout(6);
  peer.start();
  await pass(29_000);
  expect(peer.state.status).toBe("waiting");
  await pass(2000);
  expect(peer.state).toMatchObject({ status: "idle", error: { kind: "call-setup", cause } });
  expect([tries(), server.opened]).toEqual([6, false]);
  peer.start();
  await settle();
  expect(server.opened).toBe(true);
});

test("one that is closed meanwhile opens nothing", async () => {
  const { server, peer } = peerWithout(1);
  peer.start();
  await settle();
  peer.close();
  await pass(60_000);
  expect(server.opened).toBe(false);
});

test("a camera whose code can't be loaded never rejects, and loads it at the next call", async () => {
  const devices = machine();
  let failures = 1;
  const importCamera = async () => {
    if (failures-- > 0) throw cause;
    return (parts: CameraParts, timers: Timers) =>
      createProcessedCamera(createCamera(parts), parts.stream, timers);
  };
  const camera = createLazyCamera(devices.parts, browserTimers, importCamera);
  const [opened, listed] = await Promise.all([camera.open(), camera.devices()]);
  expect(opened).toEqual({ ok: false, error: { kind: "unknown", cause } });
  expect(listed).toEqual({ cameras: [], microphones: [], speakers: [] });
  expect(await camera.open()).toMatchObject({ ok: true });
  expect(camera.stream?.getTracks()).toHaveLength(2);
});

test("what is called while a camera's code is loaded takes effect in that order", async () => {
  const camera = createLazyCamera(machine().parts, browserTimers);
  const opened = camera.open();
  camera.close();
  expect(await opened).toMatchObject({ ok: false, error: { kind: "superseded" } });
  expect(camera.stream).toBeUndefined();
  const unused = createLazyCamera(machine().parts, browserTimers);
  expect(await unused.restore(["video"])).toBeUndefined();
  unused.dispose();
  expect(await unused.open()).toMatchObject({ ok: false, error: { kind: "closed" } });
});
