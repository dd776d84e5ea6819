/**
 * Socket.IO on Node, one of several nodes on a Redis: `node socket-io-redis.mjs pub-sub|streams redis://…`. Rooms are Socket.IO's own, by the id
 * that a socket asks for, so that partners may be on different nodes. Signals are validated and acknowledged.
 */
import { createServer } from "node:http";
import { createClient } from "@redis/client";
import { createShardedAdapter } from "@socket.io/redis-adapter";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { Server } from "socket.io";
import { schemas } from "./socket-io-rooms.mjs";

const [kind, url] = process.argv.slice(2);
const connect = async () => {
  const client = createClient({ url });
  await client.connect();
  return client;
};
// Of its adapters with pub/sub the sharded one: it has a channel for each room, so that only nodes with members are told.
const adapter =
  kind === "streams"
    ? createAdapter(await connect())
    : createShardedAdapter(await connect(), await connect(), { subscriptionMode: "dynamic" });
const server = createServer();
const io = new Server(server, { adapter });
const roomOf = (socket) => `pair-of-two-peers-${socket.data.room}`;

io.on("connection", (socket) => {
  socket.on("join", async (room, acknowledge) => {
    socket.data.room = room;
    await socket.join(roomOf(socket));
    acknowledge({ status: "paired" });
  });
  for (const [type, schema] of Object.entries(schemas))
    socket.on(type, (signal, acknowledge) => {
      const parsed = schema.safeParse(signal);
      if (!parsed.success) return acknowledge({ error: parsed.error.issues[0]?.message });
      if (parsed.data.roomId !== socket.data.room)
        return acknowledge({ error: "You are not in this room" });
      socket.to(roomOf(socket)).emit(type, parsed.data);
      acknowledge({ delivered: true });
    });
});

server.listen(0, "127.0.0.1", () =>
  process.stdout.write(`http://127.0.0.1:${server.address().port}\n`),
);
