/** PeerJS' words, as its client sends them for a call with media. Its server relays, and pairs nobody. */
import type { Client, Dialect, Heard, SignalKind } from "./dialect.ts";
import { initOf, numberIn, sdpOf } from "./signals.ts";

const version = "1.5.5";

class PeerJsClient implements Client {
  readonly greeting: string[] = [];
  readonly join = "";
  readonly leave = "";
  roomId = "";
  id = "";
  partnerId = "";
  readonly #token = Math.random().toString(36).slice(2);
  readonly #connectionId = `mc_${Math.random().toString(36).slice(2)}`;

  get path() {
    return `/peerjs?key=peerjs&id=${this.id}&token=${this.#token}&version=${version}`;
  }

  async reserve(origin: string) {
    const response = await fetch(`${origin}/peerjs/id?ts=${Date.now()}${Math.random()}`);
    this.id = await response.text();
  }

  signals(kind: SignalKind, numbers: readonly number[]): string[] {
    const call = { type: "media", connectionId: this.#connectionId };
    return numbers.map((n) =>
      JSON.stringify(
        kind === "candidate"
          ? { type: "CANDIDATE", payload: { candidate: initOf(n), ...call }, dst: this.partnerId }
          : {
              type: "OFFER",
              payload: { sdp: { type: "offer", sdp: sdpOf(n) }, ...call },
              dst: this.partnerId,
            },
      ),
    );
  }

  hear(text: string): Heard {
    if (text.startsWith('{"type":"OPEN"')) return { kind: "ready", isResumed: false };
    const n = numberIn(text);
    if (n >= 0) return { kind: "signal", n };
    throw new Error(text);
  }
}

export const peerJs: Dialect = {
  acknowledges: false,
  pairing: "none",
  ping: { from: "client", text: '{"type":"HEARTBEAT"}', everyMs: 5000, isAnswered: false },
  client: () => new PeerJsClient(),
};
