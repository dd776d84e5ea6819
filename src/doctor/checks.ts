/** The checks of an installation. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import type { Config } from "../config.ts";
import { configuredServersFor, isTurnUrl, type IceProvider } from "../ice.ts";
import type { System } from "../system.ts";
import {
  checkAnswer,
  createProvider,
  faultOf,
  ProviderRefusal,
  withinTime,
  type ProviderConfig,
} from "../turn-providers.ts";
import { fail, messageOf, ok, warn, type Finding } from "./finding.ts";
import { allocate, askForAddress } from "./stun.ts";
import { openWire, type Address } from "./wire.ts";

/** Bits of entropy below which a secret can be guessed. */
const SECRET_BITS_MIN = 100;
const makeOne = "make one with: openssl rand -base64 32";

type Secrets = Pick<
  Config,
  "sessionSecrets" | "metricsToken" | "adminToken" | "webhook" | "events" | "auth"
> & {
  ice: Pick<Config["ice"], "turnSecret">;
};

/** Whether the secrets are set, and hard to guess. */
export function checkSecrets(config: Secrets): Finding[] {
  const { sessionSecrets } = config;
  const missing = "SESSION_SECRET is not set: each restart ends every session";
  // In production the configuration is refused without it.
  const findings = sessionSecrets ? [] : [warn(missing, `set SESSION_SECRET; ${makeOne}`)];
  const named: [string, string | undefined][] = [
    ...(sessionSecrets ?? []).map((secret): [string, string] => ["SESSION_SECRET", secret]),
    ["TURN_SECRET", config.ice.turnSecret],
    ["METRICS_TOKEN", config.metricsToken],
    ["ADMIN_TOKEN", config.adminToken],
    ["MODERATION_SECRET", config.webhook?.secret],
    ["EVENTS_SECRET", config.events?.secret],
    ...(config.auth && "secrets" in config.auth.key ? config.auth.key.secrets : []).map(
      (secret): [string, string] => ["AUTH_JWT_SECRET", secret],
    ),
  ];
  for (const [name, secret] of named) {
    if (secret === undefined) continue;
    const bits = Math.floor(bitsOf(secret));
    findings.push(
      bits < SECRET_BITS_MIN
        ? fail(`${name} looks like ${bits} bits of chance, which can be guessed`, makeOne)
        : ok(`${name} is hard to guess`),
    );
  }
  return findings;
}

/** An upper bound of a secret's entropy (Shannon): that of its characters' frequencies, times its length. */
function bitsOf(secret: string): number {
  const counts = new Map<string, number>();
  for (const character of secret) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= count * Math.log2(count / secret.length);
  return bits;
}

/** Whether the pages that may connect are the intended ones. */
export function checkOrigins({
  production,
  origins,
}: Pick<Config, "production" | "origins">): Finding[] {
  if (!production)
    return [
      warn(
        "NODE_ENV is not production: clients without an Origin may connect, and the page is bundled at each load",
        "set NODE_ENV=production where strangers come",
      ),
    ];
  const findings: Finding[] = [];
  if (origins.allowNone)
    findings.push(warn("clients without an Origin may connect", "set ALLOW_NO_ORIGIN=false"));
  for (const origin of origins.allowed) {
    const { protocol, hostname } = new URL(origin);
    if (!/^https?:$/.test(protocol)) findings.push(ok(`apps of ${origin} may connect`));
    else if (hostname === "localhost" || hostname === "127.0.0.1")
      findings.push(warn(`CORS_ORIGIN lets in ${origin}`, "set CORS_ORIGIN to your site's origin"));
    else if (protocol !== "https:")
      findings.push(
        fail(
          `CORS_ORIGIN lets in ${origin}, which has no TLS: no browser gives it a camera`,
          "serve the site over https:",
        ),
      );
    else findings.push(ok(`pages of ${origin} may connect`));
  }
  return findings;
}

/**
 * Whether the certificate and its key can be read, match each other and the page's own address, and are valid now.
 * @param now in epoch milliseconds.
 */
export function checkCertificate(
  { tls, publicUrl }: Pick<Config, "tls" | "publicUrl">,
  now: number,
): Finding[] {
  if (!tls) return [];
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(readFileSync(tls.cert));
  } catch (error) {
    return [fail(`TLS_CERT can't be read: ${messageOf(error)}`, "name a PEM file")];
  }
  try {
    const key = createPrivateKey(readFileSync(tls.key));
    if (!certificate.checkPrivateKey(key))
      return [
        fail("the key of TLS_KEY is not that of the certificate of TLS_CERT", "name the pair"),
      ];
  } catch (error) {
    return [
      fail(`TLS_KEY can't be read: ${messageOf(error)}`, "name a PEM file without a passphrase"),
    ];
  }
  if (Date.parse(certificate.validFrom) > now)
    return [
      fail(
        `the certificate of TLS_CERT begins on ${certificate.validFrom}`,
        "wait, or check this machine's clock",
      ),
    ];
  const days = Math.floor((Date.parse(certificate.validTo) - now) / 86_400_000);
  if (days < 0)
    return [fail(`the certificate of TLS_CERT ended on ${certificate.validTo}`, "renew it")];
  const findings: Finding[] = [];
  if (publicUrl !== undefined) {
    const name = new URL(publicUrl).hostname.replace(/^\[(.*)\]$/, "$1");
    if (!(isIP(name) ? certificate.checkIP(name) : certificate.checkHost(name)))
      findings.push(
        fail(
          `the certificate of TLS_CERT is not for ${name}`,
          "get one for the name of PUBLIC_URL",
        ),
      );
  }
  if (certificate.checkIssued(certificate))
    findings.push(
      warn(
        "the certificate of TLS_CERT is self-signed: browsers warn of it",
        "get one that they trust",
      ),
    );
  if (days < 14)
    findings.push(warn(`the certificate of TLS_CERT ends in ${days} days`, "renew it"));
  if (findings.length > 0) return findings;
  return [ok(`the certificate of TLS_CERT is good for ${days} days`)];
}

/** Whether each STUN server answers. */
export function checkStun(config: Config, system: System): Promise<Finding[]> {
  return Promise.all(
    config.ice.stunUrls.map(async (url) => {
      const wire = openWire(addressOf(url), system);
      try {
        const address = await askForAddress(wire, system.id);
        return ok(`${url} answers, and sees this machine at ${address}`);
      } catch (error) {
        return fail(
          `${url} does not answer: ${messageOf(error)}`,
          "check STUN_URLS, and that UDP gets out of here and into there",
        );
      } finally {
        wire.close();
      }
    }),
  );
}

/** Whether each TURN server gives a relayed address for the credentials that peers get. */
export async function checkTurn(config: Config, system: System): Promise<Finding[]> {
  const { ice, turnProvider } = config;
  if (turnProvider) return checkProvider(turnProvider, config, system);
  if (ice.turnUrls.length === 0)
    return [
      warn(
        "there is no TURN server: peers behind strict firewalls can't connect, and nobody can hide an address",
        "set TURN_URLS and TURN_SECRET, for which the README has a coturn configuration, or TURN_PROVIDER",
      ),
    ];
  const server = configuredServersFor(ice, system.now(), "doctor").find(({ username }) => username);
  const { username = "", credential = "" } = server ?? {};
  const cures = {
    refused:
      "give TURN_SECRET and coturn's static-auth-secret the same value, set use-auth-secret, and check both clocks",
    silent: "check TURN_URLS, that it runs, and that its firewall lets this port in",
  };
  return Promise.all(
    ice.turnUrls.map((url) =>
      checkRelay(url, { username, credential }, cures, config.production, system),
    ),
  );
}

/** Whether a TURN server gives a relayed address for these credentials. */
async function checkRelay(
  url: string,
  credentials: { username: string; credential: string },
  cures: { refused: string; silent: string },
  production: boolean,
  system: System,
): Promise<Finding> {
  const wire = openWire(addressOf(url), system);
  try {
    const allocation = await allocate(wire, system.id, credentials);
    if (allocation.ok) return relayFinding(url, allocation.relayed, production);
    const { errorCode } = allocation;
    return errorCode === 401 || errorCode === 441
      ? fail(`${url} refuses the credentials (${errorCode})`, cures.refused)
      : fail(`${url} gives no relayed address (error ${errorCode})`, "see its log");
  } catch (error) {
    return fail(`${url} does not answer: ${messageOf(error)}`, cures.silent);
  } finally {
    wire.close();
  }
}

/** Whether the provider gives credentials, by which each of its TURN servers gives a relayed address; then they are revoked. */
async function checkProvider(
  provider: ProviderConfig,
  { ice, production }: Config,
  system: System,
): Promise<Finding[]> {
  const provide = createProvider(provider);
  const name = `TURN_PROVIDER (${provider.kind})`;
  try {
    const answer = await withinTime(system.schedule, (signal) =>
      provide({ name: "doctor", ttlS: ice.turnTtlS, signal }),
    );
    const { servers, ttlS } = checkAnswer(answer, ice.turnTtlS);
    const relays = servers.flatMap(({ urls, username = "", credential = "" }) =>
      urls.filter(isTurnUrl).map((url) => ({ url, username, credential })),
    );
    if (relays.length === 0)
      return [fail(`${name} gives no TURN server`, "see what it offers for this key or account")];
    const cures = {
      refused: "ask the provider, whose credentials these are",
      silent: "check that this port gets out of here, and whether the provider has an outage",
    };
    const findings = await Promise.all(
      relays.map(({ url, ...credentials }) =>
        checkRelay(url, credentials, cures, production, system),
      ),
    );
    const usernames = [...new Set(relays.map(({ username }) => username))];
    const revoked = await revokeAll(provide, usernames, system);
    return [ok(`${name} gives credentials for ${ttlS} s`), ...findings, ...revoked];
  } catch (error) {
    const isRefused = error instanceof ProviderRefusal && [401, 403, 404].includes(error.status);
    return [
      fail(
        `${name} gives no credentials: ${faultOf(error)}`,
        isRefused
          ? "set TURN_PROVIDER_ID and TURN_PROVIDER_TOKEN to the TURN key's id and its own API token (Cloudflare), or to account SID and auth token (Twilio)"
          : "check that it can be reached from here, TURN_PROVIDER_URL if it is set, and whether the provider has an outage",
      ),
    ];
  }
}

async function revokeAll(
  { revoke }: IceProvider,
  usernames: readonly string[],
  { schedule }: System,
): Promise<Finding[]> {
  if (!revoke) return [];
  try {
    for (const username of usernames)
      await withinTime(schedule, (signal) => revoke(username, signal));
    return [ok("credentials of the provider can be revoked")];
  } catch (error) {
    return [
      warn(
        `credentials of the provider can't be revoked: ${faultOf(error)}`,
        "those of peers who are suspended stay valid until they expire: ask the provider",
      ),
    ];
  }
}

function relayFinding(url: string, relayed: string, production: boolean): Finding {
  const inner = /^(10\.|127\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)/.test(relayed);
  return inner && production
    ? warn(
        `${url} gives the relayed address ${relayed}, which only this network can reach`,
        "set coturn's external-ip to its public address",
      )
    : ok(`${url} gives a relayed address, ${relayed}`);
}

/** Whether this machine's clock is right, by SNTP (RFC 5905, 14): TURN credentials depend on it. */
export async function checkClock(
  server: Omit<Address, "over">,
  system: System,
): Promise<Finding[]> {
  const wire = openWire({ over: "udp", ...server }, system);
  const question = Buffer.alloc(48);
  question[0] = 0x23; // version 4, client
  try {
    const askedAt = system.now();
    const answer = await wire.ask(question, ({ length }) => length >= 48);
    const meanwhile = (askedAt + system.now()) / 2;
    // Seconds since 1900, and a fraction of 2^32, when the server answered.
    const then =
      (answer.readUInt32BE(40) - 2_208_988_800) * 1000 + answer.readUInt32BE(44) / 4_294_967.296;
    const offS = Math.round(Math.abs(meanwhile - then) / 100) / 10;
    if (offS > 30)
      return [fail(`the clock is off by ${offS} s`, "keep it by NTP: TURN credentials are times")];
    if (offS > 2) return [warn(`the clock is off by ${offS} s`, "keep it by NTP")];
    return [ok("the clock is right")];
  } catch (error) {
    return [
      warn(`the clock was not compared: ${server.host}: ${messageOf(error)}`, "keep it by NTP"),
    ];
  } finally {
    wire.close();
  }
}

/** Host and port of a `stun:` or `turn:` URL (RFC 7064, RFC 7065). */
function addressOf(url: string): Address {
  const [, scheme = "", rest = ""] = /^(\w+):([^?]*)/.exec(url) ?? [];
  const secure = scheme.endsWith("s");
  const [, bracketed, plain = "", port] = /^(?:\[(.*)\]|([^:]*))(?::(\d+))?$/.exec(rest) ?? [];
  const transport = /[?&]transport=(udp|tcp)/.exec(url)?.[1] ?? "udp";
  return {
    over: secure ? "tls" : transport === "tcp" ? "tcp" : "udp",
    host: bracketed ?? plain,
    port: Number(port ?? (secure ? 5349 : 3478)),
  };
}
