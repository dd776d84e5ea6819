/** Socket.IO on Node with Express: `node socket-io-node.mjs [acknowledged]`. */
import { createServer } from "node:http";
import express from "express";
import { Server } from "socket.io";
import { options, serveRooms } from "./socket-io-rooms.mjs";

const app = express();
app.get("/", (_, response) => response.send("Hello"));
const server = createServer(app);
serveRooms(
  new Server(server, { ...options, cors: { origin: "http://localhost:5173" } }),
  process.argv[2] === "acknowledged",
);

server.listen(0, "127.0.0.1", () =>
  process.stdout.write(`http://127.0.0.1:${server.address().port}\n`),
);
