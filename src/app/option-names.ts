/** The names of options in place of those of variables, in what the library says. */
import { variableNames } from "../config.ts";
import type { LogFields } from "../observe/log-fields.ts";
import type { Log } from "../observe/log.ts";

/** `LIMIT_PEERS` → `limitPeers`; `NODE_ENV` is the option `development`. */
export const optionOf = (variable: string): string =>
  variable === "NODE_ENV"
    ? "development"
    : variable.toLowerCase().replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());

/** A text in which options are named. */
export const inTermsOfOptions = (text: string): string =>
  text.replace(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*\b/g, (name) =>
    variableNames.includes(name) ? optionOf(name) : name,
  );

/** A log for the library: its lines name options where those of the program name variables. */
export function namingOptions(log: Log): Log {
  const at =
    (level: "debug" | "info" | "warn" | "error") =>
    (what: string, fields?: LogFields): void =>
      log[level](
        inTermsOfOptions(what),
        fields && "cure" in fields
          ? { ...fields, cure: inTermsOfOptions(String(fields["cure"])) }
          : fields,
      );
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    bug: (error, where, fields) => log.bug(error, where, fields),
    get level() {
      return log.level;
    },
    set level(to) {
      log.level = to;
    },
    dropped: () => log.dropped?.() ?? {},
  };
}
