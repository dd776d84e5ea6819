import { describe, expect, test } from "bun:test";
import { isIP } from "node:net";
import fc from "fast-check";
import { relayOnlyCandidate, relayOnlyDescription } from "../../../src/domain/relay-filter.ts";
import { limits } from "../../../src/protocol.ts";
import { descriptions, directCandidates, relayedCandidates } from "./relay-corpus.ts";

const filtered = (candidate: string) => relayOnlyCandidate({ candidate })?.candidate;

const relayedLine =
  "candidate:1 1 udp 16777215 203.0.113.5 3478 typ relay raddr 198.51.100.77 rport 4000";
const relayedLineKept =
  "candidate:1 1 udp 16777215 203.0.113.5 3478 typ relay raddr 0.0.0.0 rport 9";

/** A relayed candidate, up to where addresses end; alone or as a line. */
const relayedAddress =
  /^(?:a=)?candidate:[A-Za-z0-9+/]{1,32} \d{1,3} udp \d{1,10} ([0-9A-Fa-f.:]+) \d{1,5} typ relay raddr (0\.0\.0\.0|::) rport 9/gm;
const wholeFingerprint = /^a=fingerprint:[A-Za-z0-9-]+ [0-9A-F]{2}(:[0-9A-F]{2}){15,}$/gim;

/** Every address literal in a text, also inside longer words, except those that are meant to be there. */
function addressesIn(text: string): string[] {
  const rest = text
    .replace(relayedAddress, "candidate")
    .replace(wholeFingerprint, "fingerprint")
    .replace(/IN IP4 0\.0\.0\.0(?=[\r\n]|$)|IN IP6 ::(?=[\r\n]|$)/g, "nowhere");
  const found: string[] = [];
  for (const word of rest.match(/[0-9A-Fa-f.:]{2,}/g) ?? [])
    for (let from = 0; from < word.length; from++)
      for (let to = from + 2; to <= Math.min(word.length, from + 45); to++)
        if (isIP(word.slice(from, to)) !== 0) found.push(word.slice(from, to));
  return found;
}

describe("a candidate in a relay-only room", () => {
  for (const candidate of directCandidates)
    test(`is dropped: ${candidate}`, () => {
      expect(filtered(candidate)).toBeUndefined();
      expect(filtered(`a=${candidate}`)).toBeUndefined();
    });

  for (const [made, kept] of relayedCandidates)
    test(`passes without its related address: ${made}`, () => {
      expect(filtered(made)).toBe(kept);
      expect(filtered(kept)).toBe(kept);
    });

  test("passes when it ends a generation, and keeps what names its section", () => {
    const end = { candidate: "", sdpMid: "0", sdpMLineIndex: 0, usernameFragment: "6oMq" };
    expect(relayOnlyCandidate(end)).toEqual(end);
    expect(relayOnlyCandidate({ candidate: "", sdpMid: null, usernameFragment: null })).toEqual({
      candidate: "",
      sdpMid: null,
      usernameFragment: null,
    });
    expect(relayOnlyCandidate({ ...end, candidate: relayedLine })).toEqual({
      ...end,
      candidate: relayedLineKept,
    });
  });

  test("is dropped whose other fields could carry an address", () => {
    for (const sdpMid of ["198.51.100.77", "2001:db8::1", "0 ", "0\0", "é"])
      expect({ sdpMid, kept: relayOnlyCandidate({ candidate: "", sdpMid }) }).toEqual({
        sdpMid,
        kept: undefined,
      });
    for (const usernameFragment of ["198.51.100.77", "fd00::2", "a b"])
      expect(relayOnlyCandidate({ candidate: relayedLine, usernameFragment })).toBeUndefined();
  });

  const address = "198.51.100.77";
  const attempts: Record<string, string> = {
    "two blanks after typ": `candidate:1 1 udp 1 ${address} 9 typ  host`,
    "two blanks before relay": `candidate:1 1 udp 1 203.0.113.5 9 typ  relay`,
    "a tab for a blank": `candidate:1 1 udp 1 203.0.113.5 9 typ\trelay`,
    "a blank in front": ` ${relayedLine}`,
    "a blank behind": `${relayedLine} `,
    "a line end behind": `${relayedLine}\r\n`,
    "a second candidate behind LF": `${relayedLine}\na=candidate:2 1 udp 1 ${address} 9 typ host`,
    "a second candidate behind CR": `${relayedLine}\rcandidate:2 1 udp 1 ${address} 9 typ host`,
    "a second candidate behind NUL": `${relayedLine}\0candidate:2 1 udp 1 ${address} 9 typ host`,
    "NUL in the type": `candidate:1 1 udp 1 203.0.113.5 9 typ relay\0host`,
    "a line separator": `${relayedLine}\u2028candidate:2 1 udp 1 ${address} 9 typ host`,
    "no-break space": `candidate:1 1 udp 1 203.0.113.5 9\u00a0typ relay`,
    "two types, host first": `candidate:1 1 udp 1 ${address} 9 typ host typ relay`,
    "an unknown type": `candidate:1 1 udp 1 ${address} 9 typ relayed`,
    "the type elsewhere": `candidate:1 1 udp 1 ${address} 9 generation 0 typ relay`,
    "no type": `candidate:1 1 udp 1 ${address} 9`,
    "upper-case host": `candidate:1 1 UDP 1 ${address} 9 TYP HOST`,
    "a name for an address": "candidate:1 1 udp 1 alice.example 9 typ relay",
    "an mDNS name": "candidate:1 1 udp 1 4c1b3f2e-6a0d-4c7b-9a86-0a9d1c2f4e55.local 9 typ relay",
    "IPv4 in octal": "candidate:1 1 udp 1 0306.063.0144.0115 9 typ relay",
    "IPv4 as a number": "candidate:1 1 udp 1 3325256781 9 typ relay",
    "IPv4 in three parts": "candidate:1 1 udp 1 198.51.25677 9 typ relay",
    "an IPv6 zone": "candidate:1 1 udp 1 fe80::1%eth0 9 typ relay",
    "an IPv4-mapped address": `candidate:1 1 udp 1 ::ffff:${address} 9 typ relay`,
    "IPv6 in brackets": "candidate:1 1 udp 1 [2001:db8::1] 9 typ relay",
    "full-width digits": "candidate:1 1 udp 1 １９８.51.100.77 9 typ relay",
    "ICE-TCP": "candidate:1 1 tcp 1 203.0.113.5 9 typ relay tcptype passive",
    "an address as transport": `candidate:1 1 ${address} 1 203.0.113.5 9 typ relay`,
    "an address as foundation": `candidate:${address} 1 udp 1 203.0.113.5 9 typ relay`,
    "an extension without value": `${relayedLine} generation`,
    "port 0": "candidate:1 1 udp 1 203.0.113.5 0 typ relay",
    "port 65536": "candidate:1 1 udp 1 203.0.113.5 65536 typ relay",
    "a negative priority": "candidate:1 1 udp -1 203.0.113.5 9 typ relay",
    "component 257": "candidate:1 257 udp 1 203.0.113.5 9 typ relay",
    "another attribute": `remote-candidates:1 ${address} 9`,
    "no prefix": relayedLine.slice("candidate:".length),
    "two prefixes": `a=a=${relayedLine}`,
    "upper-case prefix": relayedLine.replace("candidate", "CANDIDATE"),
    "a blank only": " ",
    "a huge line": `${relayedLine} generation ${"0".repeat(limits.candidateBytesMax)}`,
  };
  for (const [trick, candidate] of Object.entries(attempts))
    test(`is dropped: ${trick}`, () => expect(filtered(candidate)).toBeUndefined());

  const cleaned: Record<string, string> = {
    "related address twice": `${relayedLine} raddr ${address} rport 1`,
    "related address behind an extension": `candidate:1 1 udp 16777215 203.0.113.5 3478 typ relay foo 1 raddr ${address} rport 1`,
    "an unknown extension": `${relayedLine} x-my-address ${address}`,
    "an address as a known extension's value": `${relayedLine} generation ${address}`,
    "an extension named as an address": `${relayedLine} ${address} 1`,
    "upper case": relayedLine.replace("typ relay raddr", "TYP RELAY RADDR"),
    "the attribute's prefix": `a=${relayedLine}`,
  };
  for (const [trick, candidate] of Object.entries(cleaned))
    test(`is written anew: ${trick}`, () => expect(filtered(candidate)).toBe(relayedLineKept));

  test("keeps each known extension once", () => {
    expect(filtered(`${relayedLine} network-cost 10 generation 0 generation 1`)).toBe(
      `${relayedLineKept} network-cost 10 generation 0`,
    );
  });
});

describe("a description in a relay-only room", () => {
  for (const [name, sdp] of Object.entries(descriptions))
    test(`loses its addresses and nothing else: ${name}`, () => {
      const kept = relayOnlyDescription(sdp);
      expect(addressesIn(kept)).toEqual([]);
      expect(kept.endsWith("\r\n")).toBe(true);

      const expected = sdp
        .split("\r\n")
        .filter((line) => !line.startsWith("a=candidate:") || line.includes(" typ relay "))
        .map((line) =>
          line
            .replace(/ UDP (\d+ 203)/, " udp $1")
            .replace(/ raddr .* rport \d+/, " raddr 0.0.0.0 rport 9")
            .replace(/^o=\S+ (\d+ \d+) IN IP4 \S+/, "o=- $1 IN IP4 0.0.0.0")
            .replace(/^c=IN IP4 \S+/, "c=IN IP4 0.0.0.0")
            .replace(/^(m=\w+) [1-9]\d*/, "$1 9")
            .replace(/^a=rtcp:\d+ IN IP4 \S+/, "a=rtcp:9 IN IP4 0.0.0.0"),
        );
      expect(kept.split("\r\n")).toEqual(expected);
    });

  const from = "198.51.100.77";
  const lost: Record<string, string> = {
    "a remote candidate": `a=remote-candidates:1 ${from} 9`,
    "an unknown attribute": "a=x-google-server:alice",
    "an address in a known attribute": `a=msid:- ${from}`,
    "an IPv6 address in a known attribute": "a=ssrc:1 cname:alice@2001:db8:1:2:3:4:5:6",
    "a shortened IPv6 address": "a=fmtp:96 x=2001:db8::1",
    "an address that begins in the name": "a=mid:1:2:3:4:5:6:7",
    "an address inside a longer word": `a=mid:x${from}.5`,
    "a fingerprint that is an address": "a=fingerprint:sha-256 20:01:0d:b8:00:00:00:01",
    "a fingerprint with an address": `a=fingerprint:sha-256 ${"AA:".repeat(31)}AA ${from}`,
    "an alternative connection": `a=altc:1 IP4 ${from} 9`,
    "a source filter": `a=source-filter: incl IN IP4 * ${from}`,
    "an identity": "a=identity:eyJpZHAiOnsiZG9tYWluIjoiYWxpY2UuZXhhbXBsZSJ9fQ==",
    "an upper-case attribute": `a=CANDIDATE:1 1 udp 1 ${from} 9 typ host`,
    "a blank before the attribute": `a= candidate:1 1 udp 1 ${from} 9 typ host`,
    "a blank before the line": ` a=candidate:1 1 udp 1 ${from} 9 typ host`,
    "a tab in a candidate": `a=candidate:1 1 udp 1\t${from} 9 typ relay`,
    "NUL in a line": `a=mid:0\0${from}`,
    "an information line": `i=call me at ${from}`,
    "a contact": `e=alice@${from}`,
    "a URI": `u=http://${from}/`,
    "a connection that is none": "c=IN IP4",
    "a connection in another network": `c=ATM NSAP ${from}`,
    "a bandwidth that is an address": `b=AS:${from}`,
    "full-width digits": "a=mid:１９８.５１.１００.７７",
  };
  for (const [name, line] of Object.entries(lost))
    test(`loses ${name}`, () => {
      for (const end of ["\r\n", "\n", "\r"])
        expect(relayOnlyDescription(`a=mid:0${end}${line}${end}a=sendrecv${end}`)).toBe(
          `a=mid:0${end}a=sendrecv${end}`.replace(/\r(?!\n)/g, "\n"),
        );
    });

  const rewritten: [line: string, kept: string][] = [
    [`c=IN IP4 ${from}`, "c=IN IP4 0.0.0.0"],
    [`c=IN IP4 ${from}/127`, "c=IN IP4 0.0.0.0"],
    ["c=IN IP6 2001:db8::1", "c=IN IP6 ::"],
    ["c=IN IP4 4c1b3f2e-6a0d-4c7b-9a86-0a9d1c2f4e55.local", "c=IN IP4 0.0.0.0"],
    [`o=alice@${from} 1 2 IN IP4 ${from}`, "o=- 1 2 IN IP4 0.0.0.0"],
    ["o=- 1 2 IN IP6 2001:db8::1", "o=- 1 2 IN IP6 ::"],
    [`s=${from}`, "s=-"],
    ["t=3034423619 3042462419", "t=0 0"],
    ["a=rtcp:53020", "a=rtcp:9"],
    ["a=rtcp:53020 IN IP6 2001:db8::1", "a=rtcp:9 IN IP6 ::"],
    ["m=audio 49170 UDP/TLS/RTP/SAVPF 0 8", "m=audio 9 UDP/TLS/RTP/SAVPF 0 8"],
    ["m=video 0 UDP/TLS/RTP/SAVPF 96", "m=video 0 UDP/TLS/RTP/SAVPF 96"],
  ];
  for (const [line, kept] of rewritten)
    test(`${line} becomes ${kept}`, () =>
      expect(relayOnlyDescription(`${line}\r\n`)).toBe(`${kept}\r\n`));

  test("splits a line wherever some parser might", () => {
    const hidden = `a=mid:0\ra=candidate:1 1 udp 1 ${from} 9 typ host\r\na=sendrecv\n`;
    expect(relayOnlyDescription(hidden)).toBe("a=mid:0\na=sendrecv\n");
  });

  test("loses a section with its attributes when the section's first line is none", () => {
    expect(
      relayOnlyDescription(
        `m=audio 9 RTP 0\na=mid:0\nm=audio 9 ${from}\na=mid:1\nm=video 9 RTP 1\n`,
      ),
    ).toBe("m=audio 9 RTP 0\na=mid:0\nm=video 9 RTP 1\n");
  });

  test("keeps a bounded number of candidates", () => {
    const kept = relayOnlyDescription(`a=${relayedLine}\r\n`.repeat(1000));
    expect(kept).toBe(`a=${relayedLineKept}\r\n`.repeat(64));
  });
});

describe("whatever comes in", () => {
  const ipv4 = fc.ipV4();
  const ipv6 = fc.ipV6();
  const addressLike = fc.oneof(ipv4, ipv6, fc.constantFrom("0.0.0.0", "::", "a.local", "x"));
  const blank = fc.oneof(
    { weight: 20, arbitrary: fc.constant(" ") },
    fc.constantFrom("  ", "\t", "\0", "\u00a0", "\n", "\r", "\v", ""),
  );
  const word = fc.oneof(
    addressLike,
    fc.constantFrom("typ", "TYP", "relay", "host", "srflx", "raddr", "rport", "udp", "tcp", "1"),
    fc.constantFrom("9", "generation", "ufrag", "network-id", "IN", "IP4", "IP6", "-", "0"),
    fc.string({ maxLength: 8 }),
  );
  const words = fc
    .array(fc.tuple(word, blank), { maxLength: 12 })
    .map((all) => all.flat().join(""));
  const nearlyRelayed = fc
    .tuple(addressLike, fc.constantFrom("relay", "RELAY", "host"), addressLike, words)
    .map(
      ([address, type, related, rest]) =>
        `candidate:1 1 udp 1 ${address} 9 typ ${type} raddr ${related} rport 7 ${rest}`,
    );
  const candidate = fc.oneof(
    nearlyRelayed,
    words.map((text) => `candidate:${text}`),
    fc.string(),
    fc.string({ unit: "binary" }),
    fc.constantFrom(...directCandidates, ...relayedCandidates.flat()),
  );
  const corpusLines = Object.values(descriptions).flatMap((sdp) => sdp.split("\r\n"));
  const line = fc.oneof(
    fc.constantFrom(...corpusLines),
    candidate.map((text) => `a=${text}`),
    fc.tuple(fc.constantFrom(..."vostcbmaiuepkrz"), words).map(([type, text]) => `${type}=${text}`),
    fc
      .tuple(
        fc.constantFrom("rtcp", "fingerprint", "ssrc", "msid", "mid", "fmtp", "extmap", "x-any"),
        words,
      )
      .map(([name, text]) => `a=${name}:${text}`),
    words,
  );
  const description = fc
    .array(fc.tuple(line, fc.constantFrom("\r\n", "\n", "\r", "\n\r", "\0", "")), { maxLength: 30 })
    .map((lines) => lines.flat().join(""));

  const runs = { numRuns: 5000 };

  test("no address comes out of a candidate but a relayed one's own", () => {
    fc.assert(
      fc.property(candidate, (text) => {
        const kept = filtered(text);
        if (kept === undefined || kept === "") return;
        expect(kept).toMatch(new RegExp(`${relayedAddress.source}( [a-z-]+ [A-Za-z0-9+/]+)*$`));
        expect(addressesIn(kept)).toEqual([]);
        expect(filtered(kept)).toBe(kept);
        expect(kept.length).toBeLessThanOrEqual(text.length + " raddr 0.0.0.0 rport 9".length);
      }),
      runs,
    );
  });

  test("no address comes out of a description but its relayed candidates' own", () => {
    fc.assert(
      fc.property(description, (sdp) => {
        const kept = relayOnlyDescription(sdp);
        expect(addressesIn(kept)).toEqual([]);
        expect(kept).not.toMatch(/^a=candidate:(?!.* typ relay raddr )/m);
        expect(kept).not.toMatch(/[^\x20-\x7e\r\n]|\r(?!\n)/);
        expect(relayOnlyDescription(kept)).toBe(kept);
        expect(kept.length).toBeLessThanOrEqual(sdp.length + 64 * " raddr 0.0.0.0 rport 9".length);
      }),
      runs,
    );
  });

  test("it takes time in proportion to its length", () => {
    const hostile: ((length: number) => string)[] = [
      (length) => "a=mid:" + "a".repeat(length),
      (length) => "a=mid:" + "1".repeat(length),
      (length) => "a=mid:" + "1.".repeat(length / 2),
      (length) => "a=mid:" + "1:".repeat(length / 2),
      (length) => "a=fingerprint:sha-256 AA" + ":AA".repeat(length / 3),
      (length) => "a=candidate:" + " ".repeat(length),
      (length) => "m=audio 9 RTP" + " 0".repeat(length / 2),
      (length) => "\r".repeat(length),
      (length) => "a=x\n".repeat(length / 4),
      (length) => `a=${relayedLine}\n`.repeat(length / relayedLine.length),
    ];
    const elapsedMs = (text: string) => {
      const start = performance.now();
      relayOnlyDescription(text);
      return performance.now() - start;
    };
    // 128 times the largest description there can be: anything quadratic would take minutes, on any machine.
    for (const make of hostile)
      expect(elapsedMs(make(128 * limits.sdpBytesMax))).toBeLessThan(30_000);
  }, 300_000);
});
