/** The variables about what a peer has to do before it may join, and about hints. */
import { z } from "zod";
import { flag, integer, oneOf } from "./config-values.ts";
import { limits, type Rules } from "./protocol.ts";

/** Who has to solve a proof of work before a join. */
export const challengeModes = ["off", "on", "adaptive"] as const;

export interface ChallengeConfig {
  readonly mode: (typeof challengeModes)[number];
  /** Tries that a challenge takes on average. */
  readonly difficulty: number;
  /** How long a session that has solved one is not asked again (milliseconds). */
  readonly passMs: number;
}

const rulesCharsMax = 4000;

export const safetyVariables = {
  CHALLENGE: oneOf(challengeModes).default("off"),
  CHALLENGE_DIFFICULTY: integer(1, 100_000).default(150),
  CHALLENGE_PASS_MS: integer(60_000, 86_400_000).default(1_800_000),
  RULES_VERSION: z
    .string()
    .max(limits.rulesVersionCharsMax, `must be at most ${limits.rulesVersionCharsMax} characters`)
    .refine((text) => text.isWellFormed(), "must be well-formed Unicode")
    .optional(),
  RULES_TEXT: z
    .string()
    .max(rulesCharsMax, `must be at most ${rulesCharsMax} characters`)
    .optional(),
  RULES_URL: z
    .url({ protocol: /^https?$/, error: "must be a URL that begins with https:// or http://" })
    .optional(),
  RULES_AGE: integer(0, 120).default(18),
  RULES_REQUIRED: flag.default(false),
  HINTS: flag.default(false),
};

type Environment = z.output<z.ZodObject<typeof safetyVariables>>;

/** What does not fit together: variable and problem. */
export function safetyProblems(env: Environment): [variable: string, problem: string][] {
  const { RULES_VERSION: version, RULES_TEXT: text, RULES_URL: url, RULES_REQUIRED } = env;
  if (version !== undefined)
    return text === undefined && url === undefined
      ? [["RULES_TEXT", "or RULES_URL is needed with RULES_VERSION: it is what people agree to"]]
      : [];
  const idle = { RULES_TEXT: text, RULES_URL: url, RULES_REQUIRED: RULES_REQUIRED || undefined };
  return Object.entries(idle).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, "has no use without RULES_VERSION"] as [string, string]],
  );
}

/** Absent settings are those of a site that asks for nothing. */
export function readSafetyConfig(env: Environment): {
  challenge: ChallengeConfig;
  rules: Rules | undefined;
  takesHints: boolean;
} {
  const { RULES_VERSION: version, RULES_TEXT: text, RULES_URL: url, RULES_AGE: age } = env;
  return {
    challenge: {
      mode: env.CHALLENGE,
      difficulty: env.CHALLENGE_DIFFICULTY,
      passMs: env.CHALLENGE_PASS_MS,
    },
    rules:
      version === undefined
        ? undefined
        : {
            version,
            ...(text !== undefined && { text }),
            ...(url !== undefined && { url }),
            ...(age > 0 && { age }),
            required: env.RULES_REQUIRED,
          },
    takesHints: env.HINTS,
  };
}
