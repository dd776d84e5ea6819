/**
 * Decides before the upgrade whether a socket is admitted: by address, and by the capacity of this node. Refusing is cheapest
 * there, and tRPC's client backs off; a socket that is accepted and then closed would reconnect at once.
 */
import { createHmac } from "node:crypto";
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { addressBucket, addressNetwork, clientAddress, type ProxyList } from "./client-address.ts";

/** 0: no limit. */
export interface AdmissionLimits {
  /** Open sockets per IPv4 address or IPv6 /64. */
  socketsPerAddress: number;
  handshakesPerMin: number;
  /** Open sockets on this node. */
  peersMax: number;
}

export interface AdmissionOptions extends AdmissionLimits {
  trustedProxies: ProxyList;
  /** The key of the hashes by which addresses are known from here on. */
  hashKey: () => string | Buffer;
  /** Whether that key is final; until then no socket is admitted. */
  isKeyKnown: () => boolean;
  /** How many characters of a hash are the same for all addresses of one network. */
  networkHashChars: number;
  /** Counts addresses on all nodes together. */
  shared?: SharedCounts | undefined;
  /** Called once: a proxy forwards that is not trusted, so all peers behind it count as one address. */
  onUnannouncedProxy: () => void;
  /** Called for each socket that is refused because this node has `peersMax`. */
  onFull: () => void;
}

/** What an address does on all nodes together. */
export interface SharedCounts {
  /** Counts a handshake, and a socket until it is released. */
  admit(
    addressHash: string,
    handshakesPerMin: number,
    socketsMax: number,
  ): Promise<
    | { kind: "admitted"; release: () => void }
    | { kind: "crowded" }
    | { kind: "too-often"; retryAfterMs: number }
  >;
}

export interface Admitted {
  addressHash: string;
  /** To be called when the socket has closed; idempotent. */
  release: () => void;
}

export interface Refused {
  /** 429: too often; 503: too many. */
  status: 429 | 503;
  retryAfterS: number;
}

export interface Admission {
  /** Keyed hash of the bucket of the address that sent a request. */
  addressHash(headers: Headers, socketAddress: string | undefined): string;
  /** Whether the forwarding headers contradict each other: then the request is to be refused (see `ClientAddress`). */
  isAmbiguous(headers: Headers, socketAddress: string | undefined): boolean;
  /** Keyed hash of the bucket of an IP address. */
  hashOf(address: string): string;
  admit(headers: Headers, socketAddress: string | undefined): Promise<Admitted | Refused>;
}

const handshakeWindowS = 60;
/** When to try again if a place has to become free first (seconds). */
const crowdedRetryAfterS = 5;

export function createAdmission(options: AdmissionOptions): Admission {
  const { socketsPerAddress, handshakesPerMin, peersMax, trustedProxies } = options;
  const { hashKey, networkHashChars } = options;
  const handshakes = new RateLimiterMemory({
    points: Math.max(1, handshakesPerMin),
    duration: handshakeWindowS,
  });
  const openByBucket = new Map<string, number>();
  let open = 0;
  let hasWarned = false;

  async function tooOften(bucket: string): Promise<Refused | undefined> {
    if (handshakesPerMin === 0) return undefined;
    try {
      await handshakes.consume(bucket);
      return undefined;
    } catch (refusal) {
      // The library throws its result when there are no points left, and an Error when it failed.
      if (!(refusal instanceof RateLimiterRes)) throw refusal;
      // The library uses the wall clock, which may have been set back meanwhile.
      const retryAfterS = Math.min(handshakeWindowS, Math.ceil(refusal.msBeforeNext / 1000));
      return { status: 429, retryAfterS };
    }
  }

  const clientOf = (headers: Headers, socketAddress: string | undefined) =>
    clientAddress({
      socketAddress,
      forwardedFor: headers.get("x-forwarded-for"),
      forwarded: headers.get("forwarded"),
      trustedProxies,
    });

  function addressIn(headers: Headers, socketAddress: string | undefined): string {
    const { address, unannouncedProxy } = clientOf(headers, socketAddress);
    if (unannouncedProxy && !hasWarned) {
      hasWarned = true;
      options.onUnannouncedProxy();
    }
    return address;
  }

  /**
   * Takes a place. Returns how to give it back. Not inside `admit`, whose variables would then be kept for as long.
   */
  function occupy(bucket: string): () => void {
    open += 1;
    openByBucket.set(bucket, (openByBucket.get(bucket) ?? 0) + 1);
    let released = false;
    return () => {
      if (released) return;
      released = true;
      open -= 1;
      const left = (openByBucket.get(bucket) ?? 1) - 1;
      if (left === 0) openByBucket.delete(bucket);
      else openByBucket.set(bucket, left);
    };
  }

  /** 22 characters: the first ones identify the network, all of them the bucket. */
  function hashOf(address: string): string {
    const hmac = (text: string) => createHmac("sha256", hashKey()).update(text).digest("base64url");
    const network = hmac(`network ${addressNetwork(address)}`).slice(0, networkHashChars);
    return (network + hmac(addressBucket(address))).slice(0, 22);
  }

  return {
    addressHash: (headers, socketAddress) => hashOf(addressIn(headers, socketAddress)),
    hashOf,
    // Without `Forwarded` there is nothing to contradict.
    isAmbiguous: (headers, socketAddress) =>
      headers.has("forwarded") && clientOf(headers, socketAddress).ambiguous,
    async admit(headers, socketAddress) {
      // With the final key its hash would be another one.
      if (!options.isKeyKnown()) return { status: 503, retryAfterS: 1 };
      const from = addressIn(headers, socketAddress);
      const bucket = addressBucket(from);
      const refused = await tooOften(bucket);
      if (refused) return refused;
      const mine = openByBucket.get(bucket) ?? 0;
      const full = peersMax > 0 && open >= peersMax;
      if (full) options.onFull();
      if (full || (socketsPerAddress > 0 && mine >= socketsPerAddress))
        return { status: 503, retryAfterS: crowdedRetryAfterS };
      const addressHash = hashOf(from);
      // Taken before anything is awaited, or two sockets could get the last place.
      const release = occupy(bucket);
      const { shared } = options;
      if (!shared) return { addressHash, release };
      const everywhere = await shared.admit(addressHash, handshakesPerMin, socketsPerAddress);
      if (everywhere.kind === "admitted") {
        const releaseBoth = () => {
          release();
          everywhere.release();
        };
        return { addressHash, release: releaseBoth };
      }
      release();
      return everywhere.kind === "crowded"
        ? { status: 503, retryAfterS: crowdedRetryAfterS }
        : { status: 429, retryAfterS: Math.ceil(everywhere.retryAfterMs / 1000) };
    },
  };
}
