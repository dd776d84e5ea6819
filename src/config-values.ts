/** Kinds of values that several groups of variables have, each parsed from the text of one variable. */
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
    .regex(/^\d+$/, "must be a whole number")
    .transform(Number)
    .pipe(z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`));

export const flag = z
  .enum(["true", "false", "1", "0"], "must be true or false")
  .transform((text) => text === "true" || text === "1");

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
