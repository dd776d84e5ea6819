/** A TCP proxy between a peer and the server, that cuts and freezes connections as networks do. */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

/**
 * What a network does to new WebSockets, while all other HTTP passes: answers 400 like a proxy that does not know them,
 * swallows the request, or cuts the connection after 2 s.
 */
export type WebSocketTreatment = "pass" | "refuse" | "hang" | "cut";

export interface TcpProxy extends AsyncDisposable {
  /** Without the last slash. */
  readonly http: string;
  readonly ws: string;
  readonly connections: number;
  /** Ends every connection at once, without a closing handshake. */
  cut(): void;
  /** From now on nothing passes and nothing is refused: a half-open network. New connections too. */
  freeze(): void;
  /** From now on nothing that the server sends passes, on the connections that are open. */
  deafen(): void;
  /** What was held back passes again. */
  thaw(): void;
  /** Leads new connections elsewhere; those that are open stay where they are. */
  retarget(target: URL): void;
  /** From now on everything takes so much longer each way (milliseconds). */
  lag(ms: number): void;
  /** From now on a Redis behind it tells a time (`TIME`) that is so far ahead (milliseconds). */
  setClockAhead(ms: number): void;
  /** Refuses new connections until further notice. */
  refuse(refusing: boolean): void;
  treatWebSockets(treatment: WebSocketTreatment): void;
  /** WebSockets that are open through it. */
  readonly webSockets: number;
}

/** @param cutOn looks at what the server sends; true cuts that connection in place of passing it on. */
export async function createTcpProxy(
  firstTarget: URL,
  cutOn: (chunk: Buffer) => boolean = () => false,
): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  const upgraded = new Set<Socket>();
  let treatment: WebSocketTreatment = "pass";
  let target = firstTarget;
  let frozen = false;
  let lagMs = 0;
  let clockAheadMs = 0;
  let refusing = false;

  const server = createServer((near) => {
    if (refusing) {
      near.destroy();
      return;
    }
    const far = connect(Number(target.port), target.hostname);
    const pair = [near, far] as const;
    pairs.add(pair);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.setNoDelay(true);
      from.on("data", (chunk: Buffer) => {
        if (from === far && cutOn(chunk)) near.destroy();
        else if (from === near && asksForWebSocket(chunk) && !admit(near)) return;
        else {
          const passed = clockAheadMs !== 0 && from === far ? withTime(chunk, clockAheadMs) : chunk;
          if (lagMs === 0) to.write(passed);
          else setTimeout(() => to.write(passed), lagMs);
        }
      });
      from.on("error", () => {});
      from.on("close", () => {
        // While frozen the other end must not hear of it; it is ended when the network thaws.
        if (frozen && !to.destroyed) return;
        pairs.delete(pair);
        upgraded.delete(near);
        to.destroy();
      });
      if (frozen) from.pause();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;

  /** Treats a request for a WebSocket. Returns whether it passes. */
  function admit(near: Socket): boolean {
    if (treatment === "refuse") near.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    if (treatment === "refuse" || treatment === "hang") return false;
    upgraded.add(near);
    if (treatment === "cut") setTimeout(() => near.destroy(), 2000);
    return true;
  }

  function cut() {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
  }

  return {
    http: `http://127.0.0.1:${port}`,
    ws: `ws://127.0.0.1:${port}`,
    get connections() {
      return pairs.size;
    },
    cut,
    freeze() {
      frozen = true;
      for (const pair of pairs) for (const socket of pair) socket.pause();
    },
    deafen() {
      for (const [, far] of pairs) far.pause();
    },
    thaw() {
      frozen = false;
      for (const pair of pairs) {
        if (pair.some((socket) => socket.destroyed)) for (const socket of pair) socket.destroy();
        else for (const socket of pair) socket.resume();
      }
    },
    retarget(next) {
      target = next;
    },
    lag(ms) {
      lagMs = ms;
    },
    setClockAhead(ms) {
      clockAheadMs = ms;
    },
    refuse(value) {
      refusing = value;
    },
    treatWebSockets(next) {
      treatment = next;
    },
    get webSockets() {
      return upgraded.size;
    },
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function asksForWebSocket(chunk: Buffer): boolean {
  const text = chunk.toString("latin1");
  return text.startsWith("GET ") && /\r\nupgrade: websocket\r\n/i.test(text);
}

/** Replies to `TIME` are two strings: seconds and microseconds (RESP). */
function withTime(chunk: Buffer, aheadMs: number): Buffer {
  const time = /(\*2\r\n\$10\r\n)(\d{10})(\r\n\$\d\r\n\d{1,6}\r\n)/g;
  const text = chunk.toString("latin1");
  const shifted = text.replace(
    time,
    (_, before: string, seconds: string, after: string) =>
      `${before}${Number(seconds) + aheadMs / 1000}${after}`,
  );
  return shifted === text ? chunk : Buffer.from(shifted, "latin1");
}
