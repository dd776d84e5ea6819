/** Kinds of values that several groups of variables have, each parsed from the text of one variable; and how messages show them. */
import { z } from "zod";

/** Comma-separated items; empty ones are left out. */
export const list = z.string().transform((text) =>
  text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== ""),
);

export const integer = (min: number, max: number) =>
  z
    .string()
    // More digits than a number holds exactly are no number of ours.
    .regex(/^\d{1,15}$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .pipe(z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`));

export const flag = z
  .string()
  .toLowerCase()
  .pipe(z.enum(["true", "false", "1", "0"], "must be true or false"))
  .transform((text) => text === "true" || text === "1");

export const oneOf = <const Names extends readonly [string, ...string[]]>(names: Names) =>
  z.enum(names, `must be one of ${names.join(", ")}`);

/**
 * A variable whose value no message may show, nor a part of it. Each can also be read from a file: see config-files.ts. It goes
 * around the whole, as what is made of the result would not be marked.
 */
export const confidential = <Variable extends z.ZodType>(variable: Variable): Variable =>
  variable.meta({ confidential: true });

export const isConfidential = (variable: z.ZodType): boolean =>
  variable.meta()?.["confidential"] === true;

/** A text with fewer different characters is no random secret. */
const secretCharactersMin = 8;

/**
 * A secret that can't be guessed at once.
 * @param what what the message calls it.
 * @param bytesMin its least length in bytes of UTF-8.
 */
export const secret = (what: string, bytesMin = 16) =>
  z
    .string()
    .refine((text) => Buffer.byteLength(text) >= bytesMin, {
      error: `${what} must be at least ${bytesMin} characters`,
      abort: true,
    })
    .refine(
      (text) => new Set(text).size >= secretCharactersMin,
      `${what} is too easy to guess: make one with openssl rand -base64 32`,
    );

/** A secret that is sent in a header (RFC 9110, 5.5). */
export const bearerToken = secret("it").regex(
  /^[ -~]*$/,
  "must be printable ASCII, as it is sent in a header: make one with openssl rand -base64 32",
);

const shownCharsMax = 100;

/** Without what may be secret in a URL: its login, and its query. What looks like the beginning of a login is none either. */
export const withoutSecrets = (text: string): string =>
  text
    .replace(/([a-z][\w+.-]*:(?:\/\/)?)?[^\s,]*@/gi, "$1…@")
    .replace(/(:\/\/[^\s/:@[]*:)(?!\d{1,5}(?:[/?#,\s]|$))[^\s,/]*/g, "$1…")
    .replace(/(:\/\/[^\s,?#]*)[?#][^\s,]*/g, "$1?…");

/** The value of a variable that is not confidential, as messages show it: quoted, and shortened. */
export function shown(text: string): string {
  const safe = withoutSecrets(text);
  return JSON.stringify(safe.length > shownCharsMax ? `${safe.slice(0, shownCharsMax)}…` : safe);
}

/** What a value must not be, whatever the variable: it was meant to be something else. */
export function slipIn(text: string): string | undefined {
  if (/^["'`“”„‘’].*["'`“”‘’]$/s.test(text))
    return "has quotes around it, which would be a part of it: remove them, as this file or shell does not";
  if (/^\$(\{.*\}|\(.*\)|[A-Z_][A-Z0-9_]*)$/s.test(text))
    return "is a reference that nothing has replaced: write the value itself";
  if (/\s#(\s|$)/.test(text))
    return "has a comment in it, which would be a part of it: put that on a line of its own";
  return undefined;
}

const unitsMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const unitsOfBytes = { b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/**
 * What was meant by a number that is not written as one, by the unit in the name of its variable: `5s` of `GRACE_MS` is 5000.
 * `undefined` where that can't be said.
 */
export function numberMeantBy(text: string, variable: string): number | undefined {
  const [, digits = "", fraction = "", unit = ""] =
    /^(\d+(?:_\d+)*|\d{1,3}(?:[,' ]\d{3})+)(\.\d+)?\s*([a-z]*)$/i.exec(text) ?? [];
  const number = Number(digits.replace(/\D/g, "") + fraction);
  // In some countries a full stop separates thousands.
  if (digits === "" || (fraction !== "" && unit === "")) return undefined;
  const name = unit.toLowerCase().replace(/^(sec|min|day|hour)\w*$/, (word) => word.charAt(0));
  const units: Record<string, number> = /_MS$|_STEPS$/.test(variable)
    ? unitsMs
    : /_BYTES(_|$)/.test(variable)
      ? unitsOfBytes
      : variable === "TURN_TTL_S"
        ? { s: 1, m: 60, h: 3600, d: 86_400 }
        : {};
  const factor = name === "" ? 1 : units[name.replace(/^([kmg])i?b$/, "$1")];
  const meant = factor === undefined ? undefined : number * factor;
  return Number.isSafeInteger(meant) ? meant : undefined;
}
