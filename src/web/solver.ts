/**
 * The worker in which the page solves proofs of work: the page's own script, which the page's policy allows, and which is loaded already.
 */
import { serveSolver } from "../client/proof-of-work.ts";

/** The part of Trusted Types (https://w3c.github.io/trusted-types) that a worker needs. */
interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createScriptURL(url: string): string },
  ): { createScriptURL(url: string): string };
}

/** Becomes a solver if this runs in a worker. Returns whether it does. */
export function becomeSolver(): boolean {
  const isWorker = !("document" in globalThis);
  if (isWorker) serveSolver();
  return isWorker;
}

/** Returns a function that creates a solver of this script. To be called once: the page's policy lets the name `solver` be used once. */
export function prepareSolver(): () => Worker {
  const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypes };
  // Whatever it is asked for, there is only this.
  const rules = { createScriptURL: () => import.meta.url };
  const policy = trustedTypes?.createPolicy("solver", rules) ?? rules;
  return () => new Worker(policy.createScriptURL(""), { type: "module" });
}
