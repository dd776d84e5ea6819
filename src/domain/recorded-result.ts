/** A mutation is executed once per id: its result is recorded, and given again for the same id. */
import type { Confirmed } from "./living-calls.ts";
import { isRejection, type Rejection } from "./rejection.ts";

/** Results kept per session, and for how long (milliseconds). */
export const resultsMax = 256;
export const resultKeptMs = 120_000;

/** A result as it is recorded under its mutation's id: without what only the first answer may report. */
export function recordedResult<Result extends object>(
  result: Result | Rejection,
): Result | undefined {
  if (isRejection(result)) return undefined;
  if (!("connectedAfterMs" in result) && !("restored" in result)) return result;
  const { connectedAfterMs: _, restored: __, ...kept } = result as Result & Partial<Confirmed>;
  return kept as Result;
}
