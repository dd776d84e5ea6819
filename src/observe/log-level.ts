/** Changes what is logged while the process runs. */
import { logLevels, type Log, type LogLevel } from "./log.ts";

/**
 * Sets the level, and says so in a line that is written at the old level or at the new one.
 * @param by who or what has asked for it.
 * @returns the level that it was; `undefined` if nothing is known of the log's level, which stays as it is.
 */
export function changeLogLevel(log: Log, is: LogLevel, by: string): LogLevel | undefined {
  const { level: was } = log;
  if (was === undefined) return undefined;
  const tell = () => log.warn("the level of the log was changed", { was, is, by });
  const hidesMore = logLevels.indexOf(is) > logLevels.indexOf(was);
  if (hidesMore) tell();
  log.level = is;
  if (!hidesMore) tell();
  return was;
}

/** What the next SIGUSR2 changes the level to: `debug`, and from there back to the configured level. */
export const nextLogLevel = (current: LogLevel | undefined, configured: LogLevel): LogLevel =>
  current === "debug" ? configured : "debug";
