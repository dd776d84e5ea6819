/**
 * Who is let in before the upgrade, where refusing costs least: by address, and by what this node can hold.
 * The stock client backs off when it is refused here; accepted and then closed it would come back at once.
 */
import { createHmac } from "node:crypto";
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { addressBucket, addressNetwork, clientAddress, type ProxyList } from "./client-address.ts";

/** 0 switches a limit off. */
export interface AdmissionLimits {
  /** Open at a time, per IPv4 address or IPv6 /64. */
  socketsPerAddress: number;
  handshakesPerMin: number;
  /** Sockets on this node, all in all. */
  peersMax: number;
}

export interface AdmissionOptions extends AdmissionLimits {
  trustedProxies: ProxyList;
  /** Keys the hashes that addresses are known by from here on. */
  hashKey: () => string | Buffer;
  /** Whether that is the key for good; until then no socket is admitted. */
  isKeyKnown: () => boolean;
  /** How many characters of such a hash are the same for all addresses of one network. */
  networkHashChars: number;
  /** Where an address is counted besides here: on all nodes together. */
  shared?: SharedCounts | undefined;
  /** Told once: a proxy forwards that is not trusted, so everybody behind it counts as one address. */
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
  /** The socket is gone; idempotent. */
  release: () => void;
}

export interface Refused {
  /** 429: too often; 503: too many. */
  status: 429 | 503;
  retryAfterS: number;
}

export interface Admission {
  /** The keyed hash of the address bucket of whoever sent this. */
  addressHash(headers: Headers, socketAddress: string | undefined): string;
  /** Whether its forwarding headers contradict each other: then it is to be refused (see `ClientAddress`). */
  isAmbiguous(headers: Headers, socketAddress: string | undefined): boolean;
  /** The keyed hash of the bucket of an IP address. */
  hashOf(address: string): string;
  admit(headers: Headers, socketAddress: string | undefined): Promise<Admitted | Refused>;
}

const handshakeWindowS = 60;
/** What to wait when a place has to become free first (seconds). */
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
  let told = false;

  async function tooOften(bucket: string): Promise<Refused | undefined> {
    if (handshakesPerMin === 0) return undefined;
    try {
      await handshakes.consume(bucket);
      return undefined;
    } catch (refusal) {
      // The library throws its answer when there are no points left, and an Error when it failed.
      if (!(refusal instanceof RateLimiterRes)) throw refusal;
      // The library reckons by the wall clock, which may have been set back meanwhile.
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
    if (unannouncedProxy && !told) {
      told = true;
      options.onUnannouncedProxy();
    }
    return address;
  }

  /**
   * Takes a place, and answers how to give it back. Apart from `admit`, all of whose variables would live as
   * long as the place does.
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

  /** 22 characters: the first ones say the network, all of them the bucket. */
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
      // Its hash would be another one as soon as the key is known.
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
      // Taken before anything is waited for, or two could have the last place.
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
