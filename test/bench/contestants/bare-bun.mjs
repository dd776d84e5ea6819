/** The bare relay on Bun's own WebSocket. */
import { newPeer, receive } from "./bare-relay.mjs";

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, bun) => (bun.upgrade(request, { data: {} }) ? undefined : new Response("bare")),
  websocket: {
    open(ws) {
      ws.data = newPeer(ws);
    },
    message: (ws, text) => receive(ws.data, text),
  },
});

process.stdout.write(`${server.url.origin}\n`);
