/**
 * The client's address, against which limits count. Behind proxies it is in a header (`X-Forwarded-For`, or `Forwarded` of
 * RFC 7239) that clients can also send themselves: only entries of trusted proxies are used, so it is read from the right, where
 * each proxy appends the address that it received the request from.
 */
import { BlockList, isIPv4, isIPv6 } from "node:net";

/** Proxies whose headers are trusted. */
export interface ProxyList {
  /** @param address as `clientAddress` gives it. */
  includes(address: string): boolean;
}

/** The problems of a list of proxies: one line per item. */
export interface ProxyListProblems {
  problems: string[];
}

export interface Hop {
  /** The address at the other end of the connection; without one (a Unix socket) no header is trusted. */
  socketAddress: string | undefined;
  /** The header `X-Forwarded-For`, its lines joined by commas; `null`: there is none. */
  forwardedFor: string | null;
  /** The header `Forwarded`, likewise. */
  forwarded: string | null;
  trustedProxies: ProxyList;
}

export interface ClientAddress {
  /** In normal form: IPv6 as eight lower-case groups, IPv4-mapped IPv6 as IPv4; `unknown` if it is none. */
  address: string;
  /**
   * Forwarding headers came from an address that is no trusted proxy: either there is a proxy that was not announced, and all
   * peers behind it share one address, or a client forges them.
   */
  unannouncedProxy: boolean;
  /**
   * A trusted proxy passed on headers that contradict each other, or a malformed `Forwarded`. The client may have sent one of
   * them, to be taken for another: the request is to be refused.
   */
  ambiguous: boolean;
}

/** The one bucket of everything that is no address. */
const unknown = "unknown";

/** The client's address as far as trusted proxies know it; at worst that of the nearest proxy. */
export function clientAddress(hop: Hop): ClientAddress {
  const { forwardedFor, forwarded, trustedProxies } = hop;
  const nearest = normalAddress(hop.socketAddress ?? "") ?? unknown;
  const given = [
    ...(forwardedFor === null ? [] : [forwardedFor.split(",").map(nodeAddress)]),
    ...(forwarded === null ? [] : [forwardedNodes(forwarded)]),
  ];
  if (!trustedProxies.includes(nearest))
    return { address: nearest, unannouncedProxy: given.length > 0, ambiguous: false };

  const chains = given.flatMap((chain) => (chain ? [walk(nearest, chain, trustedProxies)] : []));
  const [address = nearest, ...others] = chains;
  // A proxy that writes one header passes on the other unchanged: if the two disagree, one is forged.
  const agreed = chains.length === given.length && others.every((other) => other === address);
  return { address: agreed ? address : nearest, unannouncedProxy: false, ambiguous: !agreed };
}

/** From the nearest address leftwards past trusted proxies. */
function walk(
  nearest: string,
  chain: readonly (string | undefined)[],
  trustedProxies: ProxyList,
): string {
  let address = nearest;
  for (let index = chain.length - 1; index >= 0 && trustedProxies.includes(address); index--) {
    const next = chain[index];
    if (next === undefined) break;
    address = next;
  }
  return address;
}

/**
 * The addresses in `Forwarded` (RFC 7239, 4); `undefined` if it is malformed. A client can cause that: an open quotation mark
 * makes one value of everything that proxies append.
 */
function forwardedNodes(header: string): (string | undefined)[] | undefined {
  const pair = /[ \t]*([\w!#$%&'*+.^`|~-]+)=("(?:[^"\\]|\\.)*"|[^ \t",;]+)[ \t]*([;,]|$)/y;
  const nodes: (string | undefined)[] = [];
  let node: string | undefined;
  for (let separator = ","; separator !== "";) {
    const [, name, value = "", next] = pair.exec(header) ?? [];
    if (name === undefined || next === undefined) return undefined;
    separator = next;
    if (name.toLowerCase() === "for") {
      // Two for the same hop: neither is trusted.
      if (node !== undefined) return undefined;
      node = value.startsWith('"') ? value.slice(1, -1).replace(/\\(.)/g, "$1") : value;
    }
    if (separator === ";") continue;
    nodes.push(nodeAddress(node ?? unknown));
    node = undefined;
  }
  return nodes;
}

/** A node's address without brackets and port (RFC 7239, 6); `undefined` for `unknown`, `_hidden` and the like. */
function nodeAddress(node: string): string | undefined {
  const text = node.trim();
  const [, inBrackets] = /^\[([^\]]*)\](?::[\w.-]+)?$/.exec(text) ?? [];
  const [, beforePort] = /^([\d.]+):[\w.-]+$/.exec(text) ?? [];
  return normalAddress(inBrackets ?? beforePort ?? text);
}

/**
 * What a limit counts: an IPv4 address, or an IPv6 /64, all of which one machine can have. Everything that is no address shares
 * one bucket.
 */
export function addressBucket(address: string): string {
  const normal = normalAddress(address);
  if (normal === undefined) return unknown;
  return isIPv4(normal) ? normal : `${normal.split(":", 4).join(":")}::/64`;
}

/**
 * The network that an address belongs to, as far as one party usually has it: an IPv4 /24, or an IPv6 /48, which
 * providers give to one site (RFC 6177).
 */
export function addressNetwork(address: string): string {
  const normal = normalAddress(address);
  if (normal === undefined) return unknown;
  const separator = isIPv4(normal) ? "." : ":";
  return normal.split(separator, 3).join(separator);
}

/** The canonical form of an address, without zone; `undefined` if it is none. */
function normalAddress(text: string): string | undefined {
  const [address = ""] = text.split("%", 1);
  if (isIPv4(address)) return address;
  if (!isIPv6(address)) return undefined;
  const groups = groupsOf(address);
  const [high = 0, low = 0] = groups.slice(6);
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (mapped) return [high >> 8, high & 255, low >> 8, low & 255].join(".");
  return groups.map((group) => group.toString(16)).join(":");
}

/** The eight groups of a valid IPv6 address (RFC 4291, 2.2). */
function groupsOf(address: string): number[] {
  const [head = [], tail = []] = address.split("::").map((half) =>
    half.split(":").flatMap((group) => {
      if (group === "") return [];
      if (!group.includes(".")) return [Number.parseInt(group, 16)];
      const [a = 0, b = 0, c = 0, d = 0] = group.split(".").map(Number);
      return [a * 256 + b, c * 256 + d];
    }),
  );
  return [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}

/** Reads addresses and CIDR ranges (RFC 4632), comma-separated. */
export function parseProxyList(text: string): ProxyList | ProxyListProblems {
  const list = new BlockList();
  const problems: string[] = [];
  for (const item of text.split(",").map((part) => part.trim())) {
    if (item === "") continue;
    const problem = addRange(list, item);
    if (problem !== undefined) problems.push(`"${item}" ${problem}`);
  }
  if (problems.length > 0) return { problems };
  return {
    includes: (address) => {
      const normal = normalAddress(address);
      return normal !== undefined && list.check(normal, familyOf(normal));
    },
  };
}

const familyOf = (address: string) => (isIPv4(address) ? "ipv4" : "ipv6");

/** Adds an address or range to the list. Returns its problem, if it has one. */
function addRange(list: BlockList, item: string): string | undefined {
  const [, written = "", prefix] = /^([0-9A-Fa-f:.]+)(?:\/(\d{1,3}))?$/.exec(item) ?? [];
  const address = normalAddress(written);
  if (address === undefined)
    return "is neither an address nor a range like 10.0.0.0/8 or 2001:db8::/32";
  const writtenBits = isIPv4(written) ? 32 : 128;
  const bits = prefix === undefined ? writtenBits : Number(prefix);
  if (bits > writtenBits) return `must have a prefix of at most ${writtenBits} bits`;
  // Of an IPv4-mapped range what counts is the IPv4 range in it.
  const ownBits = isIPv4(address) ? bits - (writtenBits - 32) : bits;
  if (ownBits <= 0)
    return "includes all addresses: then any client could claim any address. Name your proxies' range";
  list.addSubnet(address, ownBits, familyOf(address));
  return undefined;
}
