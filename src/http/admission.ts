/**
 * Decides before the upgrade whether a socket is admitted: by address, and by the capacity of this node. Refusing is cheapest
 * there, and tRPC's client backs off; a socket that is accepted and then closed would reconnect at once.
 */
import { createHmacSha256, type Hmac } from "../hmac.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import { RateLimiter } from "../rate-limiter.ts";
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
  /** Whether to keep the address of each socket as long as it is open. */
  keepsAddresses?: boolean;
  /** Counts addresses on all nodes together. */
  shared?: SharedCounts | undefined;
  /** The monotonic clock, in milliseconds. */
  elapsed: () => number;
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
  readonly addressHash: string;
  /** Only if addresses are kept. */
  readonly address: string | undefined;
  /** To be called when the socket has closed; idempotent. */
  release(): void;
}

export interface Refused {
  /** 429: too often; 503: too many. */
  status: 429 | 503;
  reason: "rate-limited" | "node-full" | "address-full" | "unavailable";
  retryAfterS: number;
}

/** A place has to become free first. */
const nodeFull: Refused = { status: 503, reason: "node-full", retryAfterS: 5 };
const addressFull: Refused = { status: 503, reason: "address-full", retryAfterS: 5 };
const tooOften = (retryAfterMs: number): Refused => ({
  status: 429,
  reason: "rate-limited",
  retryAfterS: Math.ceil(retryAfterMs / 1000),
});

/** Characters of a hash: 132 bits. */
const hashChars = 22;

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #handshakes: RateLimiter;
  readonly #places = new Places();
  /** Of the present key. */
  #mac: { key: string | Buffer; of: Hmac } | undefined;
  #hasWarned = false;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    const { handshakesPerMin, elapsed } = options;
    this.#handshakes = new RateLimiter(
      { perS: handshakesPerMin / 60, burst: handshakesPerMin },
      elapsed,
    );
  }

  /** Keyed hash of the bucket of the address that sent a request. */
  addressHash(headers: Headers, socketAddress: string | undefined): string {
    return this.hashOf(this.addressOf(headers, socketAddress));
  }

  /** Keyed hash of the bucket of an IP address: the first characters identify the network, all of them the bucket. */
  hashOf(address: string): string {
    const network = this.#hmac(`network ${addressNetwork(address)}`);
    return (
      network.slice(0, this.#options.networkHashChars) + this.#hmac(addressBucket(address))
    ).slice(0, hashChars);
  }

  #hmac(text: string): string {
    const key = this.#options.hashKey();
    if (this.#mac?.key !== key) this.#mac = { key, of: createHmacSha256(key) };
    return this.#mac.of(text).toString("base64url");
  }

  /** Whether the forwarding headers contradict each other: then the request is to be refused (see `ClientAddress`). */
  isAmbiguous(headers: Headers, socketAddress: string | undefined): boolean {
    return this.#client(headers, socketAddress).ambiguous;
  }

  /** A promise only where the nodes count together, as an upgrade that has to be awaited costs more. */
  admit(headers: Headers, socketAddress: string | undefined): MaybePromise<Admitted | Refused> {
    const { isKeyKnown, peersMax, socketsPerAddress, onFull, keepsAddresses } = this.#options;
    // With the final key the hash of the address would be another one.
    if (!isKeyKnown()) return { status: 503, reason: "unavailable", retryAfterS: 1 };
    const address = this.addressOf(headers, socketAddress);
    const retryAfterMs = this.#handshakes.take(addressBucket(address));
    if (retryAfterMs > 0) return tooOften(retryAfterMs);
    if (peersMax > 0 && this.#places.taken >= peersMax) {
      onFull();
      return nodeFull;
    }
    const addressHash = this.hashOf(address);
    if (socketsPerAddress > 0 && this.#places.takenBy(addressHash) >= socketsPerAddress)
      return addressFull;
    // Taken before anything is awaited, or two sockets could get the last place.
    const place = new Place(this.#places, addressHash, keepsAddresses ? address : undefined);
    return this.#options.shared ? this.#admitEverywhere(place, this.#options.shared) : place;
  }

  /** Counts the socket on all nodes together. */
  async #admitEverywhere(place: Place, shared: SharedCounts): Promise<Admitted | Refused> {
    const { handshakesPerMin, socketsPerAddress } = this.#options;
    const everywhere = await shared.admit(place.addressHash, handshakesPerMin, socketsPerAddress);
    if (everywhere.kind === "admitted") {
      place.releaseShared = everywhere.release;
      return place;
    }
    place.release();
    return everywhere.kind === "crowded" ? addressFull : tooOften(everywhere.retryAfterMs);
  }

  #client(headers: Headers, socketAddress: string | undefined) {
    return clientAddress({
      socketAddress,
      forwardedFor: headers.get("x-forwarded-for"),
      forwarded: headers.get("forwarded"),
      trustedProxies: this.#options.trustedProxies,
    });
  }

  /** The address that sent a request, as trusted proxies give it. */
  addressOf(headers: Headers, socketAddress: string | undefined): string {
    const { address, unannouncedProxy } = this.#client(headers, socketAddress);
    if (unannouncedProxy && !this.#hasWarned) {
      this.#hasWarned = true;
      this.#options.onUnannouncedProxy();
    }
    return address;
  }
}

/** How many places of this node are taken, in all and by the bucket of each address. */
class Places {
  readonly #byAddress = new Map<string, number>();
  taken = 0;

  takenBy(addressHash: string): number {
    return this.#byAddress.get(addressHash) ?? 0;
  }

  /** @param count 1 or -1. */
  add(addressHash: string, count: number): void {
    this.taken += count;
    const taken = this.takenBy(addressHash) + count;
    if (taken === 0) this.#byAddress.delete(addressHash);
    else this.#byAddress.set(addressHash, taken);
  }
}

/** A class, as there is one per socket, and closures would cost memory for each of them. */
class Place implements Admitted {
  readonly addressHash: string;
  readonly address: string | undefined;
  /** Where it is taken; none once it is released. */
  #places: Places | undefined;
  /** Releases it on all nodes together, where there are several. */
  releaseShared: (() => void) | undefined;

  constructor(places: Places, addressHash: string, address: string | undefined) {
    this.#places = places;
    this.addressHash = addressHash;
    this.address = address;
    places.add(addressHash, 1);
  }

  release(): void {
    this.#places?.add(this.addressHash, -1);
    this.#places = undefined;
    this.releaseShared?.();
    this.releaseShared = undefined;
  }
}
