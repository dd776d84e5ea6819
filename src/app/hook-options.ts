/** The options that only code can give: which there are, and what is wrong with one. */
import { lifecycleTypes } from "../domain/lifecycle.ts";
import { messageFallbacks } from "../rpc/message-review.ts";
import type { Hooks } from "./options.ts";

export const hookNames: ReadonlySet<string> = new Set<keyof Hooks>([
  "facts",
  "authenticate",
  "ice",
  "admit",
  "lane",
  "message",
  "messageFallback",
  "isOperator",
  "on",
  "policy",
  "log",
  "onReport",
]);

export function hookProblems(name: string, value: unknown): string[] {
  // Checked by itself.
  if (name === "facts") return [];
  if (name === "on") return lifecycleProblems(value);
  if (name === "messageFallback")
    return messageFallbacks.some((one) => one === value)
      ? []
      : [`messageFallback: must be one of ${messageFallbacks.join(", ")}`];
  const isFit = name === "log" ? typeof value === "object" : typeof value === "function";
  return isFit ? [] : [`${name}: must be ${name === "log" ? "an object" : "a function"}`];
}

function lifecycleProblems(on: unknown): string[] {
  if (typeof on !== "object" || on === null) return ["on: must be an object of functions"];
  return Object.entries(on).flatMap(([type, hook]) => {
    if (!lifecycleTypes.some((one) => one === type))
      return [`on.${type}: is no event; there are ${lifecycleTypes.join(", ")}`];
    return hook === undefined || typeof hook === "function"
      ? []
      : [`on.${type}: must be a function`];
  });
}
