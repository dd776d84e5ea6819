/** The entry `peer-stream/server`: the server as a library. */
export { readConfig, type Config } from "./config.ts";
export { createPeerStream, type PeerStream, type PeerStreamOptions } from "./app/peer-stream.ts";
