/** Repeats what takes its time. */
import { browserTimers, type Timer, type Timers } from "./platform.ts";

/** Calls `action` every `everyMs`, counted from when the previous call was done, until the returned function is called. */
export function repeat(
  everyMs: number,
  action: () => Promise<void>,
  { setTimeout, clearTimeout }: Timers = browserTimers,
): () => void {
  let timer: Timer | undefined;
  let isOver = false;
  const wait = () => {
    if (isOver) return;
    timer = setTimeout(() => void action().finally(wait), everyMs);
  };
  wait();
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}
