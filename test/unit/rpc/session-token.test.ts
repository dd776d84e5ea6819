import { describe, expect, test } from "bun:test";
import { createSessionTokens, tokenTtlMs } from "../../../src/rpc/session-token.ts";
import { createSystem } from "../../../src/system.ts";

const now = 1_700_000_000_000;
const identity = { sessionId: createSystem().id(), generation: 41 };
const tokens = createSessionTokens(["the first secret"]);
const token = tokens.sign(identity, now);

describe("session tokens", () => {
  test("name their session and generation until they expire", () => {
    expect(tokens.verify(token, now)).toEqual(identity);
    expect(tokens.verify(token, now + tokenTtlMs - 1)).toEqual(identity);
    expect(tokens.verify(token, now + tokenTtlMs)).toBeUndefined();
  });

  test("changed in any character they name nobody", () => {
    for (let index = 0; index < token.length; index++) {
      const changed = token[index] === "A" ? "B" : "A";
      const forged = token.slice(0, index) + changed + token.slice(index + 1);
      // The last character of base64url carries unused bits; those can't forge anything.
      if (index === token.length - 1) continue;
      expect(tokens.verify(forged, now)).toBeUndefined();
    }
  });

  test("of another secret, or no tokens at all, name nobody", () => {
    expect(createSessionTokens(["another secret"]).verify(token, now)).toBeUndefined();
    for (const nonsense of ["", ".", "a.b.c.d", token.slice(1), `${token}x`, "x".repeat(10_000)])
      expect(tokens.verify(nonsense, now)).toBeUndefined();
  });

  test("that are refused are told with the cause", () => {
    const causes: string[] = [];
    const tell = (because: string) => void causes.push(because);
    const telling = createSessionTokens(["the first secret"], tell);
    telling.verify(token, now);
    telling.verify(token, now + tokenTtlMs);
    telling.verify(token, now, "somebody");
    createSessionTokens(["another secret"], tell).verify(token, now);
    telling.verify("nonsense", now);
    expect(causes).toEqual(["expired", "signature", "signature", "malformed"]);
  });

  test("outlive the rotation of the secret that signed them", () => {
    const rotated = createSessionTokens(["a new secret", "the first secret"]);
    expect(rotated.verify(token, now)).toEqual(identity);
    expect(tokens.verify(rotated.sign(identity, now), now)).toBeUndefined();
  });

  test("session ids have 128 random bits", () => {
    const ids = Array.from({ length: 1000 }, () => createSystem().id());
    expect(new Set(ids).size).toBe(1000);
    for (const id of ids) expect(Buffer.from(id, "base64url")).toHaveLength(16);
  });
});
