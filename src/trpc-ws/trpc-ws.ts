/** The entry `peer-stream/trpc-ws`: tRPC's WebSocket protocol for any router on Bun. */
export { bunSocketSettings, createUpgrade } from "./bun.ts";
export { TrpcWebSocket } from "./trpc-web-socket.ts";
