/** Writes the log to standard output without ever blocking: neither a pipe whose reader has stopped nor a full disk delays the server. */
import { LogSink } from "../observe/log-sink.ts";
import type { System } from "../system.ts";

/**
 * Writes once per turn of the event loop, and what is left when the process exits. Bun's own stream writes at once without waiting, and
 * polls a pipe or socket that is full. Writes of `node:fs` would block the whole process until the other end reads.
 */
export function toStandardOutput(system: Pick<System, "now" | "defer" | "schedule">): LogSink {
  const stream = Bun.stdout.writer();
  const sink = new LogSink({
    system,
    output: {
      write(text) {
        const written = [stream.write(text), stream.flush()];
        if (written.some((one) => one instanceof Promise))
          return Promise.all(written).then(() => undefined);
        return undefined;
      },
    },
  });
  process.on("exit", sink.flush);
  return sink;
}
