import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  addressBucket,
  clientAddress,
  parseProxyList,
  type ProxyList,
} from "../../../src/http/client-address.ts";

function proxies(text: string): ProxyList {
  const list = parseProxyList(text);
  if ("problems" in list) throw new Error(list.problems.join("; "));
  return list;
}

const trusted = proxies("10.0.0.0/8, 192.0.2.1, 2001:db8:aaaa::/48, ::ffff:172.16.0.0/108");

interface Headers {
  forwardedFor?: string;
  forwarded?: string;
}

const seen = (socketAddress: string | undefined, headers: Headers = {}, trustedProxies = trusted) =>
  clientAddress({
    socketAddress,
    forwardedFor: headers.forwardedFor ?? null,
    forwarded: headers.forwarded ?? null,
    trustedProxies,
  });

const proxy = "10.0.0.1";

describe("the address of a peer", () => {
  const table: [says: string, socket: string, headers: Headers, address: string][] = [
    ["no headers", "203.0.113.7", {}, "203.0.113.7"],
    ["a proxy that adds nothing", proxy, {}, proxy],
    ["one proxy", proxy, { forwardedFor: "203.0.113.7" }, "203.0.113.7"],
    ["two proxies", proxy, { forwardedFor: "203.0.113.7, 10.9.9.9" }, "203.0.113.7"],
    ["without blanks", proxy, { forwardedFor: "203.0.113.7,10.9.9.9" }, "203.0.113.7"],
    ["a forged head", proxy, { forwardedFor: "1.1.1.1, 203.0.113.7" }, "203.0.113.7"],
    ["a forged proxy", proxy, { forwardedFor: "1.1.1.1, 10.0.0.1, 203.0.113.7" }, "203.0.113.7"],
    ["forged without a proxy", "203.0.113.7", { forwardedFor: "1.1.1.1" }, "203.0.113.7"],
    ["a peer inside", proxy, { forwardedFor: "10.5.5.5" }, "10.5.5.5"],
    ["with a port", proxy, { forwardedFor: "203.0.113.7:51234" }, "203.0.113.7"],
    ["IPv6", proxy, { forwardedFor: "2001:DB8::00ff" }, "2001:db8:0:0:0:0:0:ff"],
    ["IPv6 with a port", proxy, { forwardedFor: "[2001:db8::1]:443" }, "2001:db8:0:0:0:0:0:1"],
    ["IPv6 in brackets", proxy, { forwardedFor: "[2001:db8::1]" }, "2001:db8:0:0:0:0:0:1"],
    ["IPv4-mapped", proxy, { forwardedFor: "::ffff:203.0.113.7" }, "203.0.113.7"],
    ["IPv4-mapped in hex", proxy, { forwardedFor: "::FFFF:cb00:7107" }, "203.0.113.7"],
    ["an IPv6 zone", proxy, { forwardedFor: "fe80::1%eth0" }, "fe80:0:0:0:0:0:0:1"],
    ["a mapped proxy", "::ffff:10.0.0.1", { forwardedFor: "203.0.113.7" }, "203.0.113.7"],
    ["a proxy of a mapped range", "172.16.3.4", { forwardedFor: "203.0.113.7" }, "203.0.113.7"],
    ["an IPv6 proxy", "2001:db8:aaaa::5", { forwardedFor: "203.0.113.7" }, "203.0.113.7"],
    ["a neighbour of a proxy", "192.0.2.2", { forwardedFor: "203.0.113.7" }, "192.0.2.2"],
    ["garbage at the end", proxy, { forwardedFor: "203.0.113.7, what" }, proxy],
    ["garbage behind a proxy", proxy, { forwardedFor: "203.0.113.7, what, 10.2.2.2" }, "10.2.2.2"],
    ["nothing at the end", proxy, { forwardedFor: "203.0.113.7, " }, proxy],
    ["an empty header", proxy, { forwardedFor: "" }, proxy],
    ["unknown", proxy, { forwardedFor: "unknown" }, proxy],
    ["a name", proxy, { forwardedFor: "alice.example" }, proxy],
    ["octal", proxy, { forwardedFor: "0313.0.113.7" }, proxy],
    ["too few bytes", proxy, { forwardedFor: "203.0.113" }, proxy],
    ["too large a byte", proxy, { forwardedFor: "203.0.113.256" }, proxy],
    ["a range", proxy, { forwardedFor: "203.0.113.0/24" }, proxy],
    ["Forwarded", proxy, { forwarded: "for=203.0.113.7" }, "203.0.113.7"],
    ["its other pairs", proxy, { forwarded: "by=_x;For=203.0.113.7;proto=https" }, "203.0.113.7"],
    ["its list", proxy, { forwarded: "for=1.1.1.1, for=203.0.113.7;by=10.2.2.2" }, "203.0.113.7"],
    [
      "its IPv6",
      proxy,
      { forwarded: 'for="[2001:db8:cafe::17]:4711"' },
      "2001:db8:cafe:0:0:0:0:17",
    ],
    ["its port", proxy, { forwarded: 'for="203.0.113.7:_gate"' }, "203.0.113.7"],
    ["its quoted pairs", proxy, { forwarded: 'for="203\\.0.113.7";x="a,b;\\""' }, "203.0.113.7"],
    ["its obfuscation", proxy, { forwarded: "for=203.0.113.7, for=_hidden" }, proxy],
    ["its unknown", proxy, { forwarded: "for=unknown" }, proxy],
    ["no for at the end", proxy, { forwarded: "for=203.0.113.7, by=10.1.1.1" }, proxy],
    ["for twice", proxy, { forwarded: "for=1.1.1.1;for=203.0.113.7" }, proxy],
    ["an open quote in front", proxy, { forwarded: 'for=1.1.1.1;x=", for=203.0.113.7' }, proxy],
    [
      "an open quote before a quoted one",
      proxy,
      { forwarded: 'for=1.1.1.1;x=", for="[2001:db8::1]"' },
      proxy,
    ],
    ["a semicolon at the end", proxy, { forwarded: "for=1.1.1.1, for=203.0.113.7;" }, proxy],
    ["a comma at the end", proxy, { forwarded: "for=203.0.113.7," }, proxy],
    ["malformed", proxy, { forwarded: "203.0.113.7" }, proxy],
    ["empty", proxy, { forwarded: "" }, proxy],
    [
      "both that agree",
      proxy,
      { forwardedFor: "1.1.1.1, 203.0.113.7", forwarded: "for=203.0.113.7" },
      "203.0.113.7",
    ],
    [
      "both, Forwarded forged",
      proxy,
      { forwardedFor: "203.0.113.7", forwarded: "for=1.1.1.1" },
      proxy,
    ],
    [
      "both, X-Forwarded-For forged",
      proxy,
      { forwardedFor: "1.1.1.1", forwarded: "for=203.0.113.7" },
      proxy,
    ],
  ];
  for (const [says, socket, headers, address] of table)
    test(`${says}: ${JSON.stringify(headers)} from ${socket}`, () => {
      expect(seen(socket, headers).address).toBe(address);
    });

  test.each([
    ["a word beside it", { forwardedFor: "203.0.113.7", forwarded: "x" }],
    ["nothing beside it", { forwardedFor: "203.0.113.7", forwarded: "" }],
    ["another beside it", { forwardedFor: "203.0.113.7", forwarded: "for=1.1.1.1" }],
    ["none beside it", { forwardedFor: "203.0.113.7", forwarded: "for=_hidden" }],
    ["it beside another", { forwardedFor: "1.1.1.1", forwarded: "for=203.0.113.7" }],
    ["an open quote in front", { forwarded: 'for=1.1.1.1;x=", for=203.0.113.7' }],
    ["an open quote before a quoted one", { forwarded: 'for=1.1.1.1;x=", for="[2001:db8::1]"' }],
    ["it twice of one hop", { forwarded: "for=1.1.1.1;for=203.0.113.7" }],
    ["a separator at the end", { forwarded: "for=203.0.113.7;" }],
    ["no pair", { forwarded: "203.0.113.7" }],
  ])("A6 is ambiguous with %s, and no better one is made of it", (_, headers) => {
    expect(seen(proxy, headers).ambiguous).toBe(true);
    // From where no proxy is, headers are not looked at.
    expect(seen("203.0.113.7", headers)).toMatchObject({
      address: "203.0.113.7",
      ambiguous: false,
    });
  });

  test("A6 is either the one that the proxy wrote, or ambiguous, whatever a peer sends along", () => {
    const real = "203.0.113.7";
    const bit = fc.constantFrom(
      "for=",
      "1.1.1.1",
      "10.0.0.1",
      '"',
      "\\",
      ";",
      ",",
      " ",
      "x",
      "=",
      "[::1]",
    );
    const sent = fc.array(bit, { maxLength: 12 }).map((bits) => bits.join(""));
    const joined = (before: string, own: string) => (before === "" ? own : `${before}, ${own}`);
    fc.assert(
      fc.property(
        sent,
        sent,
        fc.constantFrom("x-forwarded-for", "forwarded"),
        (one, two, writes) => {
          const headers =
            writes === "forwarded"
              ? { forwarded: joined(one, `for=${real}`), ...(two !== "" && { forwardedFor: two }) }
              : { forwardedFor: joined(one, real), ...(two !== "" && { forwarded: two }) };
          const { address, ambiguous } = seen(proxy, headers);
          if (!ambiguous) expect(address).toBe(real);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("is unknown of a socket without one, whatever the headers say", () => {
    for (const socket of [undefined, "", "what", "/run/peer-stream.sock"])
      expect(seen(socket, { forwardedFor: "203.0.113.7" }).address).toBe("unknown");
  });

  test("an unannounced proxy is told by headers from where none is trusted", () => {
    const none = proxies("");
    expect(seen("10.0.0.1", { forwardedFor: "203.0.113.7" }, none).unannouncedProxy).toBe(true);
    expect(seen("10.0.0.1", { forwarded: "for=203.0.113.7" }, none).unannouncedProxy).toBe(true);
    expect(seen(undefined, { forwardedFor: "203.0.113.7" }, none).unannouncedProxy).toBe(true);
    expect(seen("10.0.0.1", {}, none).unannouncedProxy).toBe(false);
    expect(seen("10.0.0.1", { forwardedFor: "203.0.113.7" }).unannouncedProxy).toBe(false);
    expect(seen("203.0.113.7", { forwardedFor: "1.1.1.1" }).unannouncedProxy).toBe(true);
  });

  test("10,000 forged headers make one bucket", () => {
    const forged = (n: number) => `${n & 255}.${(n >> 8) & 255}.7.7`;
    const through = (socket: string, real: string) =>
      Array.from({ length: 10_000 }, (_, n) =>
        addressBucket(
          seen(socket, {
            forwardedFor: [forged(n), ...(n % 3 === 0 ? ["10.0.0.9"] : []), real].join(", "),
            ...(n % 2 === 0 && { forwarded: `for=${forged(n)}, for=${real}` }),
          }).address,
        ),
      );
    expect(new Set(through("203.0.113.7", "203.0.113.7"))).toEqual(new Set(["203.0.113.7"]));
    expect(new Set(through(proxy, "203.0.113.7"))).toEqual(new Set(["203.0.113.7"]));
  });

  test("whatever a peer writes in front of what a proxy adds, it is the proxy's word or its own address", () => {
    const bit = fc.oneof(
      fc.constantFrom(
        "for=",
        "1.1.1.1",
        '"',
        "\\",
        ",",
        ";",
        " ",
        "[",
        "]",
        ":",
        "by=",
        "10.0.0.1",
      ),
      fc.string({ maxLength: 5 }),
    );
    const forged = fc.array(bit, { maxLength: 20 }).map((bits) => bits.join(""));
    const added = fc.constantFrom(
      "for=203.0.113.7",
      'for="203.0.113.7:80"',
      'for=203.0.113.7;host="a";proto=http',
      'by="[2001:db8::5]";for=203.0.113.7',
    );
    fc.assert(
      fc.property(forged, added, (head, tail) => {
        expect(["203.0.113.7", proxy]).toContain(
          seen(proxy, { forwarded: `${head}, ${tail}` }).address,
        );
        expect(seen(proxy, { forwardedFor: `${head}, 203.0.113.7` }).address).toBe("203.0.113.7");
      }),
      { numRuns: 10_000 },
    );
  });

  test("a header as long as a server takes is read at once", () => {
    const start = performance.now();
    for (const header of [",", '"', "for=", "for=1.1.1.1,", "a=;", "\\", 'a="', " ", "1"]) {
      const long = header.repeat(16_384 / header.length);
      seen(proxy, { forwarded: long, forwardedFor: long });
      seen(proxy, { forwarded: `for="${long}`, forwardedFor: `[${long}` });
    }
    expect(performance.now() - start).toBeLessThan(500);
  });
});

describe("the bucket of an address", () => {
  for (const [bucket, ...addresses] of [
    ["203.0.113.7", "203.0.113.7", "::ffff:203.0.113.7", "::ffff:cb00:7107"],
    [
      "2001:db8:1:2::/64",
      "2001:db8:1:2::1",
      "2001:DB8:1:2:ffff:ffff:ffff:ffff",
      "2001:0db8:0001:0002::1",
      "2001:db8:1:2:0:0:203.0.113.7",
    ],
    ["2001:db8:1:3::/64", "2001:db8:1:3::1"],
    ["0:0:0:0::/64", "::", "::1", "::203.0.113.7"],
    ["fe80:0:0:0::/64", "fe80::1%eth0", "fe80::2%eth1", "fe80::"],
    ["1:0:0:0::/64", "1::", "1:0:0:0:2:3:4:5", "1::6:7:8"],
    ["unknown", "", "unknown", "what", "1.2.3", "01.2.3.4", "1:2", ":::", "[::1]", "é", "\0"],
  ] as const)
    test(`${bucket}: ${addresses.map((address) => JSON.stringify(address)).join(" ")}`, () => {
      for (const address of addresses) expect(addressBucket(address)).toBe(bucket);
    });

  test("is one for all addresses of a network, however they are written", () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        const { address: normal } = seen(address, {}, proxies(""));
        expect(addressBucket(normal)).toBe(addressBucket(address));
        expect(addressBucket(address.toUpperCase())).toBe(addressBucket(address));
        expect(seen(normal, {}, proxies("")).address).toBe(normal);
      }),
    );
  });
});

describe("a list of proxies", () => {
  test("may be empty", () => {
    expect(proxies("").includes("10.0.0.1")).toBe(false);
    expect(proxies(" , ").includes("unknown")).toBe(false);
  });

  for (const [range, first, last, outside] of [
    ["10.0.0.0/8", "10.0.0.0", "10.255.255.255", "11.0.0.0"],
    ["10.1.2.3/8", "10.0.0.0", "10.255.255.255", "11.0.0.0"],
    ["192.0.2.128/25", "192.0.2.128", "192.0.2.255", "192.0.2.127"],
    ["192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"],
    ["2001:db8::/33", "2001:db8::", "2001:db8:7fff::ffff", "2001:db8:8000::"],
    ["2001:db8::1", "2001:db8::1", "2001:DB8:0::1", "2001:db8::2"],
    ["::ffff:10.0.0.0/104", "10.0.0.0", "::ffff:10.255.255.255", "11.0.0.0"],
    ["::1", "::1", "0:0:0:0:0:0:0:1", "::2"],
  ] as const)
    test(`${range} holds ${first} to ${last} and not ${outside}`, () => {
      const list = proxies(range);
      expect([first, last, outside].map(list.includes)).toEqual([true, true, false]);
    });

  test("names everything that is wrong with it", () => {
    const neither = "is neither an address nor a range like 10.0.0.0/8 or 2001:db8::/32";
    const everybody =
      "includes all addresses: then any client could claim any address. Name your proxies' range";
    expect(
      parseProxyList("10.0.0.1, nginx, 10.0.0.0/33, ::1/129, 10.0.0/8, 1.2.3.4/, 0.0.0.0/0, ::/0"),
    ).toEqual({
      problems: [
        `"nginx" ${neither}`,
        '"10.0.0.0/33" must have a prefix of at most 32 bits',
        '"::1/129" must have a prefix of at most 128 bits',
        `"10.0.0/8" ${neither}`,
        `"1.2.3.4/" ${neither}`,
        `"0.0.0.0/0" ${everybody}`,
        `"::/0" ${everybody}`,
      ],
    });
    expect(parseProxyList("::ffff:0.0.0.0/96")).toEqual({
      problems: [`"::ffff:0.0.0.0/96" ${everybody}`],
    });
  });
});
