/**
 * The entries of a log in Redis: the text of an event (see `toLogText`), and of a signal also the id of its mutation, so that any
 * node can find out whether it was appended. Texts are JSON and contain no control characters, which separate the two.
 */
import { readLogText, type LogEntry } from "../../domain/event-log.ts";

/** @param mutation in JSON; empty if the signal has none. */
export const signalEntry = (signal: string, mutation: string): string =>
  mutation === "" ? signal : `${signal}\t${mutation}`;

/** The text of an event without the id of its mutation. */
export function textOf(entry: string): string {
  const end = entry.indexOf("\t");
  return end < 0 ? entry : entry.slice(0, end);
}

/** Consecutive events after `after`. */
export function readEntries(after: number, entries: readonly string[]): LogEntry[] {
  return entries.map((entry, index) => readLogText(after + index + 1, textOf(entry)));
}
