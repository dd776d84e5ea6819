/** A request and its response over UDP, TCP or TLS. */
import { createSocket } from "node:dgram";
import { connect as connectTcp, isIP } from "node:net";
import { connect as connectTls } from "node:tls";
import type { System } from "../system.ts";

export interface Address {
  over: "udp" | "tcp" | "tls";
  host: string;
  port: number;
}

/** A connection to one server; over UDP a socket. */
export interface Wire {
  /**
   * Sends `question`. Resolves with the response once `whole` finds it complete.
   * @throws if none arrives within five seconds, or the connection breaks.
   */
  ask(question: Uint8Array, whole: (answer: Buffer) => boolean): Promise<Buffer>;
  close(): void;
}

const ANSWER_MS_MAX = 5000;
/** A request over UDP is repeated this often (milliseconds), as packets may be lost (RFC 8489, 6.2.1: RTO). */
const AGAIN_MS = 500;

/** Connects to `address`. An error is reported by the first `ask`. */
export function openWire(address: Address, { schedule }: Pick<System, "schedule">): Wire {
  const { over, host, port } = address;
  const failed = Promise.withResolvers<never>();
  // A connection that breaks while no request is pending is not reported.
  failed.promise.catch(() => {});
  let hear: (chunk: Buffer) => void = () => {};
  const { send, close } = over === "udp" ? datagrams() : stream();

  function datagrams() {
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    socket.on("message", (message) => hear(message));
    socket.on("error", failed.reject);
    return {
      send: (bytes: Uint8Array) =>
        socket.send(bytes, port, host, (error) => error && failed.reject(error)),
      close: () => socket.close(),
    };
  }

  function stream() {
    const socket =
      over === "tls"
        ? // An IP address is not sent as server name (RFC 6066, 3); the certificate is still checked against it.
          connectTls({ host, port, ...(isIP(host) === 0 && { servername: host }) })
        : connectTcp({ host, port });
    socket.on("data", (chunk: Buffer) => hear(chunk));
    socket.on("error", failed.reject);
    socket.on("close", () => failed.reject(new Error("the connection was closed")));
    return { send: (bytes: Uint8Array) => void socket.write(bytes), close: () => socket.destroy() };
  }

  return {
    async ask(question, whole) {
      const answered = Promise.withResolvers<Buffer>();
      let got: Buffer = Buffer.alloc(0);
      hear = (chunk) => {
        // A datagram is complete, but may be from another sender; a stream arrives in pieces.
        got = over === "udp" ? chunk : Buffer.concat([got, chunk]);
        if (whole(got)) answered.resolve(got);
      };
      const silence = new Error(`no answer within ${ANSWER_MS_MAX / 1000} s`);
      let stopAgain = () => {};
      const again = () => {
        send(question);
        if (over === "udp") stopAgain = schedule(AGAIN_MS, again);
      };
      const stopTimer = schedule(ANSWER_MS_MAX, () => answered.reject(silence));
      try {
        again();
        return await Promise.race([answered.promise, failed.promise]);
      } finally {
        stopTimer();
        stopAgain();
      }
    },
    close,
  };
}
