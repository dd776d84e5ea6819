/** What can be wrong with an installation, looked at one by one. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Config } from "../config.ts";
import { iceServersFor } from "../ice.ts";
import type { System } from "../system.ts";
import { allocate, askForAddress } from "./stun.ts";
import { openWire, type Address } from "./wire.ts";

/** One thing looked at: how it is, and what to do about it. */
export interface Finding {
  verdict: "ok" | "warn" | "fail";
  what: string;
  /** What to do; with all but `ok`. */
  advice?: string;
}

const ok = (what: string): Finding => ({ verdict: "ok", what });
const warn = (what: string, advice: string): Finding => ({ verdict: "warn", what, advice });
const fail = (what: string, advice: string): Finding => ({ verdict: "fail", what, advice });

/** Bits below which a secret can be guessed by trying. */
const SECRET_BITS_MIN = 100;
const makeOne = "make one with: openssl rand -base64 32";

type Secrets = Pick<Config, "sessionSecrets" | "metricsToken" | "adminToken" | "webhook"> & {
  ice: Pick<Config["ice"], "turnSecret">;
};

/** Whether the secrets are there, and hard to guess. */
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

/** An upper bound of a secret's chance: how often each character comes, times how many there are (Shannon). */
function bitsOf(secret: string): number {
  const counts = new Map<string, number>();
  for (const character of secret) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= count * Math.log2(count / secret.length);
  return bits;
}

/** Whether the pages that may connect are the ones that are meant. */
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

/** Whether the certificate can be read, fits its key, and is still good. `now` in epoch milliseconds. */
export function checkCertificate(tls: Config["tls"], now: number): Finding[] {
  if (!tls) return [];
  try {
    const certificate = new X509Certificate(readFileSync(tls.cert));
    const endsAt = Date.parse(certificate.validTo);
    const days = Math.floor((endsAt - now) / 86_400_000);
    if (days < 0)
      return [fail(`the certificate of TLS_CERT ended on ${certificate.validTo}`, "renew it")];
    if (days < 14) return [warn(`the certificate of TLS_CERT ends in ${days} days`, "renew it")];
    return [ok(`the certificate of TLS_CERT is good for ${days} days`)];
  } catch (error) {
    return [fail(`TLS_CERT can't be read: ${messageOf(error)}`, "name a PEM file")];
  }
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
  const { ice } = config;
  if (ice.turnUrls.length === 0)
    return [
      warn(
        "there is no TURN server: peers behind strict firewalls can't connect, and nobody can hide an address",
        "set TURN_URLS and TURN_SECRET; the README has a coturn configuration",
      ),
    ];
  const server = iceServersFor(ice, system.now(), "doctor").find(({ username }) => username);
  const { username = "", credential = "" } = server ?? {};
  return Promise.all(
    ice.turnUrls.map(async (url) => {
      const wire = openWire(addressOf(url), system);
      try {
        const allocation = await allocate(wire, system.id, { username, credential });
        if (allocation.ok) return relayFinding(url, allocation.relayed, config.production);
        const { errorCode } = allocation;
        if (errorCode === 401 || errorCode === 441)
          return fail(
            `${url} refuses the credentials (${errorCode})`,
            "give TURN_SECRET and coturn's static-auth-secret the same value, set use-auth-secret, and check both clocks",
          );
        return fail(`${url} gives no relayed address (error ${errorCode})`, "see its log");
      } catch (error) {
        return fail(
          `${url} does not answer: ${messageOf(error)}`,
          "check TURN_URLS, that it runs, and that its firewall lets this port in",
        );
      } finally {
        wire.close();
      }
    }),
  );
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

/** Whether Redis at `url` (`redis://[user:password@]host[:port]`, or `rediss:`) answers. */
export async function checkRedis(url: string | undefined, system: System): Promise<Finding[]> {
  if (!url) return [];
  if (!/^rediss?:/.test(url) || !URL.canParse(url))
    return [fail("REDIS_URL is not a redis: or rediss: URL", "such as redis://127.0.0.1:6379")];
  const { protocol, hostname, port, username, password } = new URL(url);
  const over = protocol === "rediss:" ? "tls" : "tcp";
  const wire = openWire({ over, host: hostname, port: Number(port || 6379) }, system);
  const words = [username, password].filter((word) => word !== "").map(decodeURIComponent);
  const login = password === "" ? "" : command("AUTH", ...words);
  const lines = login === "" ? 1 : 2;
  try {
    const whole = (answer: Buffer) => answer.toString().split("\r\n").length > lines;
    const answer = (await wire.ask(Buffer.from(login + command("PING")), whole)).toString();
    if (answer.includes("+PONG")) return [ok(`Redis at ${hostname} answers`)];
    // An error names no secret (RESP, simple errors).
    const error = answer
      .split("\r\n")
      .find((line) => line.startsWith("-"))
      ?.slice(1);
    return [
      fail(`Redis at ${hostname} refuses: ${error}`, "check the user and password in REDIS_URL"),
    ];
  } catch (error) {
    return [
      fail(
        `Redis at ${hostname} does not answer: ${messageOf(error)}`,
        "check REDIS_URL, and that it runs",
      ),
    ];
  } finally {
    wire.close();
  }
}

function command(...words: string[]): string {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return `*${words.length}\r\n${parts.join("")}`;
}

/** Whether this machine's clock is right, by SNTP (RFC 5905, 14): credentials for TURN depend on it. */
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

/** Where a `stun:` or `turn:` URL leads (RFC 7064, RFC 7065). */
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
