/** Colyseus with its WebSocket transport: rooms of two that relay, which its matchmaker fills. */
import { Room, Server } from "@colyseus/core";
import { WebSocketTransport } from "@colyseus/ws-transport";
import { createServer } from "node:http";
import { WebSocket } from "ws";

// A constant of the class is read where a client returns. Node has it from version 22 on.
globalThis.WebSocket ??= WebSocket;

/** How long a client that was lost may come back. */
const recoveryS = Number(process.env.RECOVERY_MS ?? 0) / 1000;

class Call extends Room {
  maxClients = 2;
  /** There is no state to tell of, so that no timer looks for its changes. */
  patchRate = null;
  /** What to tell those who are away, by their ids: Colyseus itself keeps nothing for them. */
  missed = new Map();
  members = [];

  onCreate() {
    for (const type of ["offer", "candidate"])
      this.onMessage(type, (client, signal) => {
        const partnerId = this.members.find((id) => id !== client.sessionId);
        const partner = this.clients.get(partnerId);
        if (partner) partner.send(type, signal);
        else this.missed.get(partnerId)?.push([type, signal]);
      });
  }

  onJoin({ sessionId }) {
    this.members.push(sessionId);
    if (this.clients.length === this.maxClients) this.broadcast("paired", { roomId: this.roomId });
  }

  onDrop(client) {
    if (recoveryS === 0) return;
    this.missed.set(client.sessionId, []);
    this.allowReconnection(client, recoveryS).catch(() => this.missed.delete(client.sessionId));
  }

  onReconnect(client) {
    for (const [type, signal] of this.missed.get(client.sessionId) ?? []) client.send(type, signal);
    this.missed.delete(client.sessionId);
  }
}

const http = createServer();
// The default, 4 KB, is less than an SDP has.
const transport = new WebSocketTransport({ server: http, maxPayload: 64 * 1024 });
const server = new Server({ transport, greet: false });
server.define("call", Call);
await server.listen(0, "127.0.0.1");

process.stdout.write(`http://127.0.0.1:${http.address().port}\n`);
