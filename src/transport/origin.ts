/**
 * Which pages may talk to this server. A WebSocket is not held back by CORS (RFC 6455, 10.2), so the upgrade
 * is checked against the same list as every other call.
 */
export interface OriginPolicy {
  /** Exact origins: scheme, host and port, as browsers send them. */
  allowed: readonly string[];
  /** Whether those that send no Origin (not browsers) are let in. */
  allowNone: boolean;
}

/** @param origin the `Origin` header; `null` when there is none. @param host the `Host` header. */
export function originAllowed(
  policy: OriginPolicy,
  origin: string | null,
  host: string | null,
): boolean {
  if (origin === null) return policy.allowNone;
  if (policy.allowed.includes(origin)) return true;
  if (!host) return false;
  return origin === `http://${host}` || origin === `https://${host}`;
}
