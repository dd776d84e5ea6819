import type { RoomProof } from "../../../src/domain/session.ts";
import { describe, expect, test } from "bun:test";
import { limits } from "../../../src/protocol.ts";
import { createSessionTokens } from "../../../src/rpc/session-token.ts";
import { createRoomProofs } from "../../../src/signaling/room-proofs.ts";

const proof: RoomProof = {
  roomId: "the room",
  sessionId: "the session of Alice",
  partnerId: "the session of Bob",
  polite: true,
  lobby: "jazz",
  sharedInterests: ["jazz"],
  partnerFacts: { region: "eu" },
  since: 1_700_000_000_000,
  until: 1_700_000_060_000,
};
const proofs = createRoomProofs(["the first secret"]);

describe("room proofs", () => {
  test("are what was sealed, with and without what is optional", () => {
    expect(proofs.open(proofs.seal(proof))).toEqual(proof);
    const { lobby: _, partnerFacts: __, ...least } = proof;
    expect(proofs.open(proofs.seal(least))).toEqual(least);
  });

  test("show nothing of the sessions, and have nothing in common with the partner's", () => {
    const sealed = proofs.seal(proof);
    const { sessionId, partnerId } = proof;
    const others = proofs.seal({
      ...proof,
      sessionId: partnerId,
      partnerId: sessionId,
      polite: false,
    });
    const bytes = (text: string) => Buffer.from(text, "base64url").toString("latin1");
    for (const word of [sessionId, partnerId, proof.roomId, "jazz"])
      expect(bytes(sealed)).not.toContain(word);
    // Two texts that begin alike are sealed under different nonces, and so differ from the first byte on.
    expect(sealed.slice(0, 16)).not.toBe(others.slice(0, 16));
    expect(bytes(sealed).slice(12, 28)).not.toBe(bytes(others).slice(12, 28));
  });

  test("changed in any byte, cut, or extended, are worth nothing", () => {
    const bytes = Buffer.from(proofs.seal(proof), "base64url");
    for (let index = 0; index < bytes.length; index++) {
      const forged = Buffer.from(bytes);
      forged[index] = (forged[index] ?? 0) ^ 1;
      expect(proofs.open(forged.toString("base64url"))).toBeUndefined();
      expect(proofs.open(bytes.subarray(0, index).toString("base64url"))).toBeUndefined();
    }
    expect(proofs.open(Buffer.concat([bytes, Buffer.of(0)]).toString("base64url"))).toBeUndefined();
    for (const nonsense of ["", "A", "not a proof", "\0", "a".repeat(limits.proofCharsMax)])
      expect(proofs.open(nonsense)).toBeUndefined();
  });

  test("of another secret are worth nothing, of a former one as much as before", () => {
    const sealed = proofs.seal(proof);
    expect(createRoomProofs(["another secret"]).open(sealed)).toBeUndefined();
    const rotated = createRoomProofs(["the second secret", "the first secret"]);
    expect(rotated.open(sealed)).toEqual(proof);
    expect(proofs.open(rotated.seal(proof))).toBeUndefined();
  });

  test("are no session tokens, and those are no proofs", () => {
    const tokens = createSessionTokens(["the first secret"]);
    expect(tokens.verify(proofs.seal(proof), 0)).toBeUndefined();
    const token = tokens.sign({ sessionId: "s".repeat(22), generation: 1 }, 0);
    expect(proofs.open(token)).toBeUndefined();
  });

  test("that would be too long to be presented are not made", () => {
    const sharedInterests = ["x".repeat(limits.proofCharsMax)];
    expect(proofs.seal({ ...proof, sharedInterests })).toBe("");
  });
});
