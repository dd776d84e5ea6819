/** A mutation is executed once per id: its result is recorded, and given again for the same id. */
import type { Confirmed } from "./living-calls.ts";
import { isRejection, type Rejection } from "./rejection.ts";
import type { Ended } from "./transitions.ts";

/** Results kept per session, and for how long (milliseconds). */
export const resultsMax = 256;
export const resultKeptMs = 120_000;

/** What only the first answer may report, or it would be counted again. */
const told = ["connectedAfterMs", "connectedIn", "confirmed", "restored", "failedWhile"] as const;
type Told = Partial<Pick<Confirmed & Ended, (typeof told)[number]>>;

/** A result as it is recorded under its mutation's id: without what only the first answer may report. */
export function recordedResult<Result extends object>(
  result: Result | Rejection,
): Result | undefined {
  if (isRejection(result)) return undefined;
  if (!told.some((name) => name in result)) return result;
  const kept: Result & Told = { ...result };
  for (const name of told) delete kept[name];
  return kept;
}
