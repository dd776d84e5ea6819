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

/** Whether peers can be kept from seeing each other's address. */
export function relayAvailable(config: IceConfig): boolean {
  return config.turnUrls.length > 0 && config.turnSecret !== undefined;
}

/**
 * The servers to give a peer at `now` (epoch milliseconds). TURN credentials only with `roomId`: relaying
 * costs, so it is for those who are paired; the name in them is the room's, so that a quota per name holds.
 */
export function iceServersFor(config: IceConfig, now: number, roomId?: string): IceServer[] {
  const servers: IceServer[] = [];
  if (config.stunUrls.length > 0) servers.push({ urls: [...config.stunUrls] });
  if (roomId !== undefined && config.turnUrls.length > 0 && config.turnSecret !== undefined) {
    const username = `${Math.floor(now / 1000) + config.turnTtlS}:${roomId}`;
    const credential = createHmac("sha1", config.turnSecret).update(username).digest("base64");
    servers.push({ urls: [...config.turnUrls], username, credential });
  }
  return servers;
}
