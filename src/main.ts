/**
 * The first file of the program: listens for signals, then loads the rest, which takes most of the start. Without a listener the first process
 * of a container loses the signal that should end it, and any other process is ended by SIGUSR2.
 */
import { endingSignals } from "./app/shutdown.ts";
import type { OnSignal } from "./program.ts";
import { ignoresHangup } from "./system.ts";

// There is nothing to drain yet.
const onSignal: OnSignal = { end: () => process.exit(0), changeLogLevel() {} };
process.on("SIGUSR2", () => onSignal.changeLogLevel());
for (const signal of endingSignals)
  if (signal !== "SIGHUP" || !ignoresHangup()) process.on(signal, () => onSignal.end(signal));

const { startProgram } = await import("./program.ts");
await startProgram(onSignal);
