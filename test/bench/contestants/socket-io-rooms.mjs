/** The usual backend for such a site on Socket.IO: a queue, and rooms of two that relay. */
import { randomUUID } from "node:crypto";
import { z } from "zod";

const { PING_INTERVAL_MS, RECOVERY_MS } = process.env;
/** How long a socket that was lost may come back. Without it a disconnect ends the room. */
const recoveryMs = Number(RECOVERY_MS ?? 0);

/** The defaults, but for what is to be measured. */
export const options = {
  ...(PING_INTERVAL_MS && { pingInterval: Number(PING_INTERVAL_MS) }),
  ...(recoveryMs > 0 && { connectionStateRecovery: { maxDisconnectionDuration: recoveryMs } }),
};

/** @type {import("socket.io").Socket[]} */
let queue = [];
/** @type {Map<string, [import("socket.io").Socket, import("socket.io").Socket]>} */
const rooms = new Map();
/** Timers of sockets that were lost, by their ids. */
const leaving = new Map();

const roomId = z.string().min(1).max(64);
const description = z.strictObject({
  roomId,
  sdp: z
    .string()
    .min(1)
    .max(32 * 1024),
});
export const schemas = {
  offer: description,
  answer: description,
  "add-ice-candidate": z.strictObject({
    roomId,
    candidate: z.strictObject({
      candidate: z.string().max(1024),
      sdpMid: z.string().max(64).nullish(),
      sdpMLineIndex: z.int().min(0).max(0xffff).nullish(),
      usernameFragment: z.string().max(256).nullish(),
    }),
  }),
};

function leave(socket) {
  queue = queue.filter((waiting) => waiting !== socket);
  const room = rooms.get(socket.data.roomId);
  if (!room) return;
  rooms.delete(socket.data.roomId);
  for (const member of room) member.data.roomId = undefined;
  partnerIn(room, socket).emit("partner-disconnected");
}

const partnerIn = ([one, other], socket) => (one === socket ? other : one);

function join(socket) {
  const partner = queue.shift();
  if (!partner) {
    queue.push(socket);
    socket.emit("lobby");
    return;
  }
  const id = randomUUID();
  rooms.set(id, [partner, socket]);
  socket.data.roomId = id;
  partner.data.roomId = id;
  socket.emit("create-offer", { roomId: id });
  partner.emit("wait-for-offer", { roomId: id });
}

/** A socket that is recovered has the id and the data of the lost one, and takes its place in the room. */
function takeOver(socket) {
  clearTimeout(leaving.get(socket.id));
  leaving.delete(socket.id);
  const room = rooms.get(socket.data.roomId);
  if (room) room[room[0].id === socket.id ? 0 : 1] = socket;
}

/** @param isAcknowledged whether each signal is checked and acknowledged, which is what ours means by a call. */
export const serveRooms = (io, isAcknowledged) =>
  io.on("connection", (socket) => {
    if (socket.recovered) takeOver(socket);
    socket.on("join", (acknowledge) => {
      join(socket);
      if (isAcknowledged) acknowledge({ status: socket.data.roomId ? "paired" : "waiting" });
    });
    socket.on("leave", () => leave(socket));
    socket.on("disconnect", () => {
      if (recoveryMs === 0) return leave(socket);
      const timer = setTimeout(() => {
        leaving.delete(socket.id);
        leave(socket);
      }, recoveryMs);
      leaving.set(socket.id, timer);
    });
    for (const [type, schema] of Object.entries(schemas))
      socket.on(type, (signal, acknowledge) => {
        if (!isAcknowledged) {
          const room = rooms.get(signal.roomId);
          if (room) partnerIn(room, socket).emit(type, signal);
          return;
        }
        const parsed = schema.safeParse(signal);
        if (!parsed.success) return acknowledge({ error: parsed.error.issues[0]?.message });
        const room = rooms.get(parsed.data.roomId);
        if (!room?.includes(socket)) return acknowledge({ error: "You are not in this room" });
        partnerIn(room, socket).emit(type, parsed.data);
        acknowledge({ delivered: true });
      });
  });
