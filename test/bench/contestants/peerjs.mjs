/** PeerJS' server, as its documentation has it; only the number of peers is not limited to 5000. */
import { PeerServer } from "peer";

PeerServer({ host: "127.0.0.1", port: 0, concurrent_limit: 100_000 }, (server) =>
  process.stdout.write(`http://127.0.0.1:${server.address().port}\n`),
);
