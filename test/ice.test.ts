import { describe, expect, test } from "bun:test";
import { iceServersFor, relayAvailable } from "../src/ice.ts";

const config = {
  stunUrls: ["stun:stun.example"],
  turnUrls: ["turn:turn.example", "turns:turn.example"],
  turnSecret: "north-wind-and-sun",
  turnTtlS: 300,
};

describe("ICE servers", () => {
  test("TURN credentials are coturn's: expiry and name, signed with HMAC-SHA1", () => {
    const [, turn] = iceServersFor(config, 1_700_000_000_999, "room");
    expect(turn?.username).toBe("1700000300:room");
    const expected = new Bun.CryptoHasher("sha1", config.turnSecret)
      .update("1700000300:room")
      .digest("base64");
    expect(turn?.credential).toBe(expected);
    expect(turn?.urls).toEqual(config.turnUrls);
  });

  test("without a room there is no TURN, without TURN nothing to relay through", () => {
    expect(iceServersFor(config, 0)).toEqual([{ urls: ["stun:stun.example"] }]);
    expect(relayAvailable(config)).toBe(true);
    expect(relayAvailable({ ...config, turnUrls: [] })).toBe(false);
    expect(iceServersFor({ ...config, stunUrls: [], turnUrls: [] }, 0, "room")).toEqual([]);
  });
});
