/**
 * A relay that parses and serializes the same frames as ours, and does nothing else: no check, no session, no log, no limit.
 * What a bare WebSocket costs, whichever library it is.
 */
import { randomUUID } from "node:crypto";

const waiting = [];

/** @param ws anything with `send(text)`. */
export const newPeer = (ws) => ({ ws, partner: undefined, offset: 0, events: 0 });

export function receive(peer, text) {
  if (text === "PING") return peer.ws.send("PONG");
  const frame = JSON.parse(text);
  if (Array.isArray(frame)) for (const call of frame) handle(peer, call);
  else if (frame.method !== "connectionParams") handle(peer, frame);
}

function handle(peer, { id, params: { path, input } }) {
  const { partner } = peer;
  switch (path) {
    case "events":
      peer.events = id;
      return sendEvent(peer, { type: "session" });
    case "join": {
      const other = waiting.shift();
      if (other) {
        const roomId = randomUUID();
        peer.partner = other;
        other.partner = peer;
        sendEvent(peer, { type: "create-offer", roomId });
        sendEvent(other, { type: "wait-for-offer", roomId });
      } else waiting.push(peer);
      return respond(peer, id, { status: other ? "paired" : "waiting" });
    }
    case "leave":
      if (partner) partner.partner = undefined;
      peer.partner = undefined;
      return respond(peer, id, { status: "idle" });
    case "offer":
      if (partner) sendEvent(partner, { type: "offer", roomId: input.roomId, sdp: input.sdp });
      return respond(peer, id, { delivered: true });
    default: {
      const { roomId, candidate } = input;
      if (partner) sendEvent(partner, { type: "add-ice-candidate", roomId, candidate });
      return respond(peer, id, { delivered: true });
    }
  }
}

function sendEvent(peer, event) {
  const id = `epoch:${++peer.offset}`;
  const result = { type: "data", data: { id, data: event }, id };
  peer.ws.send(JSON.stringify({ id: peer.events, result }));
}

function respond(peer, id, data) {
  peer.ws.send(JSON.stringify({ id, result: { type: "data", data } }));
}
