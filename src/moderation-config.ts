/** The variables about reports and suspensions → what is decided by them, and how long that is kept. */
import { z } from "zod";
import { flag, integer, list } from "./config-values.ts";

const dayMs = 86_400_000;
const durationMs = integer(1000, 365 * dayMs);
const stepsMax = 16;
const appealCharsMax = 500;

const steps = list.pipe(
  z
    .array(durationMs)
    .min(1, "must be at least one number")
    .max(stepsMax, `must be at most ${stepsMax} numbers`),
);

export const moderationVariables = {
  REPORTS_TO_SUSPEND: integer(0, 1000).default(3),
  REPORTS_TO_SUSPEND_ADDRESS: integer(0, 1000).default(9),
  REPORTS_WINDOW_MS: integer(1000, 30 * dayMs).default(3_600_000),
  REPORTS_AFTER_MS: integer(0, 3_600_000).default(5000),
  REPORTS_PER_HOUR: integer(0, 100_000).default(10),
  SUSPEND_STEPS: steps.optional(),
  SUSPEND_ADDRESS_STEPS: steps.optional(),
  SUSPEND_MS: durationMs.optional(),
  SUSPEND_ADDRESS_MS: durationMs.optional(),
  SUSPEND_WARNING: flag.default(true),
  SUSPEND_DECAY_MS: integer(0, 3650 * dayMs).default(30 * dayMs),
  APPEAL: z.string().max(appealCharsMax, `must be at most ${appealCharsMax} characters`).optional(),
  DECISIONS_KEEP_MS: integer(0, 3650 * dayMs).optional(),
  LIMIT_EVIDENCE_BYTES: integer(0, 1_000_000_000).default(16 * 1024 * 1024),
};

type Environment = z.output<z.ZodObject<typeof moderationVariables>>;

/** An hour, a day, a week; of an address an hour, six hours, a day, as others may get it next. */
const stepsDefaultMs = [3_600_000, dayMs, 7 * dayMs];
const addressStepsDefaultMs = [3_600_000, 6 * 3_600_000, dayMs];

/** What does not fit together: variable and problem. */
export function moderationProblems(env: Environment): [variable: string, problem: string][] {
  const problems: [string, string][] = [];
  if (env.SUSPEND_STEPS && env.SUSPEND_MS !== undefined)
    problems.push(["SUSPEND_MS", "and SUSPEND_STEPS exclude each other: it is the only step"]);
  if (env.SUSPEND_ADDRESS_STEPS && env.SUSPEND_ADDRESS_MS !== undefined)
    problems.push([
      "SUSPEND_ADDRESS_MS",
      "and SUSPEND_ADDRESS_STEPS exclude each other: it is the only step",
    ]);
  return problems;
}

export function readModerationConfig(env: Environment) {
  const only = (ms: number | undefined) => (ms === undefined ? undefined : [ms]);
  return {
    windowMs: env.REPORTS_WINDOW_MS,
    sessionReporters: env.REPORTS_TO_SUSPEND,
    addressReporters: env.REPORTS_TO_SUSPEND_ADDRESS,
    sessionSteps: env.SUSPEND_STEPS ?? only(env.SUSPEND_MS) ?? stepsDefaultMs,
    addressSteps:
      env.SUSPEND_ADDRESS_STEPS ?? only(env.SUSPEND_ADDRESS_MS) ?? addressStepsDefaultMs,
    warns: env.SUSPEND_WARNING,
    decayMs: env.SUSPEND_DECAY_MS,
    appeal: env.APPEAL,
    voteAfterMs: env.REPORTS_AFTER_MS,
    votesPerHour: env.REPORTS_PER_HOUR,
  };
}
