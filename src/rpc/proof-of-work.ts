/**
 * The built-in challenge: a proof of work in the form of ALTCHA (https://altcha.org/docs/v2/), which costs a browser some computing, and
 * whoever wants many sessions that much for each. It is made and verified by `altcha-lib`; nothing is kept of a challenge that was
 * made, as its signature is by a key of its session's own.
 */
import { createChallenge, randomInt, verifySolution } from "altcha-lib";
import { deriveKey } from "altcha-lib/algorithms/pbkdf2";
import { z } from "zod";
import { createHmacSha256 } from "../hmac.ts";
import type { Challenge } from "../protocol.ts";

/** How long a challenge can be solved (milliseconds): ten times what the slowest phone takes with the default difficulty. */
const challengeLifeMs = 120_000;

/** What one try consists of, so that a browser spends its time on hashing rather than on calling WebCrypto. */
const algorithm = "PBKDF2/SHA-256";
const iterationsPerTry = 2000;

const kind = "proof-of-work";

export interface SolvedWork {
  /** Tells this challenge from all others. */
  id: string;
  /** Until when it can be solved (epoch milliseconds). */
  until: number;
}

export interface ProofOfWork {
  create(sessionId: string): Promise<Challenge>;
  /**
   * @param solution as the peer has sent it: base64 of `{ challenge, solution }` in JSON, as ALTCHA's widget writes it.
   * @returns `undefined` for one that is wrong, too late, or of another session's challenge.
   */
  verify(sessionId: string, solution: string): Promise<SolvedWork | undefined>;
}

export interface ProofOfWorkParts {
  /** The first signs, all verify. */
  secrets: readonly string[];
  /** Tries that a challenge takes on average, at least 1; at most twice as many. */
  difficulty: number;
  /** Epoch milliseconds, the same on all nodes but for the error of their clocks. */
  now: () => number;
}

/** What is signed is compared as it came, so unknown parameters fail by their signature. */
const payload = z.object({
  challenge: z.object({
    parameters: z
      .object({
        algorithm: z.literal(algorithm),
        nonce: z.string(),
        salt: z.string(),
        cost: z.number(),
        keyLength: z.number(),
        keyPrefix: z.string(),
        keySignature: z.string(),
        data: z.strictObject({ until: z.number() }),
      })
      .strict(),
    signature: z.string(),
  }),
  solution: z.object({ counter: z.number(), derivedKey: z.string() }),
});

export function createProofOfWork({ secrets, difficulty, now }: ProofOfWorkParts): ProofOfWork {
  const macs = secrets.map(createHmacSha256);
  // Of another session, a challenge is one that nobody has signed.
  const keysFor = (sessionId: string) =>
    macs.map((mac) => ({
      hmacSignatureSecret: mac(`challenge ${sessionId}`).toString("base64url"),
      hmacKeySignatureSecret: mac(`solution ${sessionId}`).toString("base64url"),
    }));

  return {
    async create(sessionId) {
      const { parameters, signature } = await createChallenge({
        algorithm,
        cost: iterationsPerTry,
        // Not `expiresAt`, which the library compares with a clock of its own.
        data: { until: now() + challengeLifeMs },
        // A number of tries that is known here, so that verifying takes none, and no peer is unlucky for long.
        counter: randomInt(2 * difficulty - 1, 0),
        deriveKey,
        ...keysFor(sessionId)[0],
      });
      return { kind, parameters, signature };
    },
    async verify(sessionId, text) {
      const parsed = payload.safeParse(jsonIn(text));
      if (!parsed.success) return undefined;
      const { challenge, solution } = parsed.data;
      const { until } = challenge.parameters.data;
      if (until <= now()) return undefined;
      for (const keys of keysFor(sessionId)) {
        const result = await verifySolution({ challenge, solution, deriveKey, ...keys });
        if (result.verified) return { id: challenge.signature, until };
      }
      return undefined;
    },
  };
}

function jsonIn(base64: string): unknown {
  try {
    return JSON.parse(atob(base64));
  } catch {
    return undefined;
  }
}
