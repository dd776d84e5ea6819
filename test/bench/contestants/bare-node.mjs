/** The bare relay on `ws`, for Node. */
import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { newPeer, receive } from "./bare-relay.mjs";

const server = createServer((_, response) => response.end("bare"));
new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (ws) => {
  const peer = newPeer(ws);
  ws.on("message", (data) => receive(peer, data.toString()));
});

server.listen(0, "127.0.0.1", () =>
  process.stdout.write(`http://127.0.0.1:${server.address().port}\n`),
);
