/**
 * Room proofs as their members have them: sealed by AES-256-GCM (NIST SP 800-38D) under a key derived from a secret of session tokens, so that
 * only a server with that secret can make or read one. Neither member learns anything of the other's session by it, and the two proofs of a
 * room have nothing in common that can be seen. The nonce is a MAC of the text, so no randomness is needed: the same text is sealed the
 * same way.
 */
import type { RoomProof } from "../domain/session.ts";
import { createCipheriv, createDecipheriv } from "node:crypto";
import { createHmacSha256, type Hmac } from "../hmac.ts";
import { limits, type Facts } from "../protocol.ts";

const cipher = "aes-256-gcm";
const nonceBytes = 12;
const tagBytes = 16;

export interface RoomProofs {
  /** Opaque, of at most `limits.proofCharsMax` characters; empty for a room that would need more. */
  seal(proof: RoomProof): string;
  /** `undefined` for a text that is forged, damaged, or sealed with another secret. Whether it has expired is the caller's to check. */
  open(sealed: string): RoomProof | undefined;
}

interface Keys {
  key: Buffer;
  nonce: Hmac;
}

/** @param secrets the first seals, all open, so that a secret can be rotated. */
export function createRoomProofs(secrets: readonly string[]): RoomProofs {
  const all = secrets.map((secret): Keys => {
    const derive = createHmacSha256(secret);
    return {
      key: derive("peer-stream: the key of room proofs"),
      nonce: createHmacSha256(derive("peer-stream: the nonces of room proofs")),
    };
  });
  const [sealing] = all;
  if (!sealing) throw new Error("at least one secret is needed");

  return {
    seal(proof) {
      const text = JSON.stringify(listOf(proof));
      const nonce = sealing.nonce(text).subarray(0, nonceBytes);
      const sealer = createCipheriv(cipher, sealing.key, nonce);
      const parts = [nonce, sealer.update(text, "utf8"), sealer.final(), sealer.getAuthTag()];
      const sealed = Buffer.concat(parts).toString("base64url");
      return sealed.length > limits.proofCharsMax ? "" : sealed;
    },
    open(sealed) {
      const bytes = Buffer.from(sealed, "base64url");
      if (bytes.length < nonceBytes + tagBytes) return undefined;
      for (const { key } of all) {
        const text = unseal(key, bytes);
        if (text !== undefined) return proofOf(JSON.parse(text) as SealedList);
      }
      return undefined;
    },
  };
}

function unseal(key: Buffer, bytes: Buffer): string | undefined {
  try {
    const opener = createDecipheriv(cipher, key, bytes.subarray(0, nonceBytes));
    opener.setAuthTag(bytes.subarray(-tagBytes));
    const sealed = bytes.subarray(nonceBytes, -tagBytes);
    return Buffer.concat([opener.update(sealed), opener.final()]).toString("utf8");
  } catch {
    // The tag does not fit: sealed with another key, or by nobody.
    return undefined;
  }
}

/** Shorter than with the names of the fields, as each member keeps it and the log of its events has it. */
type SealedList = [
  roomId: string,
  sessionId: string,
  partnerId: string,
  polite: boolean,
  since: number,
  until: number,
  lobby: string | null,
  sharedInterests: readonly string[],
  partnerFacts: Facts | null,
];

const listOf = (proof: RoomProof): SealedList => {
  const { roomId, sessionId, partnerId, polite, since, until } = proof;
  const { lobby = null, sharedInterests, partnerFacts = null } = proof;
  return [roomId, sessionId, partnerId, polite, since, until, lobby, sharedInterests, partnerFacts];
};

const proofOf = (list: SealedList): RoomProof => {
  const [roomId, sessionId, partnerId, polite, since, until, ...shown] = list;
  const [lobby, sharedInterests, partnerFacts] = shown;
  const optional = { ...(lobby !== null && { lobby }), ...(partnerFacts && { partnerFacts }) };
  return { roomId, sessionId, partnerId, polite, since, until, sharedInterests, ...optional };
};
