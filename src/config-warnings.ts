/** What is probably a mistake in an environment, but prevents no start: one line each. */
import { confidentialNames, variableNames } from "./config.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const known: ReadonlySet<string> = new Set([
  ...variableNames,
  ...confidentialNames.map((name) => `${name}_FILE`),
]);

/** Variables without an effect unless one of others is set: those, and the values by which they are set to nothing. */
const needs: readonly [variable: string, others: readonly string[]][] = [
  ["REDIS_PREFIX", ["REDIS_URL"]],
  ["REDIS_SHARD_PEERS", ["REDIS_URL"]],
  ["LEVEL_PEERS_PER_MINUTE", ["REDIS_URL"]],
  ["TURN_TTL_S", ["TURN_URLS", "TURN_PROVIDER"]],
  ["RULES_AGE", ["RULES_VERSION"]],
  ["CHALLENGE_DIFFICULTY", ["CHALLENGE"]],
  ["CHALLENGE_PASS_MS", ["CHALLENGE"]],
  ["AUTH_ACCOUNT_CLAIM", ["AUTH_JWT_SECRET", "AUTH_JWKS_URL"]],
  ["EVIDENCE_URL", ["ADMIN_TOKEN"]],
  ["OTEL_EXPORTER_OTLP_HEADERS", ["OTEL_EXPORTER_OTLP_ENDPOINT"]],
  ["OTEL_TRACES_SAMPLER", ["OTEL_EXPORTER_OTLP_ENDPOINT"]],
];

const isSet = (env: Environment, name: string) =>
  [env[name], env[`${name}_FILE`]].some((value) => !["", "off"].includes(value?.trim() ?? ""));

/** What a start and the doctor warn of. */
export function warningsOf(env: Environment): string[] {
  const idle = needs.flatMap(([name, others]) =>
    isSet(env, name) && !others.some((other) => isSet(env, other))
      ? [`${name} has no effect without ${others.join(" or ")}`]
      : [],
  );
  const url = env["PUBLIC_URL"]?.trim() ?? "";
  const isPlain =
    env["NODE_ENV"]?.trim() === "production" &&
    url.startsWith("http:") &&
    !/^http:\/\/(localhost|127\.|\[::1\])/.test(url);
  const plain = isPlain
    ? ["PUBLIC_URL begins with http://: browsers give no camera to a page without TLS"]
    : [];
  return [...misspelt(env), ...idle, ...plain];
}

const ownPrefix = /^PEER_?STREAM_/;

/** Variables that look like a misspelling of one of ours, and are not read. */
function misspelt(env: Environment): string[] {
  return Object.keys(env).flatMap((name) => {
    if (known.has(name)) return [];
    const bare = name.toUpperCase().replace(ownPrefix, "");
    const meant = [...known].find((ours) =>
      // Whatever is one letter away from a short name may be somebody else's.
      ours.length < 6 ? bare !== name && bare === ours : isMisspelling(bare, ours),
    );
    return meant === undefined ? [] : [`${name} is not read; did you mean ${meant}?`];
  });
}

const unit = /_(MS|S|MIN|SEC|SECS|SECONDS|MINUTES|MILLIS|BYTES|URL|URLS)$/;
const letters = (name: string) => name.toUpperCase().replace(/[^A-Z]/g, "");

/** Whether a person who wrote `bare` has meant `ours`. */
function isMisspelling(bare: string, ours: string): boolean {
  if (letters(bare) === letters(ours)) return true;
  if (unit.test(ours) && ours.replace(unit, "") === bare.replace(unit, "")) return true;
  if (ours.replace(/IES$/, "Y") === bare) return true;
  return isOneEditAway(bare, ours);
}

/** Whether `name` becomes `ours` by adding, omitting, changing or swapping one character. */
function isOneEditAway(name: string, ours: string): boolean {
  if (Math.abs(name.length - ours.length) > 1) return false;
  let start = 0;
  while (start < name.length && name[start] === ours[start]) start += 1;
  let end = 0;
  while (
    end < Math.min(name.length, ours.length) - start &&
    name[name.length - 1 - end] === ours[ours.length - 1 - end]
  )
    end += 1;
  const left = name.slice(start, name.length - end);
  const right = ours.slice(start, ours.length - end);
  if (left.length <= 1 && right.length <= 1) return true;
  return left.length === 2 && left[0] === right[1] && left[1] === right[0];
}
