/**
 * Loaded before a server: its wall clock is off by WALL_CLOCK_AHEAD_MS, and with WALL_CLOCK_STEPS_MS it is set forward or
 * back by up to that much every second or so. Its monotonic clock is what it is.
 */
const ahead = Number(process.env["WALL_CLOCK_AHEAD_MS"] ?? 0);
const stepMax = Number(process.env["WALL_CLOCK_STEPS_MS"] ?? 0);
const real = Date.now;
let offset = ahead;
Date.now = () => real() + offset;
if (stepMax > 0)
  setInterval(() => {
    offset = ahead + Math.round((2 * Math.random() - 1) * stepMax);
  }, 900).unref();
