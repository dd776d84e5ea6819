/**
 * A poor line between two browsers: a UDP relay that limits the rate, delays, and loses packets. It needs no rights, as a network namespace
 * with `tc netem` would. Each browser is told the relay's address in the place of the other's.
 */
import type { Page } from "playwright-core";

export interface LineOptions {
  /** Bits per second in each direction, with 28 bytes of IP and UDP headers a packet. */
  bitsPerS: number;
  /** The share of packets that are lost, each by itself: 0 to 1. */
  lossRatio: number;
  /** What each packet is delayed by, in each direction, besides its wait for those before it (milliseconds). */
  delayMs: number;
  /** A packet that would wait for longer than this is dropped, as in a router whose buffer is full (milliseconds). */
  queueMs: number;
}

export interface PoorLine extends Disposable {
  /** Where the first browser finds the second one, and the second one the first. */
  readonly ports: readonly [number, number];
  /** From now on the line is like this; packets under way are not concerned. */
  treat(options: LineOptions): void;
  /** Packets so far, in both directions. */
  readonly counts: { passed: number; lost: number; dropped: number };
  /** By how much the relay was late at most, because the machine was busy (milliseconds). */
  readonly lateMs: number;
}

const headerBytes = 28;

/** @param seed of the losses, so that two runs lose the same share in the same order. */
export async function createPoorLine(initial: LineOptions, seed = 1): Promise<PoorLine> {
  let options = initial;
  const counts = { passed: 0, lost: 0, dropped: 0 };
  const random = randomFrom(seed);
  let lateMs = 0;
  const timers = new Set<ReturnType<typeof setTimeout>>();
  /** By end: where its browser was last heard from, and until when the way to the other end is busy. */
  const ends: { port?: number; address?: string; busyUntil: number }[] = [
    { busyUntil: 0 },
    { busyUntil: 0 },
  ];
  const sockets: Bun.udp.Socket<"buffer">[] = [];

  function receive(from: number, data: Buffer, port: number, address: string): void {
    const here = ends[from];
    if (!here) return;
    Object.assign(here, { port, address });
    const now = performance.now();
    const begin = Math.max(now, here.busyUntil);
    if (begin - now > options.queueMs) {
      counts.dropped += 1;
      return;
    }
    here.busyUntil = begin + ((data.length + headerBytes) * 8000) / options.bitsPerS;
    // What is lost has taken its time on the line before.
    if (random() < options.lossRatio) {
      counts.lost += 1;
      return;
    }
    const copy = Buffer.from(data);
    const dueAt = here.busyUntil + options.delayMs;
    const timer = setTimeout(() => {
      timers.delete(timer);
      lateMs = Math.max(lateMs, performance.now() - dueAt);
      const there = ends[1 - from];
      if (there?.port === undefined || there.address === undefined) return;
      counts.passed += 1;
      try {
        sockets[1 - from]?.send(copy, there.port, there.address);
      } catch {
        // The browser has closed its socket.
      }
    }, dueAt - now);
    timers.add(timer);
  }

  for (const end of [0, 1])
    sockets.push(
      await Bun.udpSocket({
        hostname: "127.0.0.1",
        socket: {
          data: (_, data, port, address) => receive(end, data, port, address),
          // A browser that has hung up refuses what is still on its way.
          error() {},
        },
      }),
    );
  const [first, second] = sockets;
  if (!first || !second) throw new Error("the line has no ends");
  return {
    ports: [first.port, second.port],
    counts,
    get lateMs() {
      return lateMs;
    },
    treat(next) {
      options = next;
    },
    [Symbol.dispose]() {
      for (const timer of timers) clearTimeout(timer);
      for (const socket of sockets) socket.close();
    },
  };
}

/**
 * From now on this page reaches all its partners by the line, at `port`: it is told that address instead of each of their candidates. The
 * connections of the page are in `window.connections`.
 */
export async function useLine(page: Page, port: number): Promise<void> {
  await page.evaluate((port) => {
    const address = `candidate:1 1 udp 2122260223 127.0.0.1 ${port} typ host`;
    const connections = new Set<RTCPeerConnection>();
    const { prototype } = RTCPeerConnection;
    type Real = (this: RTCPeerConnection, given: unknown) => Promise<void>;
    const { setRemoteDescription, addIceCandidate } = prototype as unknown as Record<
      "setRemoteDescription" | "addIceCandidate",
      Real
    >;
    Object.assign(window, { connections });
    Object.assign(prototype, {
      setRemoteDescription(this: RTCPeerConnection, description: RTCSessionDescriptionInit) {
        connections.add(this);
        const sdp = description.sdp?.replace(/^a=candidate:.*\r\n/gm, "") ?? "";
        return setRemoteDescription.call(this, { ...description, sdp });
      },
      addIceCandidate(this: RTCPeerConnection, init: RTCIceCandidateInit) {
        return addIceCandidate.call(this, init.candidate ? { ...init, candidate: address } : init);
      },
    });
  }, port);
}

/** Numbers in [0, 1) (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
