/** The variables about lifecycle events → where they are posted. */
import { z } from "zod";
import { confidential, shown } from "./config-values.ts";
import { lifecycleTypes, type LifecycleType } from "./domain/lifecycle.ts";

export interface EventsConfig {
  url: string;
  secret: string;
  types: readonly LifecycleType[];
}

const type = z.enum(lifecycleTypes, {
  error: ({ input }) =>
    `${shown(String(input))} is no type of an event: ${lifecycleTypes.join(", ")}, comma-separated`,
});

/** @param secret what a secret has to be. */
export const eventsVariables = <Secret extends z.ZodType<string>>(secret: Secret) => ({
  EVENTS_WEBHOOK: confidential(
    z
      .url({ protocol: /^https?$/, error: "must be a URL that begins with https:// or http://" })
      .optional(),
  ),
  EVENTS_SECRET: confidential(secret.optional()),
  EVENTS_TYPES: z
    .string()
    .transform((text) => text.split(",").map((item) => item.trim()))
    .pipe(z.array(type).min(1))
    .optional(),
});

type Environment = z.output<z.ZodObject<ReturnType<typeof eventsVariables>>>;

/** What does not fit together: variable and problem. */
export function eventsProblems(env: Environment): [variable: string, problem: string][] {
  const problems: [string, string][] = [];
  if ((env.EVENTS_WEBHOOK === undefined) !== (env.EVENTS_SECRET === undefined))
    problems.push([
      "EVENTS_SECRET",
      "and EVENTS_WEBHOOK are needed together: it signs what is posted",
    ]);
  if (env.EVENTS_TYPES !== undefined && env.EVENTS_WEBHOOK === undefined)
    problems.push(["EVENTS_TYPES", "has no use without EVENTS_WEBHOOK"]);
  return problems;
}

export function readEventsConfig(env: Environment): EventsConfig | undefined {
  const { EVENTS_WEBHOOK: url, EVENTS_SECRET: secret, EVENTS_TYPES: types } = env;
  if (url === undefined || secret === undefined) return undefined;
  return { url, secret, types: [...new Set(types ?? lifecycleTypes)] };
}
