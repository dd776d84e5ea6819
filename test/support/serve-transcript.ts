/**
 * Serves a transcript to a client under test: `bun serve-transcript.ts <file> [--as=alice] [--port=4000] [--timeout=30]`. It prints where the
 * client connects to, plays the server's side, and ends with 0 at the end of the transcript, or with 1 and where the client deviates.
 */
import { parseArgs } from "node:util";
import { readTranscript } from "./transcript.ts";
import { startTranscriptServer } from "./transcript-server.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    as: { type: "string", multiple: true },
    port: { type: "string", default: "0" },
    timeout: { type: "string", default: "30" },
  },
});
const [file] = positionals;
const port = Number(values.port);
const timeoutMs = Number(values.timeout) * 1000;
if (file === undefined || !(port >= 0) || !(timeoutMs > 0)) {
  console.error(
    "usage: serve-transcript <file> [--as=<peer>]… [--port=<port>] [--timeout=<seconds>]",
  );
  process.exit(2);
}
try {
  const lines = readTranscript(await Bun.file(file).text());
  const server = startTranscriptServer({ lines, peers: values.as, port, timeoutMs });
  console.log(server.url);
  const deviation = await server.played;
  console.log(deviation ?? "played to the end");
  process.exit(deviation === undefined ? 0 : 1);
} catch (cause) {
  console.error(cause instanceof Error ? cause.message : cause);
  process.exit(2);
}
