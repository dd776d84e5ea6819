/** The variables about accounts → which tokens (JWT) are accepted, and what is read from them. */
import { z } from "zod";
import { confidential, flag, list, secret } from "./config-values.ts";

export interface AuthConfig {
  /**
   * What the signatures of tokens are verified by: secrets that are shared with who issues them, any of which may have signed; or
   * the URL of the issuer's key set (RFC 7517, 5).
   */
  readonly key: { readonly secrets: readonly string[] } | { readonly jwksUrl: string };
  /** What `iss` must be; `undefined`: it is not looked at. */
  readonly issuer: string | undefined;
  /** One of these must be in `aud`; `undefined`: it is not looked at. */
  readonly audience: readonly string[] | undefined;
  /** The names of the claims that account, lobby and facts are read from; without a name nothing is. */
  readonly claims: {
    readonly account: string;
    readonly lobby: string | undefined;
    readonly facts: string | undefined;
  };
  /** The cookie that the token is in if the page does not pass one. */
  readonly cookie: string | undefined;
  /** Whether peers without a token are refused. */
  readonly required: boolean;
}

/** The least length of a key for HS256 (RFC 7518, 3.2), in bytes. */
const secretBytesMin = 32;

/** What leaves this machine has to be encrypted: whoever can change the key set can be anybody. */
function isJwksUrl(text: string): boolean {
  const url = URL.parse(text);
  if (!url || url.username !== "" || url.password !== "") return false;
  const isLocal = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  return url.protocol === "https:" || (url.protocol === "http:" && isLocal);
}

export const authVariables = {
  AUTH_JWT_SECRET: confidential(
    list.pipe(z.array(secret("each secret", secretBytesMin)).min(1)).optional(),
  ),
  AUTH_JWKS_URL: z
    .string()
    .refine(
      isJwksUrl,
      "must be a URL that begins with https:// (http:// for localhost only), without a user name in it",
    )
    .optional(),
  AUTH_ISSUER: z.string().optional(),
  AUTH_AUDIENCE: list.pipe(z.array(z.string()).min(1, "must name an audience")).optional(),
  AUTH_ACCOUNT_CLAIM: z.string().default("sub"),
  AUTH_LOBBY_CLAIM: z.string().optional(),
  AUTH_FACTS_CLAIM: z.string().optional(),
  // RFC 6265, 4.1.1.
  AUTH_COOKIE: z
    .string()
    .regex(/^[\w!#$%&'*+.^`|~-]+$/, "must be the name of a cookie")
    .optional(),
  AUTH_REQUIRED: flag.default(false),
};

type Environment = z.output<z.ZodObject<typeof authVariables>>;

/** What does not fit together: variable and problem. */
export function authProblems(env: Environment): [variable: string, problem: string][] {
  if (env.AUTH_JWT_SECRET && env.AUTH_JWKS_URL !== undefined)
    return [["AUTH_JWKS_URL", "and AUTH_JWT_SECRET exclude each other: set one of them"]];
  if (env.AUTH_JWT_SECRET || env.AUTH_JWKS_URL !== undefined) return [];
  // Whoever sets these believes that tokens are checked.
  const needing = (
    [
      "AUTH_REQUIRED",
      "AUTH_ISSUER",
      "AUTH_AUDIENCE",
      "AUTH_LOBBY_CLAIM",
      "AUTH_FACTS_CLAIM",
      "AUTH_COOKIE",
    ] as const
  ).filter((name) => env[name] !== undefined && env[name] !== false);
  return needing.length === 0
    ? []
    : [["AUTH_JWKS_URL", `or AUTH_JWT_SECRET is needed with ${needing.join(", ")}`]];
}

export function readAuthConfig(env: Environment): AuthConfig | undefined {
  const { AUTH_JWT_SECRET: secrets, AUTH_JWKS_URL: jwksUrl } = env;
  const key = secrets ? { secrets } : jwksUrl === undefined ? undefined : { jwksUrl };
  if (!key) return undefined;
  return {
    key,
    issuer: env.AUTH_ISSUER,
    audience: env.AUTH_AUDIENCE,
    claims: {
      account: env.AUTH_ACCOUNT_CLAIM,
      lobby: env.AUTH_LOBBY_CLAIM,
      facts: env.AUTH_FACTS_CLAIM,
    },
    cookie: env.AUTH_COOKIE,
    required: env.AUTH_REQUIRED,
  };
}
