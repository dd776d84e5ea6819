/**
 * The key of the hashes that addresses are known by. Suspensions name addresses by these hashes, so it has to outlive
 * every session secret: it is random, and kept in Redis, encrypted under each secret in use. While a secret is rotated
 * (old; old, new; new, old; new) some node always knows one that it is kept under. Redis alone tells nobody an address.
 */
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import type { Node } from "./node.ts";

const algorithm = "aes-256-gcm";
const nonceBytes = 12;
const tagBytes = 16;
const keyBytes = 32;

export interface SharedAddressKeyOptions {
  node: Pick<Node, "command" | "keys">;
  newId: () => string;
}

/**
 * Answers the key that is kept for these secrets, and keeps it for those it was not kept for yet.
 * @param known this node's key from before, if it has one: Redis may have lost its data.
 * @param newId makes 128 unguessable bits in base64url.
 * @throws {RedisUnavailable}
 */
export async function sharedAddressKey(
  known: Buffer | undefined,
  secrets: readonly string[],
  { node, newId }: SharedAddressKeyOptions,
): Promise<Buffer> {
  const at = node.keys.addressKeys();
  const command = (...args: string[]) => node.command(...args);
  const newBytes = (count: number) =>
    Buffer.concat([newId(), newId()].map((id) => Buffer.from(id, "base64url"))).subarray(0, count);
  const encrypt = (given: Buffer, secret: string) =>
    encryptWith(newBytes(nonceBytes), given, secret);
  const names = secrets.map(nameOf);
  const read = async () => {
    const kept = (await command("HMGET", at, ...names)) as (string | null)[];
    const key = kept
      .map((text, index) => (text === null ? undefined : decrypt(text, secrets[index] ?? "")))
      .find((found) => found !== undefined);
    return { kept, key };
  };
  let { kept, key } = await read();
  if (!key) {
    const [first = ""] = secrets;
    await command("HSETNX", at, nameOf(first), encrypt(known ?? newBytes(keyBytes), first));
    // Another node may have been faster.
    ({ kept, key } = await read());
  }
  if (!key) {
    // What is kept under this secret's name was not encrypted with it: damaged, and of use to nobody.
    key = known ?? newBytes(keyBytes);
    await command("HSET", at, nameOf(secrets[0] ?? ""), encrypt(key, secrets[0] ?? ""));
  }
  for (const [index, secret] of secrets.entries())
    if (kept[index] === null) await command("HSETNX", at, nameOf(secret), encrypt(key, secret));
  return key;
}

const derived = (secret: string, purpose: string) =>
  createHmac("sha256", secret).update(`peer-stream address key: ${purpose}`).digest();

const nameOf = (secret: string) => derived(secret, "name").toString("base64url").slice(0, 11);

function encryptWith(nonce: Buffer, key: Buffer, secret: string): string {
  const cipher = createCipheriv(algorithm, derived(secret, "encryption"), nonce);
  const encrypted = Buffer.concat([cipher.update(key), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), encrypted]).toString("base64url");
}

function decrypt(text: string, secret: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64url");
  const [nonce, tag] = [
    bytes.subarray(0, nonceBytes),
    bytes.subarray(nonceBytes).subarray(0, tagBytes),
  ];
  try {
    const decipher = createDecipheriv(algorithm, derived(secret, "encryption"), nonce);
    decipher.setAuthTag(tag);
    const encrypted = bytes.subarray(nonceBytes + tagBytes);
    return Buffer.concat([decipher.update(encrypted), decipher.final()]);
  } catch {
    return undefined;
  }
}
