/**
 * Accounts for the program without code: peers whose page passes a token (JWT, RFC 7519) that the operator's own backend or identity
 * provider has signed.
 */
import {
  errors,
  jwtVerify,
  type CryptoKey,
  type JWTPayload,
  type JWTVerifyOptions,
  type JWTVerifyResult,
} from "jose";
import type { AuthConfig } from "../auth-config.ts";
import { reject, type Rejection } from "../domain/rejection.ts";
import type { Log } from "../observe/log.ts";
import { createWarnOnce } from "../observe/sparing-log.ts";
import {
  accountCharsMax,
  isName,
  lobbyCharsMax,
  type Authenticate,
  type Credentials,
  type Identity,
} from "../rpc/identity.ts";
import type { System } from "../system.ts";
import { createKeySet, KeyNotKnownYet, publicKeyAlgorithms } from "./jwks.ts";

/** The algorithms that tokens may be signed by with a shared secret. */
const secretAlgorithms = ["HS256", "HS384", "HS512"];

/** Characters of a token, all of which are ASCII. Headers of a request may have 16 KiB together. */
const tokenCharsMax = 8192;
/** How much the clock of who issues tokens may differ from this one's (seconds). */
const clockToleranceS = 10;
/** Those who wait for a key try again within this after the key set can be fetched, so that they do not come at once (milliseconds). */
const retrySpreadMs = 5000;
/** The latest time that a Date can be (ECMA-262, 21.4.1.1), in epoch milliseconds. */
const timeMsMax = 8.64e15;

export interface JwtAuthenticateOptions extends AuthConfig {
  system: Pick<System, "now" | "elapsed" | "random" | "schedule">;
  log: Pick<Log, "warn" | "info">;
}

/**
 * Authenticates peers by the token in `params.auth`, or else in the cookie. A token that is not valid is refused as `unauthorized`,
 * whether or not one is required; `retryAfterMs` is set if the key set may have its key by then. `expiresAt` is when the token
 * would no longer be accepted here. The first refusal of each kind is logged, without anything of the token.
 * @throws by its promise, if there are no keys to verify tokens by, as the key set can't be fetched.
 */
export function createJwtAuthenticate(options: JwtAuthenticateOptions): Authenticate {
  const { claims, cookie, required, system, log } = options;
  const verify = createVerify(options);
  const warnOnce = createWarnOnce(log, system.elapsed);

  function refuse(why: string): Rejection {
    warnOnce("a token was refused", why, { why });
    return reject("unauthorized");
  }

  async function authenticate(token: string): Promise<Identity | Rejection> {
    try {
      const identity = identityOf((await verify(token)).payload, claims);
      return "wrong" in identity ? refuse(identity.wrong) : identity;
    } catch (error) {
      if (error instanceof KeyNotKnownYet)
        return reject("unauthorized", {
          retryAfterMs: Math.ceil(error.retryAfterMs + retrySpreadMs * system.random()),
        });
      if (error instanceof errors.JOSEError) return refuse(reasonOf(error));
      throw error;
    }
  }

  return (credentials) => {
    const token = tokenOf(credentials, cookie);
    if (token === undefined) return required ? reject("unauthorized") : {};
    if (typeof token !== "string") return refuse("it is not a text");
    if (token.length > tokenCharsMax) return refuse(`it is longer than ${tokenCharsMax} bytes`);
    return authenticate(token);
  };
}

/** What verifies signature and times of a token. Which key is asked for is decided by the configuration, never by the token. */
function createVerify({ key, issuer, audience, system, log }: JwtAuthenticateOptions) {
  const checks = (algorithms: string[]): JWTVerifyOptions => ({
    algorithms,
    currentDate: new Date(system.now()),
    clockTolerance: clockToleranceS,
    // A token that never ends could not be taken back.
    requiredClaims: ["exp"],
    ...(issuer !== undefined && { issuer }),
    ...(audience && { audience: [...audience] }),
  });
  if ("secrets" in key) {
    const encoder = new TextEncoder();
    const secrets = key.secrets.map((secret) => encoder.encode(secret));
    return (token: string) => verifyByAny(token, secrets, checks(secretAlgorithms));
  }
  const keys = createKeySet({ url: key.jwksUrl, system, log });
  return async (token: string) => {
    try {
      return await jwtVerify(token, keys, checks(publicKeyAlgorithms));
    } catch (error) {
      // It does not name one of them.
      if (error instanceof errors.JWKSMultipleMatchingKeys)
        return verifyByAny(token, error, checks(publicKeyAlgorithms));
      throw error;
    }
  };
}

/** Verifies a token that any of the keys may have signed. */
async function verifyByAny(
  token: string,
  keys: Iterable<Uint8Array> | AsyncIterable<CryptoKey>,
  checks: JWTVerifyOptions,
): Promise<JWTVerifyResult> {
  for await (const key of keys)
    try {
      return await jwtVerify(token, key, checks);
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    }
  throw new errors.JWSSignatureVerificationFailed();
}

/** Who the bearer of a valid token is, or what is wrong with one of its claims. */
function identityOf(
  payload: JWTPayload,
  { account: accountClaim, lobby: lobbyClaim, facts: factsClaim }: AuthConfig["claims"],
): Identity | { wrong: string } {
  const valueOf = (claim: string | undefined): unknown =>
    claim !== undefined && Object.hasOwn(payload, claim) ? payload[claim] : undefined;
  const account = valueOf(accountClaim);
  const lobby = valueOf(lobbyClaim);
  const facts = valueOf(factsClaim);
  const expiresAt = (Number(payload.exp) + clockToleranceS) * 1000;
  const wrong = (claim: string | undefined, form: string) => ({
    wrong: `its claim "${claim}" is not ${form}`,
  });
  if (!isName(account, accountCharsMax)) return wrong(accountClaim, namesForm(accountCharsMax));
  if (lobby !== undefined && !isName(lobby, lobbyCharsMax))
    return wrong(lobbyClaim, namesForm(lobbyCharsMax));
  if (facts !== undefined && !isObject(facts)) return wrong(factsClaim, "an object");
  if (!(expiresAt <= timeMsMax)) return wrong("exp", "a time");
  return { account, lobby, facts, expiresAt };
}

const namesForm = (charsMax: number) => `a text of 1 to ${charsMax} printable characters`;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Why jose refuses a token, for the log: its messages about claims are fixed; others may repeat parts of the token. */
function reasonOf(error: errors.JOSEError): string {
  const isAboutClaim =
    error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTExpired;
  return isAboutClaim ? error.message : error.code;
}

/**
 * What a peer presents as its token. A page that is not signed in may pass `null` or an empty text.
 */
function tokenOf({ params, headers }: Credentials, cookie: string | undefined): unknown {
  const { auth } = params;
  if (auth !== undefined && auth !== null && auth !== "") return auth;
  if (cookie === undefined) return undefined;
  // RFC 6265, 4.2.1. The first of several is that of the longest path.
  for (const pair of headers.get("cookie")?.split(";") ?? []) {
    const [name = "", ...value] = pair.split("=");
    if (name.trim() !== cookie) continue;
    const text = value
      .join("=")
      .trim()
      .replace(/^"(.*)"$/, "$1");
    return text === "" ? undefined : text;
  }
  return undefined;
}
