/** Ports that nothing uses, for programs that can't be told to take any free one. */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";

/** Below those that Linux gives to outgoing connections, one of which could be in the way a moment later. */
const lowest = 20_000;
const highest = 32_000;

/** A port that is free on 127.0.0.1, for TCP and UDP. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest));
    if ((await canListen(port)) && (await canBind(port))) return port;
  }
}

async function canListen(port: number): Promise<boolean> {
  const server = createServer();
  const listens = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => resolve(true));
  });
  if (listens) await new Promise((resolve) => server.close(resolve));
  return listens;
}

async function canBind(port: number): Promise<boolean> {
  const socket = createSocket("udp4");
  const binds = await new Promise<boolean>((resolve) => {
    socket.once("error", () => resolve(false));
    socket.bind(port, "127.0.0.1", () => resolve(true));
  });
  await new Promise<void>((resolve) => (binds ? socket.close(resolve) : resolve()));
  return binds;
}
