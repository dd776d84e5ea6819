/** Socket.IO on its engine for Bun: `bun socket-io-bun.mjs [acknowledged]`. */
import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";
import { options, serveRooms } from "./socket-io-rooms.mjs";

const io = new Server(options);
const engine = new Engine({ path: "/socket.io/", ...options });
io.bind(engine);
serveRooms(io, process.argv[2] === "acknowledged");
const server = Bun.serve({ hostname: "127.0.0.1", port: 0, ...engine.handler() });

process.stdout.write(`${server.url.origin}\n`);
