/** `src/client` against the real server, which is reached only through real sockets. */
import { describe, expect, test } from "bun:test";
import { createConnection } from "../../src/client/connection.ts";
import { createPeer, type Peer } from "../../src/client/peer.ts";
import type { PeerStreamState } from "../../src/client/state.ts";
import { createTokenStore } from "../../src/client/token-store.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { fakeCamera, FakeNetwork, callCode } from "../unit/client/fake-rtc.ts";

/** A peer on a real socket, with fake WebRTC. */
function createPerson({ ws }: TestServer, network: FakeNetwork, name: string) {
  const sockets: WebSocket[] = [];
  class Recorded extends WebSocket {
    constructor(url: string | URL) {
      super(url);
      sockets.push(this);
    }
  }
  const connection = createConnection({
    url: `${ws}/trpc`,
    tokens: createTokenStore(undefined),
    WebSocket: Recorded as unknown as typeof WebSocket,
    random: () => 0,
  });
  const browser = network.browser(name);
  const peer = createPeer({ callCode, connection, rtc: browser });
  const seen: string[] = [];
  peer.subscribe(({ status }) => seen.push(status));
  return {
    peer,
    browser,
    seen,
    sockets,
    /** Receives the reconnect request of a draining server; resolves when the old socket has closed. */
    async moveToNewSocket(): Promise<void> {
      const old = sockets.at(-1);
      if (!old) throw new Error(`${name} has no socket`);
      const closed = new Promise((resolve) => old.addEventListener("close", resolve));
      const data = JSON.stringify({ id: null, method: "reconnect" });
      old.dispatchEvent(new MessageEvent("message", { data }));
      await closed;
    },
    [Symbol.dispose]: () => peer.close(),
  };
}

/** Waits for a state. */
async function until(peer: Peer, status: PeerStreamState["status"]): Promise<void> {
  for await (const state of peer.states()) if (state.status === status) return;
}

describe("a hand-over from socket to socket, against the real server", () => {
  test("in a call is not visible, ten times in a row", async () => {
    await using server = startServer();
    const network = new FakeNetwork();
    using alice = createPerson(server, network, "alice");
    using bob = createPerson(server, network, "bob");
    for (const { peer } of [alice, bob]) peer.start({ stream: fakeCamera() });
    await Promise.all([until(alice.peer, "connected"), until(bob.peer, "connected")]);
    alice.seen.length = 0;
    bob.seen.length = 0;

    for (let moves = 0; moves < 10; moves += 1) {
      // Signals are sent meanwhile in both directions: each restart is an offer, an answer, and candidates.
      alice.browser.last.restartIce();
      await alice.moveToNewSocket();
      bob.browser.last.restartIce();
      await bob.moveToNewSocket();
    }
    expect(alice.sockets).toHaveLength(11);
    expect([...alice.seen, ...bob.seen]).toEqual([]);
    for (const { browser } of [alice, bob]) {
      expect(browser.all).toHaveLength(1);
      expect(browser.last.signalingState).toBe("stable");
    }
    expect(alice.peer.sendChat("still here")).toBe(true);
  }, 30_000);

  test("in the lobby keeps the place: the next peer is met", async () => {
    await using server = startServer();
    const network = new FakeNetwork();
    using alice = createPerson(server, network, "alice");
    alice.peer.start({ stream: fakeCamera() });
    await until(alice.peer, "waiting");
    // Until the server has sent the `lobby` event.
    for await (const state of alice.peer.states()) if ("online" in state) break;
    alice.seen.length = 0;
    await alice.moveToNewSocket();
    expect(alice.peer.state.status).toBe("waiting");
    using bob = createPerson(server, network, "bob");
    bob.peer.start({ stream: fakeCamera() });
    await Promise.all([until(alice.peer, "connected"), until(bob.peer, "connected")]);
    expect(alice.seen).not.toContain("reconnecting");
  });
});
