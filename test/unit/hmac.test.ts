import { expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { createHmacSha256 } from "../../src/hmac.ts";

test("the code is that of node:crypto, for each text anew, whatever the key", () => {
  const block = 64;
  const keys = ["", "secret", "\u00e4".repeat(block), "x".repeat(block), Buffer.from([0, 255, 1])];
  for (const key of keys) {
    const hmac = createHmacSha256(key);
    for (const text of ["", "network 192.0.2", "\u65e5\u672c", "x".repeat(1000), "network 192.0.2"])
      expect(hmac(text).toString("hex")).toBe(createHmac("sha256", key).update(text).digest("hex"));
  }
});
