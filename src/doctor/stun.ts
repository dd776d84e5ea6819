/**
 * The part of STUN (RFC 8489) and TURN (RFC 8656) that asks a server for one's own address, and for a relayed one with
 * long-term credentials.
 */
import { createHash, createHmac } from "node:crypto";
import type { Wire } from "./wire.ts";

const COOKIE = 0x2112a442;
const HEADER_BYTES = 20;

const methods = { binding: 0x001, allocate: 0x003, refresh: 0x004 } as const;

const attributes = {
  username: 0x0006,
  messageIntegrity: 0x0008,
  errorCode: 0x0009,
  lifetime: 0x000d,
  xorRelayedAddress: 0x0016,
  realm: 0x0014,
  nonce: 0x0015,
  requestedTransport: 0x0019,
  xorMappedAddress: 0x0020,
} as const;

type Attribute = [type: number, value: Buffer];

/** A server's response. */
interface Answer {
  ok: boolean;
  errorCode?: number;
  attributes: Map<number, Buffer>;
}

/** TURN credentials as a browser is given them. */
export interface Credentials {
  username: string;
  credential: string;
}

export type Allocation =
  | { ok: true; relayed: string }
  /** STUN's error code (RFC 8489, 14.8), such as 401 for credentials that do not fit. */
  | { ok: false; errorCode: number };

/** This machine's address as the server sees it. `newId` makes unguessable ids. */
export async function askForAddress(wire: Wire, newId: () => string): Promise<string | undefined> {
  const answer = await ask(wire, newId, methods.binding, []);
  return addressIn(answer.attributes.get(attributes.xorMappedAddress));
}

/** Requests a relayed address, and releases it again. */
export async function allocate(
  wire: Wire,
  newId: () => string,
  { username, credential }: Credentials,
): Promise<Allocation> {
  // 17 is UDP's protocol number, in the first of four bytes.
  const wish: Attribute[] = [[attributes.requestedTransport, Buffer.from([17, 0, 0, 0])]];
  const challenge = await ask(wire, newId, methods.allocate, wish);
  const realm = challenge.attributes.get(attributes.realm);
  const nonce = challenge.attributes.get(attributes.nonce);
  if (challenge.errorCode !== 401 || !realm || !nonce)
    return { ok: false, errorCode: challenge.errorCode ?? 0 };

  const signed: Attribute[] = [
    [attributes.username, Buffer.from(username)],
    [attributes.realm, realm],
    [attributes.nonce, nonce],
  ];
  const key = createHash("md5").update(`${username}:${realm.toString()}:${credential}`).digest();
  const answer = await ask(wire, newId, methods.allocate, [...wish, ...signed], key);
  const relayed = addressIn(answer.attributes.get(attributes.xorRelayedAddress));
  if (!answer.ok || !relayed) return { ok: false, errorCode: answer.errorCode ?? 0 };
  const noMore: Attribute = [attributes.lifetime, Buffer.alloc(4)];
  await ask(wire, newId, methods.refresh, [noMore, ...signed], key);
  return { ok: true, relayed };
}

async function ask(
  wire: Wire,
  newId: () => string,
  method: number,
  asked: Attribute[],
  key?: Buffer,
): Promise<Answer> {
  const transaction = Buffer.from(newId(), "base64url").subarray(0, 12);
  const question = encode(method, transaction, asked, key);
  return decode(await wire.ask(question, (answer) => isWhole(answer, transaction)));
}

function encode(method: number, transaction: Buffer, asked: Attribute[], key?: Buffer): Buffer {
  const body = Buffer.concat(asked.map(encodeAttribute));
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(method, 0);
  header.writeUInt32BE(COOKIE, 4);
  transaction.copy(header, 8);
  if (!key) {
    header.writeUInt16BE(body.length, 2);
    return Buffer.concat([header, body]);
  }
  // The length covers the integrity attribute itself, 24 bytes (RFC 8489, 14.5).
  header.writeUInt16BE(body.length + 24, 2);
  const integrity = createHmac("sha1", key).update(header).update(body).digest();
  return Buffer.concat([header, body, encodeAttribute([attributes.messageIntegrity, integrity])]);
}

function encodeAttribute([type, value]: Attribute): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value, Buffer.alloc(-value.length & 3)]);
}

function isWhole(message: Buffer, transaction: Buffer): boolean {
  if (message.length < HEADER_BYTES) return false;
  if (message.length < HEADER_BYTES + message.readUInt16BE(2)) return false;
  return message.subarray(8, HEADER_BYTES).equals(transaction);
}

function decode(message: Buffer): Answer {
  const found = new Map<number, Buffer>();
  const end = HEADER_BYTES + message.readUInt16BE(2);
  for (let at = HEADER_BYTES; at + 4 <= end;) {
    const length = message.readUInt16BE(at + 2);
    found.set(message.readUInt16BE(at), message.subarray(at + 4, at + 4 + length));
    at += 4 + length + (-length & 3);
  }
  const error = found.get(attributes.errorCode);
  return {
    // The two bits of the class: 10 is success, 11 an error (RFC 8489, 5).
    ok: (message.readUInt16BE(0) & 0x0110) === 0x0100,
    ...(error && error.length >= 4 && { errorCode: (error[2] ?? 0) * 100 + (error[3] ?? 0) }),
    attributes: found,
  };
}

/** XOR-MAPPED-ADDRESS (RFC 8489, 14.2) of IPv4; for IPv6 only a note that it is one. */
function addressIn(value: Buffer | undefined): string | undefined {
  if (!value || value.length < 8) return undefined;
  const port = value.readUInt16BE(2) ^ (COOKIE >>> 16);
  if (value[1] !== 1) return `an IPv6 address, port ${port}`;
  const bits = (value.readUInt32BE(4) ^ COOKIE) >>> 0;
  return `${[24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join(".")}:${port}`;
}
