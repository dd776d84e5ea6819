import { describe, expect, test } from "bun:test";
import { configuredServersFor, relayAvailable, renewAfterMs } from "../../src/ice.ts";

const config = {
  stunUrls: ["stun:stun.example"],
  turnUrls: ["turn:turn.example", "turns:turn.example"],
  turnSecret: "north-wind-and-sun",
  turnTtlS: 300,
};

describe("ICE servers", () => {
  test("TURN credentials are coturn's: expiry and name, signed with HMAC-SHA1", () => {
    const [, turn] = configuredServersFor(config, 1_700_000_000_999, "an address");
    const username = turn?.username ?? "";
    expect(username).toMatch(/^1700000300:[\w-]{16}$/);
    const expected = new Bun.CryptoHasher("sha1", config.turnSecret)
      .update(username)
      .digest("base64");
    expect(turn?.credential).toBe(expected);
    expect(turn?.urls).toEqual(config.turnUrls);
  });

  test("A1 the name in TURN credentials is the address', at any time, and does not tell it", () => {
    const nameAt = (now: number, address: string) =>
      configuredServersFor(config, now, address)[1]?.username?.split(":")[1];
    expect(nameAt(0, "an address")).toBe(nameAt(1_000_000, "an address"));
    expect(nameAt(0, "an address")).not.toBe(nameAt(0, "another address"));
    expect(nameAt(0, "an address")).not.toContain("an address");
  });

  test("for one who is not paired there is no TURN, without TURN nothing to relay through", () => {
    expect(configuredServersFor(config, 0)).toEqual([{ urls: ["stun:stun.example"] }]);
    expect(relayAvailable(config)).toBe(true);
    expect(relayAvailable({ ...config, turnUrls: [] })).toBe(false);
    expect(
      configuredServersFor({ ...config, stunUrls: [], turnUrls: [] }, 0, "an address"),
    ).toEqual([]);
  });
});

test("credentials that are not in use are renewed before they expire", () => {
  const after = (changes: object) => renewAfterMs({ ...config, ...changes }, "an address");
  expect(after({ turnTtlS: 60 })).toBe(48_000);
  expect(after({ turnUrls: [] })).toBeUndefined();
  expect(after({ turnSecret: undefined })).toBeUndefined();
  // Those of a provider by what it has answered for this address.
  const provided = { validForMs: () => 10_000 };
  expect(after({ provided })).toBe(8000);
  expect(after({ provided: { validForMs: () => undefined } })).toBeUndefined();
});
