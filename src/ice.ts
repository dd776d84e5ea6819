/**
 * ICE servers for one peer of one room. TURN credentials are either made here, as coturn's `use-auth-secret` takes them (the TURN
 * REST API, draft-uberti-behave-turn-rest-00): the username is `expiry:name`, the password base64(HMAC-SHA1(secret, username)), and
 * the expiry gates new allocations only. Or a provider is asked for them: see `ProvidedIce`.
 */
import { createHmac } from "node:crypto";
import { chain, type MaybePromise } from "./maybe-promise.ts";
import type { IceServer } from "./protocol.ts";

/** Whom the credentials are for. */
export interface IceRequest {
  /** A pseudonym of the address that peers connect from: 16 characters, always the same for the same address. */
  name: string;
  /** For how long the credentials are to be valid, in seconds: `turnTtlS`. */
  ttlS: number;
  /** Aborted when the answer is no longer waited for, after 2 s. */
  signal: AbortSignal;
}

/** An RTCIceServer (W3C WebRTC, 4.2.5). */
export interface ProvidedServer {
  urls: string | readonly string[];
  username?: string | undefined;
  credential?: string | undefined;
}

/** The servers; with `ttlS` if the credentials expire earlier than was asked for (seconds, at least 60). */
export type IceProviderAnswer =
  readonly ProvidedServer[] | { iceServers: readonly ProvidedServer[]; ttlS: number };

/**
 * Gives ICE servers with TURN credentials: the option `ice`. It is asked once per address, and again when half of the time has passed for
 * which the credentials are valid. What it throws is logged; meanwhile peers are given the last credentials that are still valid, else STUN
 * alone.
 */
export interface IceProvider {
  (request: IceRequest): IceProviderAnswer | Promise<IceProviderAnswer>;
  /** Makes credentials invalid by their user name: called when a peer at the address that they are for is suspended. Default: they stay valid. */
  revoke?: ((username: string, signal: AbortSignal) => Promise<void>) | undefined;
}

export interface IceConfig {
  stunUrls: readonly string[];
  turnUrls: readonly string[];
  turnSecret?: string | undefined;
  /** How long a credential allows new allocations, in seconds; one of a provider, how long it is valid. */
  turnTtlS: number;
  /** Who gives TURN credentials in place of a secret. */
  provide?: IceProvider | undefined;
}

export interface IceSource extends IceConfig {
  /** What `provide` gives. */
  provided?: ProvidedIce | undefined;
}

/** How long the caller waits for an answer of the provider: not at all, for as long as a call can be delayed, or until it has failed. */
export type Patience = "none" | "brief" | "full";

/** What a provider gives to peers, by the hash of the address that they come from. */
export interface ProvidedIce {
  /**
   * At once if it is known, or if there is nothing to wait for; `undefined` without an answer that is still valid. Asks the provider if
   * it has to. Never rejects.
   */
  serversFor(
    addressHash: string,
    patience: Patience,
  ): MaybePromise<readonly IceServer[] | undefined>;
  /** For how much longer what this address was given last is valid (milliseconds); `undefined` if that is nothing. */
  validForMs(addressHash: string): number | undefined;
  /** Makes what this address was given invalid, where the provider can. */
  revoke(addressHash: string): void;
  /** Nothing is tried again from now on. */
  stop(): void;
}

/** 96 bits: no two addresses share a name, and none can be worked out from it. */
const nameChars = 16;

const hostAndPort = String.raw`(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::(\d{1,5}))?`;
const stunPattern = new RegExp(`^stuns?:${hostAndPort}$`);
const turnPattern = new RegExp(`^turns?:${hostAndPort}(?:\\?transport=(?:udp|tcp))?$`);
const fits = (pattern: RegExp, url: string) => {
  const match = pattern.exec(url);
  const port = Number(match?.[1] ?? 1);
  return match !== null && port > 0 && port <= 65535;
};

/** Whether browsers take it as the URL of a STUN server (RFC 7064, 3.1): what they refuse throws in every page. */
export const isStunUrl = (url: string): boolean => fits(stunPattern, url);
/** Whether browsers take it as the URL of a TURN server (RFC 7065, 3.1). */
export const isTurnUrl = (url: string): boolean => fits(turnPattern, url);

const isRelay = ({ urls, username }: IceServer) => username !== undefined && urls.some(isTurnUrl);

/**
 * Whether a peer can be kept from seeing others' addresses. A provider is asked for the credentials of its address, which takes as long as
 * the provider may take.
 */
export function relayAvailable(config: IceSource, addressHash?: string): MaybePromise<boolean> {
  if (config.provided && addressHash !== undefined)
    return chain(config.provided.serversFor(addressHash, "full"), (servers) =>
      (servers ?? []).some(isRelay),
    );
  return config.turnUrls.length > 0 && config.turnSecret !== undefined;
}

/**
 * The servers to give a peer at `now` (epoch milliseconds). TURN credentials only with `relayFor`, the hash of the address that the peer
 * comes from: relaying costs, so it is for those who wait or are paired. A promise only where a provider has to be waited for; without an answer
 * STUN alone.
 */
export function iceServersFor(
  config: IceSource,
  now: number,
  relayFor?: string,
  patience: Patience = "brief",
): MaybePromise<IceServer[]> {
  const { provided } = config;
  if (!provided || relayFor === undefined) return configuredServersFor(config, now, relayFor);
  return chain(provided.serversFor(relayFor, patience), (given = []) => {
    // Each further server makes gathering slower.
    const hasStun = given.some(({ urls }) => urls.some(isStunUrl));
    return hasStun ? [...given] : [...configuredServersFor(config, now), ...given];
  });
}

/**
 * After how many milliseconds whoever keeps credentials without using them should ask again: after four fifths of the time for which those that
 * an address is given now are valid. `undefined` without any.
 */
export function renewAfterMs(config: IceSource, addressHash: string): number | undefined {
  const { provided, turnUrls, turnSecret, turnTtlS } = config;
  const configuredMs =
    turnUrls.length > 0 && turnSecret !== undefined ? 1000 * turnTtlS : undefined;
  const validMs = provided ? provided.validForMs(addressHash) : configuredMs;
  return validMs && Math.floor(0.8 * validMs);
}

/**
 * The configured servers. coturn's `user-quota` counts by the name in the credentials, independent of their expiry. The name
 * identifies the address, because rooms and sessions cost a stranger nothing and an address does.
 */
export function configuredServersFor(
  config: IceConfig,
  now: number,
  relayFor?: string,
): IceServer[] {
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
