/** A real Prometheus on a free port of this machine, and promtool. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./ports.ts";
import { until } from "./until.ts";

export interface Prometheus extends AsyncDisposable {
  /**
   * The series of an instant query.
   * @throws with what is wrong with it, if it is invalid or can't be computed.
   */
  query(expression: string): Promise<Series[]>;
  /** The alerts that fire. */
  firing(): Promise<Labels[]>;
  /** The values of a label in the series of a selector. */
  labelValues(label: string, selector: string): Promise<string[]>;
}

export type Labels = Readonly<Record<string, string>>;
export interface Series {
  metric: Labels;
  value: number;
}

export interface PrometheusOptions {
  /** `host:port` of each node to scrape. */
  targets: readonly string[];
  token: string;
  /** Scrapes and evaluates rules so often. */
  intervalMs: number;
  /** A file of rules. */
  rules: string;
}

const startMsMax = 15_000;

/**
 * Starts `prometheus`, which scrapes the targets as the job `peer-stream`.
 * @throws if there is none: a test that needs it is never skipped.
 */
export async function startPrometheus(options: PrometheusOptions): Promise<Prometheus> {
  const directory = await mkdtemp(join(tmpdir(), "peer-stream-prometheus-"));
  const config = join(directory, "prometheus.yml");
  const rules = join(directory, "rules.yaml");
  const every = `${options.intervalMs}ms`;
  await Bun.write(rules, options.rules);
  await Bun.write(
    config,
    Bun.YAML.stringify({
      global: { scrape_interval: every, scrape_timeout: every, evaluation_interval: every },
      rule_files: [rules],
      scrape_configs: [
        {
          job_name: "peer-stream",
          authorization: { credentials: options.token },
          static_configs: [{ targets: options.targets }],
        },
      ],
    }),
  );
  const port = await freePort();
  const child = Bun.spawn(
    [
      programOf("prometheus"),
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(directory, "tsdb")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=warn",
    ],
    { stdin: "ignore", stdout: "ignore", stderr: "pipe" },
  );
  const printed = new Response(child.stderr).text();
  const get = async (path: string, parameters: Record<string, string> = {}) => {
    const query = new URLSearchParams(parameters);
    const response = await fetch(`http://127.0.0.1:${port}${path}?${query}`);
    const body = (await response.json()) as { status: string; error?: string; data: unknown };
    if (body.status !== "success") throw new Error(`${parameters["query"]}: ${body.error}`);
    return body.data;
  };
  const end = async () => {
    child.kill("SIGKILL");
    await child.exited;
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await until(
      "Prometheus is ready, or has ended",
      async () => child.exitCode !== null || (await fetch(`http://127.0.0.1:${port}/-/ready`)).ok,
      startMsMax,
    );
    if (child.exitCode !== null) throw new Error(`prometheus ended: ${await printed}`);
  } catch (error) {
    await end();
    throw error;
  }
  return {
    async query(expression) {
      const { result } = (await get("/api/v1/query", { query: expression })) as {
        result: { metric: Labels; value: [number, string] }[];
      };
      return result.map(({ metric, value: [, value] }) => ({ metric, value: Number(value) }));
    },
    async firing() {
      const { alerts } = (await get("/api/v1/alerts")) as {
        alerts: { state: string; labels: Labels }[];
      };
      return alerts.filter(({ state }) => state === "firing").map(({ labels }) => labels);
    },
    labelValues: async (label, selector) =>
      (await get(`/api/v1/label/${label}/values`, { "match[]": selector })) as string[],
    [Symbol.asyncDispose]: end,
  };
}

/** Runs promtool. @param input what it reads. @returns its exit code with all that it printed. */
export function promtool(args: string[], input = ""): { exitCode: number; printed: string } {
  const stdin = Buffer.from(input);
  const { exitCode, stdout, stderr } = Bun.spawnSync([programOf("promtool"), ...args], { stdin });
  return { exitCode, printed: `${stdout}${stderr}` };
}

function programOf(name: string): string {
  const program = Bun.which(name);
  if (!program)
    throw new Error(
      `There is no ${name} (Debian's package prometheus). The README's test line installs it.`,
    );
  return program;
}
