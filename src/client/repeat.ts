/** Repeats what takes its time. */
import type { Timer, Timers } from "./platform.ts";

/** Calls `action` again and again until the returned function is called: each time `everyMs` after the previous call was done. */
export function repeat(timers: Timers, everyMs: number, action: () => Promise<void>): () => void {
  let timer: Timer | undefined;
  let isOver = false;
  const start = () => {
    timer = timers.setTimeout(() => {
      void action().finally(() => {
        if (!isOver) start();
      });
    }, everyMs);
  };
  start();
  return () => {
    isOver = true;
    timers.clearTimeout(timer);
  };
}
