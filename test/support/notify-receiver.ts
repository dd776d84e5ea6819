/** A service manager's end of sd_notify(3), so that a test sees what a server tells it. */
import { join } from "node:path";
import { ends } from "./ends.ts";
import { until } from "./until.ts";

/** A message, by the names of its variables. */
export type Told = Readonly<Record<string, string>>;

/** @param address a path, or `@` and a name of the abstract namespace. */
export async function receiveNotifications(address: string): Promise<readonly Told[]> {
  const program = join(import.meta.dir, "notify-receiver.py");
  const child = Bun.spawn(["python3", program, address], { stdout: "pipe", stderr: "inherit" });
  ends.push(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  let printed = "";
  let isBound = false;
  const told: Told[] = [];
  void (async () => {
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (printed + chunk).split("\n");
      printed = lines.pop() ?? "";
      for (const line of lines) {
        if (isBound) told.push(variablesOf(JSON.parse(line) as string));
        isBound = true;
      }
    }
  })();
  await until("the receiver is bound", () => isBound);
  return told;
}

const variablesOf = (message: string): Told =>
  Object.fromEntries(
    message.split("\n").map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]),
  );
