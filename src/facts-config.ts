/** What an operator declares about facts → the declaration, checked. All problems are reported at once, each with the name of its dimension. */
import { z } from "zod";
import { laneName } from "./domain/lanes.ts";
import { factLimits, type FactDimension, type FactsDeclaration } from "./protocol/declaration.ts";
import { isName } from "./rpc/identity.ts";
import { shown } from "./config-values.ts";
import { readText } from "./text-file.ts";

const { dimensionsMax, nameCharsMax, valuesMax, bandsMax } = factLimits;

const properName = `must be a text of 1 to ${nameCharsMax} printable characters`;

const flag = z.boolean("must be true or false").optional();
const rules = {
  by: z.enum(["peer", "claims"], 'must be "peer" or "claims"').optional(),
  shown: flag,
  hard: flag,
};

const values = z
  .array(
    z.string(properName).refine((value) => isName(value, nameCharsMax), properName),
    "must be a list of texts",
  )
  .min(1, "must name a value")
  .max(valuesMax, `must name at most ${valuesMax} values`)
  .superRefine((list, context) => {
    const twice = list.filter((value, n) => list.indexOf(value) < n);
    for (const value of new Set(twice))
      context.addIssue({ code: "custom", message: `names ${JSON.stringify(value)} twice` });
  });

const whole = z.int("must be a whole number");
const bands = z
  .array(whole, "must be a list of whole numbers")
  .max(bandsMax - 1, `must be at most ${bandsMax - 1} numbers, which make ${bandsMax} bands`)
  .refine(
    (list) => list.every((lowest, n) => n === 0 || lowest > (list[n - 1] ?? lowest)),
    "must be ascending",
  );

const rangeOf = z.object({ from: whole, to: whole });
const insideOf = rangeOf.extend({ bands: z.array(whole) });

// Also where something else is wrong, so that all problems are reported.
const range = z
  .strictObject({
    kind: z.literal("range"),
    from: whole,
    to: whole,
    bands: bands.optional(),
    ...rules,
  })
  .refine(({ from, to }) => from <= to, {
    path: ["from"],
    error: "must not be above `to`",
    when: ({ value }) => rangeOf.safeParse(value).success,
  })
  .refine((one) => one.bands?.every((lowest) => lowest > one.from && lowest <= one.to) !== false, {
    path: ["bands"],
    error: "must lie above `from`, and not above `to`",
    when: ({ value }) => insideOf.safeParse(value).success,
  });

const dimension: z.ZodType<FactDimension> = z.discriminatedUnion(
  "kind",
  [
    z.strictObject({ kind: z.literal("one"), of: values, ...rules }),
    z.strictObject({ kind: z.literal("set"), of: values, ...rules }),
    range,
    z.strictObject({ kind: z.literal("flag"), ...rules }),
  ],
  {
    error: ({ code }) =>
      code === "invalid_union" ? "must be one, set, range or flag" : "must be an object",
  },
);

/** What every object has would be taken for a fact that is stated. */
const nameProblem = (name: string): string | undefined =>
  name in {}
    ? "is the name of something that every object has"
    : name === laneName
      ? "is the name of the server's own: see LANE_AFTER_MS"
      : isName(name, nameCharsMax)
        ? undefined
        : `the name ${properName}`;

/** What is declared, or what is wrong with it. */
export type ReadFacts =
  | { facts: FactsDeclaration; problems?: undefined }
  /** Each begins with the path of what is wrong: `region.of: …`. */
  | { facts?: undefined; problems: string[] };

/** Checks a declaration, as JSON or code has it. */
export function readFacts(declared: unknown): ReadFacts {
  if (typeof declared !== "object" || declared === null || Array.isArray(declared))
    return { problems: ["must be an object with a dimension under each name"] };
  const named = Object.entries(declared);
  const problems: string[] = [];
  if (named.length > dimensionsMax)
    problems.push(`has ${named.length} dimensions, and there may be ${dimensionsMax}`);
  const facts: Record<string, FactDimension> = {};
  for (const [name, given] of named) {
    const shownName = /^[\w-]{1,64}$/.test(name) ? name : JSON.stringify(name);
    const misnamed = nameProblem(name);
    if (misnamed !== undefined) problems.push(`${shownName}: ${misnamed}`);
    const checked = dimension.safeParse(given);
    if (!checked.success)
      problems.push(...checked.error.issues.flatMap((issue) => linesOf(shownName, issue)));
    else if (misnamed === undefined) facts[name] = checked.data;
  }
  return problems.length > 0 ? { problems } : { facts };
}

function linesOf(name: string, issue: z.core.$ZodIssue): string[] {
  const at = (...more: string[]) => [name, ...issue.path.map(String), ...more].join(".");
  return issue.code === "unrecognized_keys"
    ? issue.keys.map((key) => `${at(key)}: is no field of a dimension of this kind`)
    : [`${at()}: ${issue.message}`];
}

/** Dimensions have at most 256 short values each. */
const factsBytesMax = 1_048_576;

/** Reads the JSON file that `FACTS_FILE` names. */
export function readFactsFile(path: string): ReadFacts {
  const read = readText(path, factsBytesMax);
  if ("problem" in read) return { problems: [`${read.problem}: ${shown(path)}`] };
  let declared: unknown;
  try {
    declared = JSON.parse(read.text);
  } catch (error) {
    // A parser's message quotes a word of the text, which is a secret if this is the file of another variable.
    const why = String((error as SyntaxError).message).replace(/ "[^]*$/, "");
    return { problems: [`is no JSON: ${why}`] };
  }
  return readFacts(declared);
}
