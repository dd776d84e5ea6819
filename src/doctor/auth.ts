/** Checks the verification of tokens (JWT): whether its keys can be had, and whose tokens are accepted. */
import { fetchKeys } from "../app/jwks.ts";
import type { AuthConfig } from "../auth-config.ts";
import type { System } from "../system.ts";
import { fail, messageOf, ok, warn, type Finding } from "./finding.ts";

/** Whether the key set can be fetched and has usable keys, and whether tokens that its issuer signs for others are refused. */
export async function checkAuth(
  auth: AuthConfig | undefined,
  { schedule }: Pick<System, "schedule">,
): Promise<Finding[]> {
  if (!auth || !("jwksUrl" in auth.key)) return [];
  const findings: Finding[] = [];
  try {
    const keys = await fetchKeys(auth.key.jwksUrl, schedule);
    const kinds = [...new Set(keys.map(({ alg, kty }) => alg ?? kty))].join(", ");
    findings.push(ok(`AUTH_JWKS_URL has usable keys: ${keys.length} (${kinds})`));
  } catch (error) {
    findings.push(
      fail(
        `AUTH_JWKS_URL gives no keys: ${messageOf(error)}`,
        "set it to the jwks_uri of the issuer's /.well-known/openid-configuration, and check that it can be reached from here",
      ),
    );
  }
  if (auth.issuer === undefined)
    findings.push(
      warn(
        "AUTH_ISSUER is not set: tokens of any issuer that uses these keys are accepted",
        "set it to the `iss` of your tokens",
      ),
    );
  if (!auth.audience)
    findings.push(
      warn(
        "AUTH_AUDIENCE is not set: tokens that the issuer signs for other apps are accepted",
        "set it to the `aud` of your tokens",
      ),
    );
  return findings;
}
