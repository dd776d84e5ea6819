/** Colyseus with its WebSocket transport: rooms of two that relay, which its matchmaker fills. */
import { Room, Server } from "@colyseus/core";
import { WebSocketTransport } from "@colyseus/ws-transport";
import { createServer } from "node:http";

class Call extends Room {
  maxClients = 2;
  /** There is no state to tell of, so that no timer looks for its changes. */
  patchRate = null;

  onCreate() {
    for (const type of ["offer", "candidate"])
      this.onMessage(type, (client, signal) => {
        this.clients.find((other) => other !== client)?.send(type, signal);
      });
  }

  onJoin() {
    if (this.clients.length === this.maxClients) this.broadcast("paired", { roomId: this.roomId });
  }
}

const http = createServer();
// The default, 4 KB, is less than an SDP has.
const transport = new WebSocketTransport({ server: http, maxPayload: 64 * 1024 });
const server = new Server({ transport, greet: false });
server.define("call", Call);
await server.listen(0, "127.0.0.1");

process.stdout.write(`http://127.0.0.1:${http.address().port}\n`);
