/**
 * Names of reports. An id is made of the room and its reporter, so that a repeated report has the same one on each node, and shows by
 * itself whose it is: nothing has to be kept of a report of which nothing is decided.
 */
import { createHmacSha256, type Hmac } from "../hmac.ts";

/** 128 bits, so that none can be guessed; then 96 bits that tell who may ask for it. */
const idChars = 22;
const ownerChars = 16;
export const caseIdPattern = new RegExp(`^[\\w-]{${idChars}}(?:[\\w-]{${ownerChars}})?$`);

/** A reporter: all sessions of an account are one. */
export interface CaseOwner {
  sessionId: string;
  account?: string | undefined;
}

export interface CaseIds {
  /** Of a reporter's report of a room. */
  of(owner: CaseOwner, roomId: string): string;
  /** Whether the id is that of a report of this reporter. */
  isOwn(owner: CaseOwner, caseId: string): boolean;
}

/** @param secrets the first makes ids, and all recognize them, so that they can be rotated. */
export function createCaseIds(secrets: readonly string[]): CaseIds {
  const [newest = createHmacSha256(""), ...others] = secrets.map((secret) =>
    createHmacSha256(secret),
  );
  return {
    of({ sessionId, account }, roomId) {
      const id = textOf(newest(JSON.stringify(["case", roomId, sessionId])), idChars);
      return id + ownerOf(newest, id, { sessionId, account });
    },
    isOwn(owner, caseId) {
      const [id, proof] = [caseId.slice(0, idChars), caseId.slice(idChars)];
      return (
        proof.length === ownerChars &&
        [newest, ...others].some((key) => proof === ownerOf(key, id, owner))
      );
    },
  };
}

function ownerOf(key: Hmac, id: string, { sessionId, account }: CaseOwner): string {
  const owner = account === undefined ? ["session", sessionId] : ["account", account];
  return textOf(key(JSON.stringify(["case of", id, ...owner])), ownerChars);
}

const textOf = (bytes: Buffer, chars: number) => bytes.toString("base64url").slice(0, chars);
