/**
 * PeerJS' server, as its documentation has it; only the number of peers is not limited to 5000, and none is cut off that is silent
 * for a minute, as the load is while others are in turn.
 */
import { PeerServer } from "peer";

const options = { host: "127.0.0.1", port: 0, concurrent_limit: 100_000, alive_timeout: 3_600_000 };
PeerServer(options, (server) =>
  process.stdout.write(`http://127.0.0.1:${server.address().port}\n`),
);
