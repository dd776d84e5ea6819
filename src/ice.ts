/**
 * ICE servers for one peer of one room. TURN credentials are those of coturn's `use-auth-secret` (the TURN
 * REST API, draft-uberti-behave-turn-rest-00): the username is `expiry:name`, the password
 * base64(HMAC-SHA1(secret, username)). The expiry gates new allocations only.
 */
import { createHmac } from "node:crypto";
import type { IceServer } from "./protocol.ts";

export interface IceConfig {
  stunUrls: readonly string[];
  turnUrls: readonly string[];
  turnSecret?: string | undefined;
  /** How long a credential allows new allocations, in seconds. */
  turnTtlS: number;
}

/** 96 bits: no two addresses share a name, and none can be worked out from it. */
const nameChars = 16;

/** Whether peers can be kept from seeing each other's address. */
export function relayAvailable(config: IceConfig): boolean {
  return config.turnUrls.length > 0 && config.turnSecret !== undefined;
}

/**
 * The servers to give a peer at `now` (epoch milliseconds). TURN credentials only with `relayFor`, the hash of the
 * address that the peer comes from: relaying costs, so it is for those who wait or are paired. coturn's `user-quota` counts by
 * the name in the credentials, independent of their expiry. The name identifies the address, because rooms and sessions
 * cost a stranger nothing and an address does.
 */
export function iceServersFor(config: IceConfig, now: number, relayFor?: string): IceServer[] {
  const servers: IceServer[] = [];
  if (config.stunUrls.length > 0) servers.push({ urls: [...config.stunUrls] });
  if (relayFor !== undefined && config.turnUrls.length > 0 && config.turnSecret !== undefined) {
    const name = createHmac("sha256", config.turnSecret)
      .update(`name ${relayFor}`)
      .digest("base64url")
      .slice(0, nameChars);
    const username = `${Math.floor(now / 1000) + config.turnTtlS}:${name}`;
    const credential = createHmac("sha1", config.turnSecret).update(username).digest("base64");
    servers.push({ urls: [...config.turnUrls], username, credential });
  }
  return servers;
}
