/**
 * ICE servers from a provider, by address. An answer is kept until it expires: used alone for three quarters of that time, asked for anew
 * once half of it has passed. While the provider fails it is asked ever more rarely, one request at a time, and nobody waits for it.
 */
import { createHash } from "node:crypto";
import type { IceConfig, IceSource, Patience, ProvidedIce, IceProvider } from "../ice.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import type { LogFields } from "../observe/log-fields.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { createWarnOnce, type WarnOnce } from "../observe/sparing-log.ts";
import type { IceServer } from "../protocol.ts";
import type { System } from "../system.ts";
import { checkAnswer, faultOf, withinTime } from "../turn-providers.ts";

interface ProvidedIceParts {
  provide: IceProvider;
  /** For how long credentials are asked for (seconds). */
  ttlS: number;
  system: Pick<System, "elapsed" | "schedule">;
  log: Pick<Log, "warn" | "info">;
  metrics: Pick<Metrics, "askedForTurn">;
}

/** Addresses whose answers are kept. Past that the one that was used longest ago is forgotten. */
const addressesMax = 10_000;
/** Requests that run at a time; peers of further addresses get STUN alone. */
const requestsMax = 200;
/** How long an event waits for an answer (milliseconds). Once one has waited in vain, none does until there is an answer again. */
const briefMs = 500;
/** The pause after a request that failed, which doubles with each further one (milliseconds). */
const restMs = 1000;
const restMsMax = 30_000;
/** User names remembered for each address: each renewal adds one, and two are valid at a time. */
const issuedMax = 4;
/** After which a revocation is tried again (milliseconds); then no more. */
const revokeAgainMs = [1000, 10_000];
/** Revocations that run or wait to be tried again. */
const revocationsMax = 1000;
const minuteMs = 60_000;

interface Answer {
  servers: readonly IceServer[];
  /** By the monotonic clock (milliseconds), as all of these. */
  renewAt: number;
  staleAt: number;
  expiresAt: number;
  issued: { username: string; expiresAt: number }[];
}

interface Request {
  ended: Promise<void>;
  /** What it is answered with is to be revoked. */
  isRevoked: boolean;
}

/** A pseudonym for an address, of which it has the keyed hash: see `IceRequest.name`. */
const nameOf = (addressHash: string): string =>
  createHash("sha256").update(`name ${addressHash}`).digest("base64url").slice(0, 16);

/** A configuration as it is used: with what its provider gives, if it has one. */
export function withProvided(
  ice: IceConfig,
  { system, log, metrics }: Pick<ProvidedIceParts, "system" | "log" | "metrics">,
): IceSource {
  const { provide, turnTtlS: ttlS } = ice;
  if (!provide) return ice;
  return { ...ice, provided: new ProvidedIceServers({ provide, ttlS, system, log, metrics }) };
}

class ProvidedIceServers implements ProvidedIce {
  readonly #parts: ProvidedIceParts;
  readonly #warnOnce: WarnOnce;
  /** By the hash of an address; the one that was used last comes last. */
  readonly #answers = new Map<string, Answer>();
  readonly #requests = new Map<string, Request>();
  /** Cancel the revocations that wait to be tried again. */
  readonly #retries = new Set<() => void>();
  #revocations = 0;
  #isStopped = false;
  /** Requests that have failed since one succeeded, counted once for each pause. */
  #failures = 0;
  #restsUntil = Number.NEGATIVE_INFINITY;
  #isSlow = false;
  #hasWarned = false;

  constructor(parts: ProvidedIceParts) {
    this.#parts = parts;
    this.#warnOnce = createWarnOnce(parts.log, parts.system.elapsed);
  }

  serversFor(
    addressHash: string,
    patience: Patience,
  ): MaybePromise<readonly IceServer[] | undefined> {
    const now = this.#parts.system.elapsed();
    const known = this.#answers.get(addressHash);
    if (known && now < known.staleAt) {
      this.#answers.delete(addressHash);
      this.#answers.set(addressHash, known);
      if (now >= known.renewAt) this.#ask(addressHash);
      return known.servers;
    }
    const ended = this.#ask(addressHash);
    if (patience === "none") return undefined;
    if (!ended || (patience === "brief" && this.#isSlow)) return this.#lastOf(addressHash);
    if (patience === "full") return ended.then(() => this.#lastOf(addressHash));
    return this.#waitBriefly(ended).then(() => this.#lastOf(addressHash));
  }

  validForMs(addressHash: string): number | undefined {
    const answer = this.#answers.get(addressHash);
    const leftMs = answer ? answer.expiresAt - this.#parts.system.elapsed() : 0;
    return leftMs > 0 ? leftMs : undefined;
  }

  async #waitBriefly(ended: Promise<void>): Promise<void> {
    const overdue = Promise.withResolvers<void>();
    const cancel = this.#parts.system.schedule(briefMs, () => {
      this.#isSlow = true;
      overdue.resolve();
    });
    await Promise.race([ended, overdue.promise]);
    cancel();
  }

  /** The last answer for the address, as long as it is valid. */
  #lastOf(addressHash: string): readonly IceServer[] | undefined {
    const { system, metrics } = this.#parts;
    const answer = this.#answers.get(addressHash);
    const now = system.elapsed();
    const isValid = answer !== undefined && now < answer.expiresAt;
    if (!isValid || now >= answer.staleAt) metrics.askedForTurn(isValid ? "older" : "none");
    return isValid ? answer.servers : undefined;
  }

  /** Resolves when the request for the address has ended; `undefined` if none may be made now. */
  #ask(addressHash: string): Promise<void> | undefined {
    const running = this.#requests.get(addressHash);
    if (running) return running.ended;
    const isResting = this.#parts.system.elapsed() < this.#restsUntil;
    if (isResting || this.#isStopped) return undefined;
    if (this.#requests.size >= (this.#failures > 0 ? 1 : requestsMax)) return undefined;
    const request: Request = { ended: Promise.resolve(), isRevoked: false };
    this.#requests.set(addressHash, request);
    request.ended = this.#request(addressHash, request);
    return request.ended;
  }

  async #request(addressHash: string, request: Request): Promise<void> {
    const { provide, ttlS, system } = this.#parts;
    try {
      const name = nameOf(addressHash);
      const given = await withinTime(system.schedule, (signal) => provide({ name, ttlS, signal }));
      this.#take(addressHash, request, checkAnswer(given, ttlS));
    } catch (error) {
      this.#failed(error);
    } finally {
      if (this.#requests.get(addressHash) === request) this.#requests.delete(addressHash);
    }
  }

  #take(
    addressHash: string,
    { isRevoked }: Request,
    { servers, ttlS }: ReturnType<typeof checkAnswer>,
  ): void {
    const { system, log, metrics } = this.#parts;
    const now = system.elapsed();
    const ttlMs = ttlS * 1000;
    const usernames = new Set(servers.flatMap(({ username }) => username ?? []));
    metrics.askedForTurn("given");
    this.#failures = 0;
    this.#isSlow = false;
    if (this.#hasWarned) log.info("the provider gives TURN credentials again");
    this.#hasWarned = false;
    if (isRevoked) {
      for (const username of usernames) this.#revoke(username);
      return;
    }
    const before = (this.#answers.get(addressHash)?.issued ?? []).filter(
      ({ expiresAt }) => expiresAt > now,
    );
    const expiresAt = now + ttlMs;
    const issued = [...usernames].map((username) => ({ username, expiresAt }));
    this.#answers.delete(addressHash);
    this.#answers.set(addressHash, {
      servers,
      renewAt: now + ttlMs / 2,
      staleAt: now + (ttlMs * 3) / 4,
      expiresAt,
      issued: [...before, ...issued].slice(-issuedMax),
    });
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > addressesMax && oldest !== undefined) this.#answers.delete(oldest);
  }

  #failed(error: unknown): void {
    const { system, metrics } = this.#parts;
    metrics.askedForTurn("failed");
    const now = system.elapsed();
    // Those that were made before the first one failed count as one.
    if (now < this.#restsUntil) return;
    this.#restsUntil = now + Math.min(restMsMax, restMs * 2 ** this.#failures);
    this.#failures += 1;
    this.#hasWarned = true;
    const fields = {
      why: faultOf(error),
      effect: "peers get the last credentials that are still valid, else STUN alone",
      cure: "bun run doctor checks TURN_PROVIDER",
    };
    this.#warnRarely("the provider gives no TURN credentials", fields);
  }

  #warnRarely(what: string, fields: LogFields): void {
    const minute = Math.floor(this.#parts.system.elapsed() / minuteMs);
    this.#warnOnce(what, String(minute), fields);
  }

  revoke(addressHash: string): void {
    const { provide, system } = this.#parts;
    if (!provide.revoke) return;
    const request = this.#requests.get(addressHash);
    if (request) request.isRevoked = true;
    // Whoever else is at this address is given others.
    this.#requests.delete(addressHash);
    const answer = this.#answers.get(addressHash);
    this.#answers.delete(addressHash);
    for (const { username, expiresAt } of answer?.issued ?? [])
      if (expiresAt > system.elapsed()) this.#revoke(username);
  }

  #revoke(username: string): void {
    if (this.#revocations >= revocationsMax)
      return this.#notRevoked(new Error("too many are being revoked"));
    this.#revocations += 1;
    void this.#tryToRevoke(username).finally(() => (this.#revocations -= 1));
  }

  async #tryToRevoke(username: string): Promise<void> {
    const { provide, system, metrics } = this.#parts;
    let fault: unknown;
    for (const waitMs of [0, ...revokeAgainMs]) {
      if (waitMs > 0) await this.#wait(waitMs);
      if (this.#isStopped) return;
      try {
        await withinTime(system.schedule, (signal) => provide.revoke?.(username, signal));
        return metrics.askedForTurn("revoked");
      } catch (error) {
        fault = error;
      }
    }
    this.#notRevoked(fault);
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#retries.delete(cancelled);
        resolve();
      };
      const cancel = this.#parts.system.schedule(ms, done);
      const cancelled = () => {
        cancel();
        done();
      };
      this.#retries.add(cancelled);
    });
  }

  #notRevoked(error: unknown): void {
    this.#parts.metrics.askedForTurn("not-revoked");
    this.#warnRarely("TURN credentials of a suspended peer were not revoked", {
      why: faultOf(error),
      effect: "they are valid until they expire",
    });
  }

  stop(): void {
    this.#isStopped = true;
    for (const cancel of this.#retries) cancel();
  }
}
