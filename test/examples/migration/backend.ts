/** The backend before: Socket.IO and Express, a queue, rooms of two, signals passed on, a cooldown after a skip. */
import { createServer } from "node:http";
import express from "express";
import { Server, type Socket } from "socket.io";

const {
  PORT = "3000",
  CORS_ORIGIN = "http://localhost:5173",
  SKIP_COOLDOWN_MS = "300000",
} = process.env;

const app = express();
app.get("/", (_request, response) => void response.send("ok"));
const http = createServer(app);
const io = new Server(http, { cors: { origin: CORS_ORIGIN } });

let queue: Socket[] = [];
const rooms = new Map<string, readonly [Socket, Socket]>();
const skipped = new Map<string, number>();

const pairKey = (one: Socket, other: Socket) => [one.id, other.id].sort().join();

function enqueue(socket: Socket): void {
  const partner = queue.find(
    (other) => Date.now() - (skipped.get(pairKey(socket, other)) ?? 0) > Number(SKIP_COOLDOWN_MS),
  );
  if (!partner) {
    queue.push(socket);
    socket.emit("lobby");
    return;
  }
  queue = queue.filter((other) => other !== partner);
  const roomId = crypto.randomUUID();
  rooms.set(roomId, [partner, socket]);
  partner.emit("create-offer", { roomId });
  socket.emit("wait-for-offer", { roomId });
}

function partnerIn(roomId: string, socket: Socket): Socket | undefined {
  const [one, other] = rooms.get(roomId) ?? [];
  return one === socket ? other : one;
}

function endRoom(roomId: string, by: Socket): void {
  const partner = partnerIn(roomId, by);
  rooms.delete(roomId);
  partner?.emit("partner-disconnected");
  if (partner) enqueue(partner);
}

io.on("connection", (socket) => {
  enqueue(socket);
  for (const signal of ["offer", "answer", "add-ice-candidate"])
    socket.on(signal, (message) => partnerIn(message.roomId, socket)?.emit(signal, message));
  socket.on("skip", ({ roomId }) => {
    const partner = partnerIn(roomId, socket);
    if (partner) skipped.set(pairKey(socket, partner), Date.now());
    endRoom(roomId, socket);
    enqueue(socket);
  });
  socket.on("disconnect", () => {
    queue = queue.filter((other) => other !== socket);
    for (const [roomId, members] of rooms) if (members.includes(socket)) endRoom(roomId, socket);
  });
});

http.listen(Number(PORT), () => console.log(`The backend listens at ${PORT}`));
