/**
 * The token by which a session survives reconnects: signed here, opaque to clients.
 *
 * `sessionId.generation.expiry.signature`: 128 random bits, the generation (see `Caller`) and the expiry in base 36,
 * and an HMAC-SHA256 over the three, and over the account that the session belongs to: with another account's credentials the
 * token is worth nothing.
 */
import { timingSafeEqual } from "node:crypto";
import type { Caller } from "../engine/engine.ts";
import { createHmacSha256, type Hmac } from "../hmac.ts";

/** A token lives this long from its last renewal, a week; every `session` event renews it. */
export const tokenTtlMs = 7 * 24 * 60 * 60 * 1000;

/** What a token names. */
export type TokenSession = Pick<Caller, "sessionId" | "generation">;

export interface SessionTokens {
  sign(session: TokenSession, now: number, account?: string): string;
  /** The session of a token; `undefined` for a token that is forged, damaged, expired at `now` or another account's. */
  verify(token: string, now: number, account?: string): TokenSession | undefined;
}

/** Distinguishes secrets without revealing them: 66 bits of an HMAC that nothing else uses. */
export function secretFingerprint(secret: string): string {
  const digest = createHmacSha256(secret)("peer-stream: which secret is this");
  return digest.toString("base64url").slice(0, 11);
}

/**
 * Why a token is worth nothing here. `signature`: no secret of this node has signed it for this account, as when nodes have different
 * secrets; `expired` also where a clock is wrong.
 */
export const tokenRefusals = ["signature", "expired", "malformed"] as const;
export type TokenRefusal = (typeof tokenRefusals)[number];

/**
 * @param secrets the first signs, all verify, so that a secret can be rotated.
 * @param onRefused called for each token that `verify` does not accept.
 */
export function createSessionTokens(
  secrets: readonly string[],
  onRefused: (because: TokenRefusal) => void = () => {},
): SessionTokens {
  const refuse = (because: TokenRefusal) => void onRefused(because);
  const macs: Hmac[] = secrets.map(createHmacSha256);
  const [signing] = macs;
  if (signing === undefined) throw new Error("at least one secret is needed");

  return {
    sign({ sessionId, generation }, now, account) {
      const payload = `${sessionId}.${generation.toString(36)}.${(now + tokenTtlMs).toString(36)}`;
      return `${payload}.${signing(signedText(payload, account)).toString("base64url")}`;
    },
    verify(token, now, account) {
      const parts = /^(([\w-]{22})\.([0-9a-z]{1,8})\.([0-9a-z]{1,10}))\.([\w-]{43})$/.exec(token);
      const [, payload, sessionId, generation, expiry, signature] = parts ?? [];
      if (!payload || !sessionId || !generation || !expiry || !signature)
        return refuse("malformed");
      const given = Buffer.from(signature, "base64url");
      // All secrets are tried, so that the time does not depend on which one fits.
      let genuine = false;
      const signed = signedText(payload, account);
      for (const mac of macs) if (timingSafeEqual(given, mac(signed))) genuine = true;
      if (!genuine) return refuse("signature");
      if (Number.parseInt(expiry, 36) <= now) return refuse("expired");
      return { sessionId, generation: Number.parseInt(generation, 36) };
    },
  };
}

/** A payload has no space in it. */
const signedText = (payload: string, account: string | undefined) =>
  account === undefined ? payload : `${payload} ${account}`;
