/** The variables about STUN and TURN → which servers peers are given, and who gives the credentials for them. */
import { z } from "zod";
import { confidential, flag, integer, list, oneOf, secret, shown } from "./config-values.ts";
import { isStunUrl, isTurnUrl, type IceConfig } from "./ice.ts";
import { providerNames, type ProviderConfig } from "./turn-providers.ts";

const iceUrls = (isUrl: (text: string) => boolean, form: string) =>
  list.pipe(
    z.array(
      z.string().refine(isUrl, {
        error: ({ input }) =>
          `${shown(String(input))} is not a URL like ${form}, which is all that browsers take`,
      }),
    ),
  );

/** What leaves this machine has to be encrypted: the token is sent there. */
function isProviderUrl(text: string): boolean {
  const url = URL.parse(text);
  if (!url || url.username !== "" || url.pathname !== "/" || url.search !== "") return false;
  const isLocal = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  return url.protocol === "https:" || (url.protocol === "http:" && isLocal);
}

/** Seconds. coturn looks at it for new allocations only; a provider may end a call whose credentials have expired. */
export const ttlDefaultS = { configured: 300, provided: 14_400 };

export const iceVariables = {
  STUN_URLS: iceUrls(isStunUrl, "stun:host:3478 (no slashes, no query)").default([
    "stun:stun.l.google.com:19302",
  ]),
  TURN_URLS: iceUrls(
    isTurnUrl,
    "turn:host:3478?transport=udp (no slashes; transport=udp, transport=tcp or nothing)",
  ).default([]),
  TURN_SECRET: confidential(list.pipe(z.array(secret("each secret")).min(1)).optional()),
  TURN_PROVIDER: oneOf(providerNames).optional(),
  TURN_PROVIDER_ID: z
    .string()
    .regex(/^[\w-]{1,128}$/, "must be an id of letters and digits")
    .optional(),
  TURN_PROVIDER_TOKEN: confidential(
    z
      .string()
      .regex(/^[\x21-\x7e]{1,1024}$/, "must be a token of printable characters, without spaces")
      .optional(),
  ),
  TURN_PROVIDER_URL: z
    .string()
    .refine(
      isProviderUrl,
      "must be a URL that begins with https:// (http:// for localhost only), without a path",
    )
    .optional(),
  TURN_TTL_S: integer(60, 86_400).optional(),
  FORCE_RELAY: flag.default(false),
};

type Environment = z.output<z.ZodObject<typeof iceVariables>>;

/** What does not fit together: variable and problem. */
export function iceProblems(env: Environment): [variable: string, problem: string][] {
  const problems: [string, string][] = [];
  if (env.TURN_URLS.length > 0 && env.TURN_SECRET === undefined)
    problems.push(["TURN_SECRET", "is needed with TURN_URLS"]);
  const { TURN_PROVIDER: provider } = env;
  if (env.TURN_SECRET !== undefined && env.TURN_URLS.length === 0)
    problems.push(["TURN_SECRET", "has no use without TURN_URLS: name the servers that know it"]);
  if (provider !== undefined && env.TURN_URLS.length > 0)
    problems.push(["TURN_PROVIDER", "and TURN_URLS exclude each other: set one of them"]);
  for (const name of ["TURN_PROVIDER_ID", "TURN_PROVIDER_TOKEN"] as const)
    if (provider !== undefined && env[name] === undefined)
      problems.push([name, "is needed with TURN_PROVIDER"]);
  for (const name of ["TURN_PROVIDER_ID", "TURN_PROVIDER_TOKEN", "TURN_PROVIDER_URL"] as const)
    if (provider === undefined && env[name] !== undefined)
      problems.push([name, "has no use without TURN_PROVIDER"]);
  if (env.FORCE_RELAY && env.TURN_URLS.length === 0 && provider === undefined)
    problems.push([
      "TURN_URLS",
      "or TURN_PROVIDER is needed with FORCE_RELAY: without TURN no call could connect",
    ]);
  return problems;
}

export function readIceConfig(env: Environment): {
  ice: IceConfig;
  /** Who is asked for TURN credentials; `undefined`: nobody. */
  turnProvider: ProviderConfig | undefined;
  forceRelay: boolean;
} {
  const { TURN_PROVIDER: kind, TURN_PROVIDER_ID: id, TURN_PROVIDER_TOKEN: token } = env;
  const turnProvider =
    kind === undefined || id === undefined || token === undefined
      ? undefined
      : { kind, id, token, url: env.TURN_PROVIDER_URL };
  return {
    ice: {
      stunUrls: env.STUN_URLS,
      turnUrls: env.TURN_URLS,
      // The first signs credentials; the others are accepted by a TURN server while the secret is rotated.
      turnSecret: env.TURN_SECRET?.[0],
      turnTtlS: env.TURN_TTL_S ?? ttlDefaultS[turnProvider ? "provided" : "configured"],
    },
    turnProvider,
    forceRelay: env.FORCE_RELAY,
  };
}
