/**
 * The token by which a session survives reconnects: signed here, opaque to clients.
 *
 * `sessionId.generation.expiry.signature`: 128 random bits, the generation (see `Caller`) and the expiry in base 36,
 * and an HMAC-SHA256 over the three.
 */
import { timingSafeEqual } from "node:crypto";
import type { Caller } from "../engine/engine.ts";
import { createHmacSha256, type Hmac } from "../hmac.ts";

/** A token lives this long from its last renewal, a week; every `session` event renews it. */
export const tokenTtlMs = 7 * 24 * 60 * 60 * 1000;

export type Identity = Pick<Caller, "sessionId" | "generation">;

export interface SessionTokens {
  sign(identity: Identity, now: number): string;
  /** The session of a token; `undefined` for a token that is forged, damaged or expired at `now`. */
  verify(token: string, now: number): Identity | undefined;
}

/** Distinguishes secrets without revealing them: 66 bits of an HMAC that nothing else uses. */
export function secretFingerprint(secret: string): string {
  const digest = createHmacSha256(secret)("peer-stream: which secret is this");
  return digest.toString("base64url").slice(0, 11);
}

/** @param secrets the first signs, all verify, so that a secret can be rotated. */
export function createSessionTokens(secrets: readonly string[]): SessionTokens {
  const macs: Hmac[] = secrets.map(createHmacSha256);
  const [signing] = macs;
  if (signing === undefined) throw new Error("at least one secret is needed");

  return {
    sign({ sessionId, generation }, now) {
      const payload = `${sessionId}.${generation.toString(36)}.${(now + tokenTtlMs).toString(36)}`;
      return `${payload}.${signing(payload).toString("base64url")}`;
    },
    verify(token, now) {
      const parts = /^(([\w-]{22})\.([0-9a-z]{1,8})\.([0-9a-z]{1,10}))\.([\w-]{43})$/.exec(token);
      const [, payload, sessionId, generation, expiry, signature] = parts ?? [];
      if (!payload || !sessionId || !generation || !expiry || !signature) return undefined;
      const given = Buffer.from(signature, "base64url");
      // All secrets are tried, so that the time does not depend on which one fits.
      let genuine = false;
      for (const mac of macs) if (timingSafeEqual(given, mac(payload))) genuine = true;
      if (!genuine || Number.parseInt(expiry, 36) <= now) return undefined;
      return { sessionId, generation: Number.parseInt(generation, 36) };
    },
  };
}
