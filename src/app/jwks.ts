/**
 * The key set of an identity provider (RFC 7517, 5), fetched when a token needs it. jose has `createRemoteJWKSet` for this, which
 * forgets its keys when they can't be fetched anew, and then fetches for each token: here the provider may be away.
 */
import {
  createLocalJWKSet,
  errors,
  importJWK,
  type CryptoKey,
  type JSONWebKeySet,
  type JWK,
  type JWTVerifyGetKey,
} from "jose";
import { boundedText } from "../http/bounded-text.ts";
import type { Log } from "../observe/log.ts";
import type { System } from "../system.ts";

/** The algorithms that tokens may be signed by with a key of a set: none by which a public key could be taken for a secret. */
export const publicKeyAlgorithms =
  "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519".split(" ");

/** How long keys are used before they are fetched anew: so long a key that was withdrawn is still accepted (milliseconds). */
const freshMs = 600_000;
/** How long they are used while they can't be fetched (milliseconds). */
const staleMaxMs = 24 * 3_600_000;
/** The pause after a fetch, however many tokens name keys that the set has not (milliseconds). */
const pauseMs = 30_000;
/** The pause after a fetch that failed (milliseconds). */
const retryMs = 5000;
/** How long a fetch may take (milliseconds). */
const fetchMs = 5000;
/** How long a token waits for a fetch: less than `authenticate` may take (milliseconds). Then the fetch goes on without it. */
const waitMs = 1500;
/** Bytes of a response. Key sets have a few thousand. */
const bytesMax = 262_144;
/** RFC 7518, 3.3. */
const modulusBitsMin = 2048;

/** A token names a key that the set had not when it was last fetched, too short a time ago to fetch it again. */
export class KeyNotKnownYet extends Error {
  /** When the set can be fetched again (milliseconds from now). */
  readonly retryAfterMs: number;

  constructor(retryAfterMs: number) {
    super("the key set was fetched a moment ago, and had no such key");
    this.retryAfterMs = retryAfterMs;
  }
}

export interface KeySetOptions {
  url: string;
  system: Pick<System, "elapsed" | "schedule">;
  /** Told when the keys can't be fetched, and when they can again. */
  log: Pick<Log, "warn" | "info">;
}

/**
 * The key for a token's header, as `jwtVerify` of jose asks for it.
 * @throws `JWKSNoMatchingKey` of jose if the set, just fetched, has no such key; `KeyNotKnownYet`; any other error if there are no
 * keys, as they can't be fetched.
 */
export function createKeySet({ url, system, log }: KeySetOptions): JWTVerifyGetKey {
  let keys: ReturnType<typeof createLocalJWKSet> | undefined;
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let restsUntil = Number.NEGATIVE_INFINITY;
  /** Why the last fetch failed. */
  let failure: string | undefined;
  let fetching: Promise<void> | undefined;

  async function fetchAnew(): Promise<void> {
    try {
      keys = createLocalJWKSet({ keys: await fetchKeys(url, system.schedule) });
      fetchedAt = system.elapsed();
      if (failure !== undefined) log.info("the key set of AUTH_JWKS_URL is there again");
      failure = undefined;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (failure === undefined)
        log.warn("the key set of AUTH_JWKS_URL can't be fetched", { why, hasKeys: !!keys });
      failure = why;
    }
    restsUntil = system.elapsed() + (failure === undefined ? pauseMs : retryMs);
    fetching = undefined;
  }

  const restMs = () => (fetching ? 0 : Math.max(0, restsUntil - system.elapsed()));

  /** Whether the keys are now those of a fetch that ended meanwhile. */
  async function refresh(): Promise<boolean> {
    if (restMs() > 0) return false;
    fetching ??= fetchAnew();
    const overdue = Promise.withResolvers<false>();
    const cancel = system.schedule(waitMs, () => overdue.resolve(false));
    const ended = fetching.then(() => failure === undefined);
    const isAnew = await Promise.race([ended, overdue.promise]);
    cancel();
    return isAnew;
  }

  const unavailable = () =>
    new Error(`the key set of AUTH_JWKS_URL can't be fetched: ${failure ?? "no answer yet"}`);

  return async (header, token) => {
    const isFresh = system.elapsed() - fetchedAt < freshMs;
    const isAnew = !isFresh && (await refresh());
    if (!keys || system.elapsed() - fetchedAt > staleMaxMs) throw unavailable();
    try {
      return await keys(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || isAnew) throw error;
    }
    // It has waited once already.
    if (!isFresh) throw unavailable();
    const wait = restMs();
    if (wait > 0 && failure === undefined) throw new KeyNotKnownYet(wait);
    if (!(await refresh())) throw unavailable();
    return keys(header, token);
  };
}

/**
 * The keys of a set that tokens can be verified by: at least one.
 * @throws an error that says what is wrong with the response.
 */
export async function fetchKeys(url: string, schedule: System["schedule"]): Promise<JWK[]> {
  const overdue = new AbortController();
  const cancel = schedule(fetchMs, () => overdue.abort(new Error(`no answer in ${fetchMs} ms`)));
  try {
    const response = await fetch(url, {
      headers: { accept: "application/json, application/jwk-set+json" },
      redirect: "manual",
      signal: overdue.signal,
    });
    if (response.status !== 200) {
      void response.body?.cancel();
      throw new Error(`the answer is ${response.status}, not 200`);
    }
    const set = parseKeySet(await boundedText(response, bytesMax));
    const keys = (await Promise.all(set.keys.map(usableKey))).filter((key) => key !== undefined);
    if (keys.length === 0) throw new Error("it has no public key that tokens can be verified by");
    return keys;
  } finally {
    cancel();
  }
}

function parseKeySet(text: string): JSONWebKeySet {
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    throw new Error("the answer is not JSON");
  }
  const keys = typeof set === "object" && set !== null && "keys" in set ? set.keys : undefined;
  if (!Array.isArray(keys)) throw new Error('the answer is not a key set: it has no list "keys"');
  return { keys: keys.filter((key) => typeof key === "object" && key !== null) };
}

/** The key, if it is public, for signatures, and can be read; a set may also have keys for other purposes, and of kinds to come. */
async function usableKey(key: JWK): Promise<JWK | undefined> {
  const algorithm = key.alg ?? algorithmOf(key);
  if (algorithm === undefined || !publicKeyAlgorithms.includes(algorithm)) return undefined;
  if (key.use !== undefined && key.use !== "sig") return undefined;
  try {
    const imported = (await importJWK(key, algorithm)) as CryptoKey;
    const bits =
      "modulusLength" in imported.algorithm ? imported.algorithm.modulusLength : undefined;
    const isLong = bits === undefined || Number(bits) >= modulusBitsMin;
    return imported.type === "public" && isLong ? key : undefined;
  } catch {
    return undefined;
  }
}

/** An algorithm that a key without `alg` can be read for. */
function algorithmOf({ kty, crv = "" }: JWK): string | undefined {
  if (kty === "RSA") return "RS256";
  if (kty === "EC") return { "P-256": "ES256", "P-384": "ES384", "P-521": "ES512" }[crv];
  return kty === "OKP" ? "Ed25519" : undefined;
}
