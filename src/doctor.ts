/** `bun run doctor`: checks an installation from where it runs, and prints what to do about what it finds. */
import type { Config } from "./config.ts";
import { readEnvironment } from "./config-files.ts";
import { warningsOf } from "./config-warnings.ts";
import {
  checkCertificate,
  checkClock,
  checkOrigins,
  checkSecrets,
  checkStun,
  checkTurn,
} from "./doctor/checks.ts";
import { checkAuth } from "./doctor/auth.ts";
import { checkFacts } from "./doctor/facts.ts";
import { fail, messageOf, ok, warn, type Finding } from "./doctor/finding.ts";
import { checkListening, checkOpenFiles } from "./doctor/process.ts";
import {
  checkEvidence,
  checkPage,
  checkPublicUrl,
  checkTraces,
  checkWebhook,
} from "./doctor/reach.ts";
import { checkRedis } from "./doctor/redis.ts";
import { createSystem, openFilesLimit } from "./system.ts";

/** Read by the SDK of OpenTelemetry, not by the configuration. */
const tracesAt = process.env["OTEL_EXPORTER_OTLP_ENDPOINT"]?.trim();
const clockServer = { host: "pool.ntp.org", port: 123 };

const read = readEnvironment(process.env);
const findings = [
  ...("problems" in read ? read.problems.map(problemFinding) : await examine(read.config)),
  ...warningsOf(process.env).map((what) => warn(what, "correct or remove it")),
];
for (const { verdict, what, advice } of findings)
  process.stdout.write(`${verdict.padEnd(4)}  ${what}${advice ? `\n      → ${advice}` : ""}\n`);
const failed = findings.filter(({ verdict }) => verdict === "fail").length;
const warned = findings.filter(({ verdict }) => verdict === "warn").length;
process.stdout.write(
  `\n${findings.length} looked at, ${failed} failed, ${warned} to think about\n`,
);
process.exit(failed > 0 ? 1 : 0);

/** Runs all checks at once. One that throws is itself a finding: the others must still be reported. */
async function examine(config: Config): Promise<Finding[]> {
  const system = createSystem();
  const checks: [name: string, check: () => Finding[] | Promise<Finding[]>][] = [
    ["the environment", () => [ok("the environment is understood")]],
    ["the secrets", () => checkSecrets(config)],
    ["CORS_ORIGIN", () => checkOrigins(config)],
    ["TLS_CERT and TLS_KEY", () => checkCertificate(config, system.now())],
    ["FACTS_FILE", () => checkFacts(config.factsFile)],
    ["REDIS_URL", () => checkRedis(config.redis, config.sessionSecrets, system)],
    ["STUN_URLS", () => checkStun(config, system)],
    ["TURN_URLS", () => checkTurn(config, system)],
    ["AUTH_JWKS_URL", () => checkAuth(config.auth, system)],
    ["HOST and PORT", () => checkListening(config)],
    ["LIMIT_PEERS", () => checkOpenFiles(config.admission, openFilesLimit())],
    ["PUBLIC_URL", () => checkPublicUrl(config.publicUrl, system)],
    ["MODERATION_WEBHOOK", () => checkWebhook("MODERATION_WEBHOOK", config.webhook?.url, system)],
    ["EVENTS_WEBHOOK", () => checkWebhook("EVENTS_WEBHOOK", config.events?.url, system)],
    ["EVIDENCE_URL", () => checkEvidence(config.evidenceUrl, system)],
    ["RULES_URL", () => checkPage("RULES_URL", config.rules?.url, system)],
    ["APPEAL", () => checkPage("APPEAL", config.moderation.appeal, system)],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", () => checkTraces(tracesAt, system)],
    ["the clock", () => checkClock(clockServer, system)],
  ];
  const looked = checks.map(async ([name, check]) => {
    try {
      return await check();
    } catch (error) {
      return [
        fail(`${name} could not be checked: ${messageOf(error)}`, "please report this as a bug"),
      ];
    }
  });
  return (await Promise.all(looked)).flat();
}

function problemFinding(problem: string): Finding {
  return { verdict: "fail", what: problem, advice: ".env.example describes each variable" };
}
