/**
 * Providers of TURN credentials: what a server asks of one, Cloudflare's and Twilio's, and the check of what one answers. Each request is
 * limited in time, and each answer in size; what comes of that is decided in signaling/provided-ice.ts.
 */
import { z } from "zod";
import { boundedText } from "./http/bounded-text.ts";
import {
  isStunUrl,
  isTurnUrl,
  type IceRequest,
  type IceProviderAnswer,
  type IceProvider,
} from "./ice.ts";
import type { IceServer } from "./protocol.ts";
import type { System } from "./system.ts";

/** A provider has answered with another status than it should. */
export class ProviderRefusal extends Error {
  readonly status: number;

  constructor(status: number, expected: string) {
    super(`the answer is ${status}, not ${expected}`);
    this.status = status;
  }
}

/** Bytes of an answer; those of Cloudflare and Twilio have less than 2000. */
const answerBytesMax = 65_536;

/** Posts, and reads the answer as JSON. @throws an error that names neither the address nor what was sent. */
async function post(url: string, init: RequestInit): Promise<unknown> {
  const response = await fetch(url, { ...init, method: "POST", redirect: "manual" });
  if (response.status !== 200 && response.status !== 201) {
    void response.body?.cancel();
    throw new ProviderRefusal(response.status, "201");
  }
  try {
    return JSON.parse(await boundedText(response, answerBytesMax)) as unknown;
  } catch (error) {
    throw error instanceof SyntaxError ? new Error("the answer is not JSON") : error;
  }
}

/**
 * Cloudflare Realtime TURN. Its credentials end a relayed call when they expire, so `turnTtlS` should be longer than calls are; at most 48
 * hours. Usage can be told by address: the name is the `customIdentifier`.
 *
 * POST /v1/turn/keys/{keyId}/credentials/generate-ice-servers with `{ ttl, customIdentifier }` → 201 `{ iceServers }`;
 * POST /v1/turn/keys/{keyId}/credentials/{username}/revoke → 204.
 * https://developers.cloudflare.com/realtime/turn/generate-credentials/ and …/turn/replacing-existing/
 *
 * @param keyId the id of a TURN key; `apiToken` that key's token. `url`: the origin of the interface.
 */
export function cloudflareTurn({
  keyId,
  apiToken,
  url = "https://rtc.live.cloudflare.com",
}: {
  keyId: string;
  apiToken: string;
  url?: string | undefined;
}): IceProvider {
  const at = `${new URL(url).origin}/v1/turn/keys/${encodeURIComponent(keyId)}/credentials`;
  const authorization = `Bearer ${apiToken}`;
  const provide = async ({ name, ttlS, signal }: IceRequest): Promise<IceProviderAnswer> => {
    const answer = await post(`${at}/generate-ice-servers`, {
      headers: { authorization, "content-type": "application/json" },
      body: JSON.stringify({ ttl: ttlS, customIdentifier: name }),
      signal,
    });
    const { iceServers } = cloudflareAnswer.parse(answer);
    // Browsers block port 53, and would wait for it.
    return iceServers.map(({ urls, ...server }) => ({
      ...server,
      urls: [urls].flat().filter((each) => !/:53(\?|$)/.test(each)),
    }));
  };
  async function revoke(username: string, signal: AbortSignal): Promise<void> {
    const response = await fetch(`${at}/${encodeURIComponent(username)}/revoke`, {
      method: "POST",
      headers: { authorization },
      redirect: "manual",
      signal,
    });
    void response.body?.cancel();
    if (!response.ok) throw new ProviderRefusal(response.status, "204");
  }
  return Object.assign(provide, { revoke });
}

/**
 * Twilio's Network Traversal Service. Its credentials are valid for 24 hours at most, and can't be revoked.
 *
 * POST /2010-04-01/Accounts/{accountSid}/Tokens.json with `Ttl` (seconds), by basic authentication → 201
 * `{ ttl: "86400", ice_servers: [{ urls, username, credential }] }`. https://www.twilio.com/docs/stun-turn/api
 *
 * @param url the origin of the interface, such as that of another region.
 */
export function twilioTurn({
  accountSid,
  authToken,
  url = "https://api.twilio.com",
}: {
  accountSid: string;
  authToken: string;
  url?: string | undefined;
}): IceProvider {
  const account = encodeURIComponent(accountSid);
  const at = `${new URL(url).origin}/2010-04-01/Accounts/${account}/Tokens.json`;
  const authorization = `Basic ${Buffer.from(`${accountSid}:${authToken}`).toString("base64")}`;
  return async ({ ttlS, signal }) => {
    const body = new URLSearchParams({ Ttl: String(ttlS) });
    const answer = await post(at, { headers: { authorization }, body, signal });
    const { ice_servers: iceServers, ttl } = twilioAnswer.parse(answer);
    return { iceServers, ttlS: Number(ttl) };
  };
}

const text = z.string().max(2048);
const serverShape = z.object({
  urls: z.union([text, z.array(text).max(32)], "must be a URL or a list of them"),
  username: text.optional(),
  credential: text.optional(),
});
const serversShape = z.array(serverShape).max(32);
const cloudflareAnswer = z.object({ iceServers: serversShape });
const twilioAnswer = z.object({
  ice_servers: serversShape,
  ttl: z.union([z.string(), z.number()]),
});

/** What is kept for each address, as JSON. */
const serversCharsMax = 8192;

const servers = z
  .array(
    serverShape.transform(({ urls, username, credential }, context): IceServer => {
      const list = [urls].flat();
      for (const url of list)
        if (!isStunUrl(url) && !isTurnUrl(url))
          context.addIssue({
            code: "custom",
            path: ["urls"],
            message: `${JSON.stringify(url.slice(0, 80))} is no URL that browsers take`,
          });
      if (list.some(isTurnUrl) && (!username || !credential))
        context.addIssue("a TURN server needs username and credential");
      if (username === undefined || credential === undefined) return { urls: list };
      return { urls: list, username, credential };
    }),
  )
  .max(32)
  .transform((list) => list.filter(({ urls }) => urls.length > 0))
  .refine((list) => JSON.stringify(list).length <= serversCharsMax, "is too large");

/** Shorter than what a call needs to begin. */
const ttlMinS = 60;

const iceAnswer = z.union([
  servers.transform((iceServers) => ({ iceServers, ttlS: undefined })),
  z.object({
    iceServers: servers,
    ttlS: z.number().min(ttlMinS, `the credentials expire within ${ttlMinS} s`),
  }),
]);

/** @throws an error that says what is wrong with an answer, and has no credentials in it. */
export function checkAnswer(
  answer: unknown,
  askedTtlS: number,
): { servers: IceServer[]; ttlS: number } {
  const schema = Array.isArray(answer) ? iceAnswer.options[0] : iceAnswer.options[1];
  const parsed = schema.safeParse(answer);
  if (parsed.success) {
    const { iceServers, ttlS = askedTtlS } = parsed.data;
    return { servers: iceServers, ttlS: Math.min(ttlS, askedTtlS) };
  }
  throw parsed.error;
}

/** What is wrong, in one line: of a schema's errors the first. */
export function faultOf(error: unknown): string {
  if (error instanceof z.ZodError) {
    const [{ path, message } = { path: [], message: "" }] = error.issues;
    return `the answer is not a list of ICE servers: ${[...path.map(String), message].join(": ")}`;
  }
  if (error instanceof Error) return error.message;
  // An object may have no text, and throw when it is asked for one.
  return typeof error === "string" ? error : `what was thrown is no Error but ${typeof error}`;
}

/** How long a provider may take for an answer (milliseconds). */
const answerMs = 2000;

/** Makes a request that is given up after 2 s. @throws also when it has not ended by then, whether or not it heeds the signal. */
export async function withinTime<T>(
  schedule: System["schedule"],
  request: (signal: AbortSignal) => T | Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const overdue = Promise.withResolvers<never>();
  const cancel = schedule(answerMs, () => {
    const error = new Error(`no answer within ${answerMs} ms`);
    overdue.reject(error);
    controller.abort(error);
  });
  try {
    return await Promise.race([request(controller.signal), overdue.promise]);
  } finally {
    cancel();
  }
}

export const providerNames = ["cloudflare", "twilio"] as const;

/** A provider as variables name it. */
export interface ProviderConfig {
  kind: (typeof providerNames)[number];
  /** Cloudflare: the id of the TURN key. Twilio: the account's SID. */
  id: string;
  token: string;
  url: string | undefined;
}

export function createProvider({ kind, id, token, url }: ProviderConfig): IceProvider {
  return kind === "cloudflare"
    ? cloudflareTurn({ keyId: id, apiToken: token, url })
    : twilioTurn({ accountSid: id, authToken: token, url });
}
