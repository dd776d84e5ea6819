/**
 * The floor: a bare WebSocket on Bun that parses and stringifies the same frames as ours, and does nothing else.
 * No check, no session, no log, no limit.
 */
import type { ServerWebSocket } from "bun";

interface Peer {
  partner: ServerWebSocket<Peer> | undefined;
  offset: number;
}

interface Frame {
  id: number;
  params: { path: string; input: { roomId: string; candidate?: unknown; sdp?: string } };
}

const waiting: ServerWebSocket<Peer>[] = [];

function tell(ws: ServerWebSocket<Peer>, event: object) {
  const id = `epoch:${++ws.data.offset}`;
  ws.send(JSON.stringify({ id: 1, result: { type: "data", data: { id, data: event }, id } }));
}

function answer(ws: ServerWebSocket<Peer>, id: number, data: object) {
  ws.send(JSON.stringify({ id, result: { type: "data", data } }));
}

const server = Bun.serve<Peer>({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, bun) {
    const data = { partner: undefined, offset: 0 };
    return bun.upgrade(request, { data }) ? undefined : new Response("floor");
  },
  websocket: {
    message(ws, text) {
      if (text === "PING") return void ws.send("PONG");
      const { id, params } = JSON.parse(text as string) as Frame;
      const { partner } = ws.data;
      switch (params.path) {
        case "events":
          return tell(ws, { type: "session" });
        case "join": {
          const other = waiting.shift();
          if (other) {
            const roomId = crypto.randomUUID();
            ws.data.partner = other;
            other.data.partner = ws;
            tell(ws, { type: "create-offer", roomId });
            tell(other, { type: "wait-for-offer", roomId });
          } else waiting.push(ws);
          return answer(ws, id, { status: other ? "paired" : "waiting" });
        }
        case "leave":
          if (partner) partner.data.partner = undefined;
          ws.data.partner = undefined;
          return answer(ws, id, { status: "idle" });
        case "offer": {
          const { roomId, sdp } = params.input;
          if (partner) tell(partner, { type: "offer", roomId, sdp });
          return answer(ws, id, { delivered: true });
        }
        default: {
          const { roomId, candidate } = params.input;
          if (partner) tell(partner, { type: "add-ice-candidate", roomId, candidate });
          return answer(ws, id, { delivered: true });
        }
      }
    },
  },
});

process.stdout.write(`${server.url.origin}\n`);
