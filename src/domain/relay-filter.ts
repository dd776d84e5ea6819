/**
 * What a relay-only room lets through of a candidate or a description: nothing that reveals a peer's address. Input that does
 * not parse is dropped, and output is written from the parsed fields, so that nothing passes that one parser skips and another
 * reads.
 *
 * Two things are beyond a filter: whether an address that is declared as relayed is one, and what a peer that wants to be found
 * encodes, for example in its fingerprint.
 */
import { limits, type Candidate } from "../protocol.ts";

/** Candidates of one description that are kept; browsers make 4–20 for all sections together. */
const candidatesMax = 64;

/**
 * What replaces an address that is hidden, by family. RFC 8839, 5.1: a relayed candidate MUST
 * carry `raddr` and `rport`; for privacy they are the unspecified address and port 9. Leaving them out would
 * work in Chromium and Safari, but Firefox then rejects the candidate.
 */
const unspecified = { IP4: "0.0.0.0", IP6: "::" } as const;
const discardPort = "9";

/** RFC 8839, 5.1 and 5.4: ALPHA / DIGIT / "+" / "/". */
const foundation = /^[A-Za-z0-9+/]{1,32}$/;
const usernameFragment = /^[A-Za-z0-9+/]{1,256}$/;
/** RFC 8866's token without the dot, so that no name can spell an address. */
const mid = /^[A-Za-z0-9!#$%&'*+^_`{|}~-]{0,64}$/;
const counter = /^\d{1,10}$/;

/** The extensions that browsers write; others are left out. */
const extensions: ReadonlyMap<string, RegExp> = new Map([
  ["generation", counter],
  ["ufrag", usernameFragment],
  ["network-id", counter],
  ["network-cost", counter],
]);

/**
 * The attributes that pass, being those that browsers write for a call. RFC 8866, 5.13: a receiver ignores
 * what it does not understand, so a missing one costs a feature, never the call.
 */
const attributes: ReadonlySet<string> = new Set(
  [
    // the description as a whole
    ["group", "msid-semantic", "extmap-allow-mixed", "ice-lite", "ice-options"],
    // the section and its path
    ["mid", "bundle-only", "sendrecv", "sendonly", "recvonly", "inactive", "setup", "tls-id"],
    ["ice-ufrag", "ice-pwd", "end-of-candidates", "rtcp-mux", "rtcp-mux-only", "rtcp-rsize"],
    // its media
    ["rtpmap", "fmtp", "rtcp-fb", "rtcp-xr", "extmap", "ptime", "maxptime", "framerate"],
    ["imageattr", "packetization", "msid", "ssrc", "ssrc-group", "rid", "simulcast", "content"],
    ["x-google-flag", "sctp-port", "sctpmap", "max-message-size"],
  ].flat(),
);

/**
 * The candidate as a relay-only partner may see it; `undefined`: not at all. The empty string, which ends a
 * generation, passes.
 */
export function relayOnlyCandidate(candidate: Candidate): Candidate | undefined {
  if (!mid.test(candidate.sdpMid ?? "")) return undefined;
  if (candidate.usernameFragment && !usernameFragment.test(candidate.usernameFragment))
    return undefined;
  if (candidate.candidate === "") return candidate;
  const attribute = /^(?:a=)?candidate:(.*)$/.exec(candidate.candidate)?.[1];
  const relayed = attribute === undefined ? undefined : relayedCandidate(attribute);
  return relayed === undefined ? undefined : { ...candidate, candidate: `candidate:${relayed}` };
}

/**
 * The description without any address but those of its relayed candidates. Lines keep their ends, but for a
 * bare CR, which some parsers take for one and others do not. Never longer than it was, but for what relayed
 * candidates gain in `raddr` and `rport`.
 */
export function relayOnlyDescription(sdp: string): string {
  const linesAndEnds = sdp.split(/(\r\n|\n|\r)/);
  let kept = "";
  let candidates = 0;
  let sectionDropped = false;
  for (let index = 0; index < linesAndEnds.length; index += 2) {
    const line = relayOnlyLine(linesAndEnds[index] ?? "");
    // Without its first line, a section's attributes would count as the previous one's.
    if (linesAndEnds[index]?.startsWith("m=")) sectionDropped = line === undefined;
    if (line === undefined || sectionDropped) continue;
    if (line.startsWith("a=candidate:") && ++candidates > candidatesMax) continue;
    const end = linesAndEnds[index + 1] ?? "";
    kept += line + (end === "\r" ? "\n" : end);
  }
  return kept;
}

/** One line of a description (RFC 8866), without its end. */
function relayOnlyLine(line: string): string | undefined {
  if (!/^[a-z]=[\x20-\x7e]+$/.test(line)) return undefined;
  const value = line.slice(2);
  switch (line[0]) {
    case "v":
      return value === "0" ? line : undefined;
    case "o":
      return relayOnlyOrigin(value);
    case "s":
      return "s=-";
    case "t":
      return /^\d{1,20} \d{1,20}$/.test(value) ? "t=0 0" : undefined;
    case "c":
      return prefixed("c=", withoutAddress(value));
    case "b":
      return /^[A-Za-z0-9-]{1,20}:\d{1,20}$/.test(value) ? line : undefined;
    case "m":
      return relayOnlySection(value);
    case "a":
      return prefixed("a=", relayOnlyAttribute(value));
    default:
      return undefined;
  }
}

/** `name` or `name:value` (RFC 8866, 5.13). */
function relayOnlyAttribute(attribute: string): string | undefined {
  const colon = attribute.indexOf(":");
  const name = colon < 0 ? attribute : attribute.slice(0, colon);
  const value = colon < 0 ? "" : attribute.slice(colon + 1);
  if (name === "candidate") return prefixed("candidate:", relayedCandidate(value));
  if (name === "rtcp") return prefixed("rtcp:", relayOnlyRtcp(value));
  // Its pairs of hexadecimal digits would read as an address to a test that is as strict as the one below.
  if (name === "fingerprint")
    return /^[A-Za-z0-9-]{3,10} [0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){15,63}$/.test(value)
      ? attribute
      : undefined;
  // The whole of it: with the end of its name, a value can become an address that alone is none.
  return attributes.has(name) && !mayNameAddress(attribute) ? attribute : undefined;
}

/**
 * Whether an address literal could be part of `text`: a superset of them, by what none can do without: two
 * colons in a row, or seven with groups between them, or three dots with numbers around them. Every repetition
 * is bounded, so it takes linear time.
 */
function mayNameAddress(text: string): boolean {
  return /::|[0-9A-Fa-f]:(?:[0-9A-Fa-f]{1,4}:){6}|\d(?:\.\d{1,10}){2}\.\d/.test(text);
}

/**
 * `candidate-attribute` of RFC 8839, 5.1, after its colon, if it is a relayed one over UDP (browsers make no
 * others) with an address for an address: a name could be anybody's, and has to be looked up by the partner.
 */
function relayedCandidate(attribute: string): string | undefined {
  if (attribute.length > limits.candidateBytesMax) return undefined;
  const [base = "", component, transport, priority, address = "", port, typ, type, ...rest] =
    attribute.split(" ");
  const family = familyOf(address);
  const fits =
    foundation.test(base) &&
    within(component, 256) &&
    transport?.toLowerCase() === "udp" &&
    within(priority, 2 ** 31 - 1) &&
    family !== undefined &&
    within(port, 65535) &&
    typ?.toLowerCase() === "typ" &&
    type?.toLowerCase() === "relay";
  if (!fits || rest.length % 2 !== 0) return undefined;

  // `raddr` and `rport` are pairs of a name and a value like the extensions, and are left out like any unknown.
  const kept = new Map<string, string>();
  for (let index = 0; index < rest.length; index += 2) {
    const name = rest[index] ?? "";
    const value = rest[index + 1] ?? "";
    if (name === "") return undefined;
    if (extensions.get(name)?.test(value) && !kept.has(name)) kept.set(name, value);
  }
  const own = `${base} ${component} udp ${priority} ${address} ${port} typ relay`;
  const related = `raddr ${unspecified[family]} rport ${discardPort}`;
  return [own, related, ...[...kept].flat()].join(" ");
}

/** A decimal number from 1 to `max`, without leading zeros. */
function within(text: string | undefined, max: number): boolean {
  return text !== undefined && /^[1-9]\d{0,9}$/.test(text) && Number(text) <= max;
}

/** `username sess-id sess-version nettype addrtype unicast-address` (RFC 8866, 5.2). */
function relayOnlyOrigin(value: string): string | undefined {
  const [username, id = "", version = "", ...address] = value.split(" ");
  const fits = username !== "" && /^\d{1,20}$/.test(id) && /^\d{1,20}$/.test(version);
  return fits ? prefixed(`o=- ${id} ${version} `, withoutAddress(address.join(" "))) : undefined;
}

/** `media port proto fmt …` (RFC 8866, 5.14); port 0 says that the section is refused, or bundled. */
function relayOnlySection(value: string): string | undefined {
  const [media = "", port = "", protocol = "", ...formats] = value.split(" ");
  const fits =
    /^[a-z]{1,16}$/.test(media) &&
    /^\d{1,5}$/.test(port) &&
    /^[A-Z0-9/]{1,40}$/.test(protocol) &&
    formats.length > 0 &&
    formats.every((format) => /^[A-Za-z0-9-]{1,64}$/.test(format));
  if (!fits) return undefined;
  return `m=${[media, Number(port) === 0 ? "0" : discardPort, protocol, ...formats].join(" ")}`;
}

/** `port [nettype addrtype connection-address]` (RFC 3605). */
function relayOnlyRtcp(value: string): string | undefined {
  const [port = "", ...address] = value.split(" ");
  if (!/^\d{1,5}$/.test(port)) return undefined;
  if (address.length === 0) return discardPort;
  return prefixed(`${discardPort} `, withoutAddress(address.join(" ")));
}

/** `nettype addrtype address`, unspecified. What is shorter than any address is none. */
function withoutAddress(connection: string): string | undefined {
  const [network, family, address, ...rest] = connection.split(" ");
  if (network !== "IN" || (family !== "IP4" && family !== "IP6") || rest.length > 0)
    return undefined;
  if (address === undefined || address.length < unspecified[family].length) return undefined;
  return `IN ${family} ${unspecified[family]}`;
}

const prefixed = (prefix: string, text: string | undefined) =>
  text === undefined ? undefined : prefix + text;

/** The family of an address literal: dotted quad, or RFC 4291's groups without zone or embedded IPv4. */
function familyOf(address: string): keyof typeof unspecified | undefined {
  if (address.length > 39) return undefined;
  const bytes = address.split(".");
  if (bytes.length === 4)
    return bytes.every((byte) => /^(?:0|[1-9]\d{0,2})$/.test(byte) && Number(byte) <= 255)
      ? "IP4"
      : undefined;
  const halves = address.split("::");
  const groups = halves.flatMap((half) => (half === "" ? [] : half.split(":")));
  const complete = halves.length === 2 ? groups.length < 8 : groups.length === 8;
  return halves.length <= 2 && complete && groups.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))
    ? "IP6"
    : undefined;
}
