/**
 * Loaded before a server: its wall clock is off by WALL_CLOCK_AHEAD_MS, and with WALL_CLOCK_STEPS_MS it is set forward or
 * back by up to that much every second or so. With WALL_CLOCK_JUMP_MS it is set by so much, once more with each SIGUSR1. Its monotonic clock
 * is what it is.
 */
const ahead = Number(process.env["WALL_CLOCK_AHEAD_MS"] ?? 0);
const stepMax = Number(process.env["WALL_CLOCK_STEPS_MS"] ?? 0);
const jump = Number(process.env["WALL_CLOCK_JUMP_MS"] ?? 0);
const real = Date.now;
let offset = ahead;
Date.now = () => real() + offset;
if (stepMax > 0)
  setInterval(() => {
    offset = ahead + Math.round((2 * Math.random() - 1) * stepMax);
  }, 900).unref();
if (jump !== 0) process.on("SIGUSR1", () => void (offset += jump));
