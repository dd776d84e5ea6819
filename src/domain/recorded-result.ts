/** A mutation is executed once per id: its result is recorded, and given again for the same id. */
import { isRejection, type Rejection } from "./rejection.ts";
import type { Confirmed } from "./transitions.ts";

/** Results kept per session, and for how long (milliseconds). */
export const resultsMax = 256;
export const resultKeptMs = 120_000;

/** A result as it is recorded under its mutation's id: without what only the first answer may report. */
export function recordedResult<Result extends object>(
  result: Result | Rejection,
): Result | undefined {
  if (isRejection(result)) return undefined;
  if (!("confirmed" in result) && !("restored" in result)) return result;
  const {
    connectedAfterMs: _,
    confirmed: __,
    restored: ___,
    ...kept
  } = result as Result & Partial<Confirmed>;
  return kept as Result;
}
