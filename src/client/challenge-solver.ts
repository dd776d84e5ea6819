/** Solves the challenges that the server makes before a join: proofs of work by itself, others by the page's function. */
import type { Challenge } from "../protocol.ts";
import {
  createBlobWorker,
  solveWork,
  type WorkParameters,
  type WorkSolution,
} from "./proof-of-work.ts";

/** What a solver is made of. */
export interface ChallengeParts {
  /** Solves what the server's own hook asks for. */
  onChallenge?: (challenge: Challenge, signal: AbortSignal) => Promise<string>;
  /** Creates a worker that calls `serveSolver`. Default: one of a Blob. */
  challengeWorker?: () => Worker;
}

/** Resolves with what `join` is sent as `solution`. Rejects if nothing solves this kind, and when `signal` is aborted. */
export type SolveChallenge = (challenge: Challenge, signal: AbortSignal) => Promise<string>;

/** Without a worker, the page's thread is left to the page this often (milliseconds): between two frames. */
const BREATHE_MS = 8;

/** Creates a solver. */
export function createChallengeSolver({
  onChallenge,
  challengeWorker = createBlobWorker,
}: ChallengeParts): SolveChallenge {
  return async (challenge, signal) => {
    if (challenge.kind !== "proof-of-work") {
      if (onChallenge) return onChallenge(challenge, signal);
      throw new Error(`the option onChallenge is needed for challenges like "${challenge.kind}"`);
    }
    const { kind: _, ...signed } = challenge;
    const parameters = signed["parameters"] as WorkParameters;
    const solution =
      (await solveInWorker(challengeWorker, parameters, signal)) ??
      (await solveWork(parameters, BREATHE_MS, signal));
    if (signal.aborted) throw new Error("the search was aborted");
    return btoa(JSON.stringify({ challenge: signed, solution }));
  };
}

/** Resolves with undefined where there can be no worker, or the worker fails: by a policy of the page, or an old browser. */
async function solveInWorker(
  createWorker: () => Worker,
  parameters: WorkParameters,
  signal: AbortSignal,
): Promise<WorkSolution | undefined> {
  let worker: Worker | undefined;
  try {
    const created = createWorker();
    worker = created;
    return await new Promise((resolve) => {
      created.onmessage = ({ data }) => resolve(data);
      created.onerror = () => resolve(undefined);
      signal.addEventListener("abort", () => resolve(undefined));
      created.postMessage(parameters);
    });
  } catch {
    return undefined;
  } finally {
    worker?.terminate();
  }
}
