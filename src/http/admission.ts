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

const handshakeWindowS = 60;
/** When to try again if a place has to become free first (seconds). */
const crowdedRetryAfterS = 5;

/** Characters of a hash: 132 bits. */
const hashChars = 22;

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #handshakes: RateLimiterMemory;
  readonly #openByBucket = new Map<string, number>();
  #open = 0;
  #hasWarned = false;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#handshakes = new RateLimiterMemory({
      points: Math.max(1, options.handshakesPerMin),
      duration: handshakeWindowS,
    });
  }

  /** Keyed hash of the bucket of the address that sent a request. */
  addressHash(headers: Headers, socketAddress: string | undefined): string {
    return this.hashOf(this.#addressIn(headers, socketAddress));
  }

  /** Keyed hash of the bucket of an IP address: the first characters identify the network, all of them the bucket. */
  hashOf(address: string): string {
    const { hashKey, networkHashChars } = this.#options;
    const hmac = (text: string) => createHmac("sha256", hashKey()).update(text).digest("base64url");
    const network = hmac(`network ${addressNetwork(address)}`).slice(0, networkHashChars);
    return (network + hmac(addressBucket(address))).slice(0, hashChars);
  }

  /** Whether the forwarding headers contradict each other: then the request is to be refused (see `ClientAddress`). */
  isAmbiguous(headers: Headers, socketAddress: string | undefined): boolean {
    // Without `Forwarded` there is nothing to contradict.
    return headers.has("forwarded") && this.#client(headers, socketAddress).ambiguous;
  }

  async admit(headers: Headers, socketAddress: string | undefined): Promise<Admitted | Refused> {
    const { isKeyKnown, peersMax, socketsPerAddress, onFull } = this.#options;
    // With the final key the hash of the address would be another one.
    if (!isKeyKnown()) return { status: 503, retryAfterS: 1 };
    const address = this.#addressIn(headers, socketAddress);
    const bucket = addressBucket(address);
    const tooOften = await this.#countHandshake(bucket);
    if (tooOften) return tooOften;
    const isFull = peersMax > 0 && this.#open >= peersMax;
    if (isFull) onFull();
    const ofBucket = this.#openByBucket.get(bucket) ?? 0;
    if (isFull || (socketsPerAddress > 0 && ofBucket >= socketsPerAddress))
      return { status: 503, retryAfterS: crowdedRetryAfterS };
    // Taken before anything is awaited, or two sockets could get the last place.
    return this.#admitEverywhere(this.hashOf(address), this.#occupy(bucket));
  }

  /** Counts the socket on all nodes together, where there are several. */
  async #admitEverywhere(addressHash: string, release: () => void): Promise<Admitted | Refused> {
    const { shared, handshakesPerMin, socketsPerAddress } = this.#options;
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
  }

  async #countHandshake(bucket: string): Promise<Refused | undefined> {
    if (this.#options.handshakesPerMin === 0) return undefined;
    try {
      await this.#handshakes.consume(bucket);
      return undefined;
    } catch (refusal) {
      // The library throws its result when there are no points left, and an Error when it failed.
      if (!(refusal instanceof RateLimiterRes)) throw refusal;
      // The library uses the wall clock, which may have been set back meanwhile.
      const retryAfterS = Math.min(handshakeWindowS, Math.ceil(refusal.msBeforeNext / 1000));
      return { status: 429, retryAfterS };
    }
  }

  #client(headers: Headers, socketAddress: string | undefined) {
    return clientAddress({
      socketAddress,
      forwardedFor: headers.get("x-forwarded-for"),
      forwarded: headers.get("forwarded"),
      trustedProxies: this.#options.trustedProxies,
    });
  }

  #addressIn(headers: Headers, socketAddress: string | undefined): string {
    const { address, unannouncedProxy } = this.#client(headers, socketAddress);
    if (unannouncedProxy && !this.#hasWarned) {
      this.#hasWarned = true;
      this.#options.onUnannouncedProxy();
    }
    return address;
  }

  /** Takes a place. Returns how to give it back. A method of its own, so that its closure keeps no more than it needs. */
  #occupy(bucket: string): () => void {
    this.#open += 1;
    this.#openByBucket.set(bucket, (this.#openByBucket.get(bucket) ?? 0) + 1);
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      this.#open -= 1;
      const remaining = (this.#openByBucket.get(bucket) ?? 1) - 1;
      if (remaining === 0) this.#openByBucket.delete(bucket);
      else this.#openByBucket.set(bucket, remaining);
    };
  }
}
