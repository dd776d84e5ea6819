/**
 * What the program reads of files that variables name: secrets, as containers give them; the declaration of facts; and whether the PEM
 * files can be read. All problems are reported with those of the environment, each with the name of its variable.
 */
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { confidentialNames, readConfig, type Config, type ConfigProblems } from "./config.ts";
import { shown, slipIn } from "./config-values.ts";
import { readFactsFile } from "./facts-config.ts";
import type { FactsDeclaration } from "./protocol/declaration.ts";
import { pemBytesMax, readText } from "./text-file.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const secretBytesMax = 65_536;

/** Those that are read at the start; what they have is looked at by whoever uses them. */
const pemVariables = [
  "TLS_CERT",
  "TLS_KEY",
  "REDIS_CA_FILE",
  "REDIS_CERT_FILE",
  "REDIS_KEY_FILE",
] as const;

const valueOf = (env: Environment, name: string) => env[name]?.trim() ?? "";

/**
 * The path as a message shows it. Somebody may have put the secret itself in its place: what leads to no folder is not shown.
 */
function shownPath(path: string): string {
  const folder = dirname(path);
  return folder !== "." && folder !== "/" && existsSync(folder)
    ? `: ${shown(path)}`
    : ": the value, which is not shown, must be the path of a file, not the secret itself";
}

/** The secret in a file without the newline at its end, or why it can't be one. */
function readSecret(path: string): { secret: string } | { problem: string } {
  const slip = slipIn(path);
  if (slip !== undefined) return { problem: slip };
  const read = readText(path, secretBytesMax);
  if ("problem" in read) return { problem: `${read.problem}${shownPath(path)}` };
  const secret = read.text.replace(/\r?\n$/, "");
  if (secret.trim() === "") return { problem: `is empty${shownPath(path)}` };
  if (/[\r\n]/.test(secret))
    return {
      problem: `has more than one line, and only the secret may be in it${shownPath(path)}`,
    };
  return { secret };
}

/** The environment with each secret that is in a file; and the variables that have none because of a problem. */
function readSecrets(given: Environment) {
  const env: Record<string, string | undefined> = { ...given };
  const problems: string[] = [];
  const unread: string[] = [];
  for (const name of confidentialNames) {
    const [variable, path] = [`${name}_FILE`, valueOf(given, `${name}_FILE`)];
    if (path === "") continue;
    const read =
      valueOf(given, name) === ""
        ? readSecret(path)
        : { problem: `and ${name} exclude each other: set one of them` };
    if ("secret" in read) env[name] = read.secret;
    else {
      problems.push(`${variable}: ${read.problem}`);
      unread.push(name);
    }
  }
  return { env, problems, unread };
}

/** The configuration that an environment asks for, with the secrets that its files have. */
export function readEnvironment(
  given: Environment,
): { config: Config; env: Environment } | ConfigProblems {
  const { env, problems, unread } = readSecrets(given);
  const config = readConfig(env);
  if ("problems" in config) {
    // What is said to be missing is not, where it could not be read.
    const isFollowUp = (problem: string) =>
      unread.some((name) => new RegExp(`\\b${name}\\b`).test(problem));
    problems.push(...config.problems.filter((problem) => !isFollowUp(problem)));
  }
  return problems.length > 0 || "problems" in config ? { problems } : { config, env };
}

/** The same with the facts that a file declares; all other files that are named can be read. */
export function readProgram(
  given: Environment,
): { config: Config; facts: FactsDeclaration | undefined } | ConfigProblems {
  const read = readEnvironment(given);
  const factsFile = valueOf(given, "FACTS_FILE");
  const declared = factsFile === "" ? undefined : readFactsFile(factsFile);
  const problems = [
    ...("problems" in read ? read.problems : []),
    ...(declared?.problems ?? []).map((problem) => `FACTS_FILE: ${problem}`),
    ...pemVariables.flatMap((name) => {
      const problem = valueOf(given, name) === "" ? undefined : pemProblem(valueOf(given, name));
      return problem === undefined ? [] : [`${name}: ${problem}: ${shown(valueOf(given, name))}`];
    }),
  ];
  if (problems.length > 0 || "problems" in read) return { problems };
  return { config: read.config, facts: declared?.facts };
}

/** Why a file is no PEM file (RFC 7468). */
function pemProblem(path: string): string | undefined {
  const read = readText(path, pemBytesMax);
  if ("problem" in read) return read.problem;
  return /^-----BEGIN [^-]+-----/m.test(read.text)
    ? undefined
    : "is no PEM file, which has a line -----BEGIN …-----";
}
