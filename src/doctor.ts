/** `bun run doctor`: looks at an installation from where it runs, and says what to do about what it finds. */
import { readConfig, type Config } from "./config.ts";
import {
  checkCertificate,
  checkClock,
  checkOrigins,
  checkRedis,
  checkSecrets,
  checkStun,
  checkTurn,
  type Finding,
} from "./doctor/checks.ts";
import { createSystem } from "./system.ts";

const clockServer = { host: "pool.ntp.org", port: 123 };

const config = readConfig(process.env);
const findings = "problems" in config ? config.problems.map(problemFinding) : await examine(config);
for (const { verdict, what, advice } of findings)
  process.stdout.write(`${verdict.padEnd(4)}  ${what}${advice ? `\n      → ${advice}` : ""}\n`);
const failed = findings.filter(({ verdict }) => verdict === "fail").length;
const warned = findings.filter(({ verdict }) => verdict === "warn").length;
process.stdout.write(
  `\n${findings.length} looked at, ${failed} failed, ${warned} to think about\n`,
);
process.exit(failed > 0 ? 1 : 0);

async function examine(config: Config): Promise<Finding[]> {
  const system = createSystem();
  const looked = await Promise.all([
    [{ verdict: "ok", what: "the environment is understood" } satisfies Finding],
    checkSecrets(config),
    checkOrigins(config),
    checkCertificate(config.tls, system.now()),
    checkRedis(config.redisUrl, system),
    checkStun(config, system),
    checkTurn(config, system),
    checkClock(clockServer, system),
  ]);
  return looked.flat();
}

function problemFinding(problem: string): Finding {
  return { verdict: "fail", what: problem, advice: ".env.example describes each variable" };
}
