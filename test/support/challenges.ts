/** Solves proofs of work as another client than ours would: with ALTCHA's own library. */
import { solveChallenge, type Challenge as Altcha } from "altcha-lib";
import { deriveKey } from "altcha-lib/algorithms/pbkdf2";
import type { Challenge } from "../../src/protocol.ts";
import type { Payload } from "altcha-lib";
import { refusalOf } from "./server.ts";

/** What `join` is sent as the solution of a proof of work, as ALTCHA's widget writes it. */
export async function solutionOf(challenge: Challenge): Promise<string> {
  return encoded(await payloadOf(challenge));
}

export const encoded = (payload: object) => btoa(JSON.stringify(payload));

/** The same before it is written as a text. */
export async function payloadOf({ kind, ...rest }: Challenge): Promise<Payload> {
  if (kind !== "proof-of-work") throw new Error(`a challenge of the kind ${kind}`);
  const challenge = rest as unknown as Altcha;
  const solution = await solveChallenge({ challenge, deriveKey });
  if (!solution) throw new Error("not solved in time");
  return { challenge, solution };
}

/** The challenge that a call is refused with. @throws with anything else that became of it */
export async function challengeOf(call: Promise<unknown>): Promise<Challenge> {
  const refused = await refusalOf(call);
  const { reason, challenge } = refused;
  if (reason !== "challenge") throw new Error(`no challenge: ${JSON.stringify(refused)}`);
  return challenge as Challenge;
}
