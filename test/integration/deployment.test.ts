/** The systemd unit, the Kubernetes manifest, compose.yaml and the Dockerfile agree with the program and with each other. */
import { describe, expect, test } from "bun:test";
import { YAML } from "bun";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { socketsFor } from "../../src/app/capacity.ts";
import { readConfig, variableNames, type Config } from "../../src/config.ts";
import { operating } from "../support/documents.ts";
import { startRedis } from "../support/redis.ts";
import { root } from "../support/root.ts";
import { startServer } from "../support/server-process.ts";
import { until } from "../support/until.ts";

const textOf = (path: string) => Bun.file(join(root, path)).text();
const dockerfile = await textOf("Dockerfile");
const METRICS_TOKEN = "one of the tests for metrics";
const SESSION_SECRET = "one of the tests for sessions";

function configOf(env: Record<string, string>): Config {
  const read = readConfig(env);
  if ("problems" in read) throw new Error(read.problems.join("\n"));
  return read;
}
const defaults = configOf({});

/** With each `X_FILE` read as what a secret named X would be. */
function withoutFiles(env: Record<string, string>): Record<string, string> {
  const secrets: Record<string, string> = { SESSION_SECRET, METRICS_TOKEN };
  return Object.fromEntries(
    Object.entries(env).map(([name, value]) => {
      if (!name.endsWith("_FILE")) return [name, value];
      const secret = name.replace(/_FILE$/, "");
      // The file of a secret is named like it, whoever puts it there.
      expect(value).toEndWith(`/${secret}`);
      return [secret, secrets[secret] ?? ""];
    }),
  );
}

/** What the runtime is told in package.json, and no variable of the program. */
const runtimeSettings = Object.fromEntries(
  (
    (await Bun.file(join(root, "package.json")).json()) as { scripts: { start: string } }
  ).scripts.start
    .match(/\S+=\S+/g)
    ?.map((setting) => setting.split("=")) ?? [],
) as Record<string, string>;

describe("the systemd unit", async () => {
  const text = await textOf("src/app/peer-stream.service");
  const settings = text
    .split("\n")
    .flatMap((line) => (/^[A-Z]\w*=/.test(line) ? [line.split(/=(.*)/s).slice(0, 2)] : []));
  const setting = (name: string) => settings.findLast(([key]) => key === name)?.[1] ?? "";
  const seconds = (name: string) => Number(/^(\d+)s$/.exec(setting(name))?.[1]);
  const environment = Object.fromEntries(
    settings
      .filter(([key]) => key === "Environment")
      .flatMap(([, value = ""]) => value.split(" ").map((pair) => pair.split("="))),
  ) as Record<string, string>;

  test("sets variables that there are, and the runtime as `bun run start` does", () => {
    expect(environment).toMatchObject(runtimeSettings);
    const own = Object.entries(environment).filter(([name]) => !(name in runtimeSettings));
    const env = withoutFiles(Object.fromEntries(own));
    expect(variableNames).toEqual(expect.arrayContaining(Object.keys(env)));
    expect(configOf(env).production).toBe(true);
    const [credential] = setting("LoadCredential").split(":");
    expect(environment[`${credential}_FILE`]).toBe(`%d/${credential}`);
  });

  test("allows as much time as a drain takes, and as many files as LIMIT_PEERS needs", () => {
    expect(seconds("TimeoutStopSec") * 1000).toBeGreaterThan(defaults.drainMs);
    expect(socketsFor(Number(setting("LimitNOFILE")))).toBeGreaterThanOrEqual(
      defaults.admission.peersMax,
    );
    expect(setting("Type")).toBe("notify");
    expect(seconds("WatchdogSec")).toBeGreaterThan(0);
    // Bun could not run.
    expect(setting("MemoryDenyWriteExecute")).toBe("");
  });

  test("is one that systemd takes, and finds well protected", async () => {
    const unit = join(await mkdtemp(join(tmpdir(), "peer-stream-")), "peer-stream.service");
    await Bun.write(unit, text.replace(/^(ExecStart=).*/m, `$1${process.execPath}`));
    const analyze = Bun.which("systemd-analyze");
    if (!analyze)
      throw new Error("There is no systemd-analyze. The README's test line installs it.");
    const run = (...args: string[]) => {
      const { exitCode, stdout, stderr } = Bun.spawnSync([analyze, ...args, unit]);
      return { exitCode, printed: `${stdout}${stderr}` };
    };
    // It also names faults of other units that it finds on the way.
    const complaints = run("verify", "--man=no").printed.split("\n");
    expect(complaints.filter((line) => line.includes("peer-stream"))).toEqual([]);
    // Tenths of points of its exposure, of which a unit without any protection has 96.
    const { exitCode, printed } = run("security", "--offline=yes", "--threshold=20", "--no-pager");
    expect([exitCode, printed]).toEqual([0, expect.stringContaining("OK")]);
  });
});

interface Probe {
  httpGet: { path: string; port: string };
  periodSeconds: number;
  failureThreshold: number;
}
type Labels = Record<string, string>;
interface Container {
  ports: { name: string; containerPort: number }[];
  env: { name: string; value: string }[];
  volumeMounts: { name: string; mountPath: string }[];
  resources: { limits: { memory: string } };
  securityContext: object;
  startupProbe: Probe;
  readinessProbe: Probe;
  livenessProbe: Probe;
  lifecycle: { preStop: { exec: { command: string[] } } };
}
interface Pod {
  terminationGracePeriodSeconds: number;
  securityContext: { runAsUser: number; runAsGroup: number; runAsNonRoot: boolean };
  topologySpreadConstraints: { labelSelector: { matchLabels: Labels } }[];
  containers: [Container];
  volumes: { name: string; secret: { secretName: string } }[];
}
interface Manifest {
  Deployment: {
    metadata: { name: string };
    spec: {
      replicas?: number;
      selector: { matchLabels: Labels };
      template: { metadata: { labels: Labels }; spec: Pod };
    };
  };
  Service: { spec: { selector: Labels; ports: { targetPort: string }[] } };
  PodDisruptionBudget: {
    spec: { maxUnavailable: number; selector: { matchLabels: Labels } };
  };
  HorizontalPodAutoscaler: {
    spec: {
      scaleTargetRef: { kind: string; name: string };
      minReplicas: number;
      metrics: { pods: { metric: { name: string }; target: { averageValue: string } } }[];
    };
  };
}

describe("the Kubernetes manifest", async () => {
  const objects = YAML.parse(await textOf("src/app/kubernetes.yaml")) as { kind: string }[];
  const manifest = Object.fromEntries(
    objects.map((object) => [object.kind, object]),
  ) as unknown as Manifest;
  const { spec } = manifest.Deployment;
  const pod = spec.template.spec;
  const [container] = pod.containers;
  const env = Object.fromEntries(container.env.map(({ name, value }) => [name, value]));
  const config = configOf({ NODE_ENV: "production", ...withoutFiles(env) });
  const autoscaler = manifest.HorizontalPodAutoscaler.spec;
  const probes = [container.startupProbe, container.readinessProbe, container.livenessProbe];

  test("has what belongs to a deployment, each part of it for the same pods", () => {
    expect(objects.map(({ kind }) => kind)).toEqual([
      "Deployment",
      "Service",
      "PodDisruptionBudget",
      "HorizontalPodAutoscaler",
    ]);
    const { labels } = spec.template.metadata;
    expect(spec.selector.matchLabels).toEqual(labels);
    expect(manifest.Service.spec.selector).toEqual(labels);
    expect(manifest.PodDisruptionBudget.spec.selector.matchLabels).toEqual(labels);
    for (const { labelSelector } of pod.topologySpreadConstraints)
      expect(labelSelector.matchLabels).toEqual(labels);
    const { kind, name } = autoscaler.scaleTargetRef;
    expect([kind, name]).toEqual(["Deployment", manifest.Deployment.metadata.name]);
    // The autoscaler's number would be overwritten with each change.
    expect(spec.replicas).toBeUndefined();
    expect(manifest.PodDisruptionBudget.spec.maxUnavailable).toBeLessThan(autoscaler.minReplicas);
  });

  test("sets variables that there are, and mounts the secrets where they say", () => {
    expect(variableNames).toEqual(expect.arrayContaining(Object.keys(withoutFiles(env))));
    const [mount] = container.volumeMounts;
    const files = Object.entries(env).filter(([name]) => name.endsWith("_FILE"));
    expect(files.length).toBeGreaterThan(0);
    for (const [, path] of files) expect(path).toStartWith(`${mount?.mountPath}/`);
    expect(pod.volumes.map(({ name }) => name)).toEqual([mount?.name ?? ""]);
  });

  test("gives a pod more time to stop than preStop and the drain take", () => {
    const [command, seconds] = container.lifecycle.preStop.exec.command;
    expect(command).toBe("sleep");
    const takesMs = Number(seconds) * 1000 + config.drainMs;
    expect(pod.terminationGracePeriodSeconds * 1000).toBeGreaterThan(takesMs);
  });

  test("runs the image's user, at the image's port, which is the default one", () => {
    const { runAsUser, runAsGroup, runAsNonRoot } = pod.securityContext;
    expect(dockerfile).toContain(`\nUSER ${runAsUser}:${runAsGroup}\n`);
    expect(runAsNonRoot).toBe(true);
    const [port] = container.ports;
    expect(port?.containerPort).toBe(config.port);
    expect(dockerfile).toContain(`\nEXPOSE ${config.port}\n`);
    const named = probes.map(({ httpGet }) => httpGet.port);
    named.push(...manifest.Service.spec.ports.map(({ targetPort }) => targetPort));
    expect([...new Set(named)]).toEqual([port?.name ?? ""]);
  });

  test("has room for its peers in memory, and adds nodes before one is full", () => {
    const { peersMax } = config.admission;
    const { averageValue } = autoscaler.metrics[0]?.pods.target ?? {};
    expect(Number(averageValue)).toBeLessThanOrEqual(0.8 * peersMax);
    const kbPerPeer = Number(/\| it is in a call.*\| (\d+) KB +\|$/m.exec(operating)?.[1]);
    const gib = Number(/^(\d+)Gi$/.exec(container.resources.limits.memory)?.[1]);
    // A server without peers takes less than 200 MB.
    expect(gib * 2 ** 30).toBeGreaterThan(peersMax * kbPerPeer * 1024 + 200e6);
  });

  test("scales by a metric that there is", async () => {
    await using server = await startServer({ METRICS_TOKEN });
    const headers = { authorization: `Bearer ${METRICS_TOKEN}` };
    const exposed = await (await fetch(`${server.origin}/metrics`, { headers })).text();
    const names = new Set([...exposed.matchAll(/^\w+/gm)].map(([name]) => name));
    for (const { pods } of autoscaler.metrics) expect([...names]).toContain(pods.metric.name);
  });

  test("probes what answers as it should: with Redis, without, and while the node drains", async () => {
    await using redis = await startRedis();
    const given = { ...withoutFiles(env), REDIS_URL: redis.url, DRAIN_MS: "5000" };
    await using server = await startServer({ ...given, ALLOW_NO_ORIGIN: "true" });
    // As the kubelet asks: by the pod's address.
    const headers = { host: "10.1.2.3:3000" };
    const ask = async (probe: Probe) =>
      (await fetch(server.origin + probe.httpGet.path, { headers })).status;
    const askAll = () => Promise.all(probes.map(ask));
    expect(await askAll()).toEqual([200, 200, 200]);

    await redis.kill();
    await until("it is not ready", async () => (await ask(container.readinessProbe)) === 503);
    expect(await askAll()).toEqual([200, 503, 200]);
    await redis.start();
    await until("it is ready", async () => (await ask(container.readinessProbe)) === 200);

    // Somebody who does not go when asked.
    const socket = new WebSocket(`${server.origin.replace("http", "ws")}/trpc`);
    await new Promise((resolve) => (socket.onopen = resolve));
    process.kill(server.pid, "SIGTERM");
    await until("it drains", async () => (await ask(container.readinessProbe)) === 503);
    expect(await askAll()).toEqual([200, 503, 200]);
  }, 40_000);
});

test("compose.yaml gives a node more time than a drain takes, and files for all peers", async () => {
  const { services } = YAML.parse(await textOf("compose.yaml")) as {
    services: Record<
      string,
      { build?: string; stop_grace_period?: string; ulimits?: { nofile: number } }
    >;
  };
  const nodes = Object.values(services).filter(({ build }) => build !== undefined);
  expect(nodes.length).toBeGreaterThanOrEqual(2);
  for (const { stop_grace_period = "", ulimits } of nodes) {
    const graceMs = Number(/^(\d+)s$/.exec(stop_grace_period)?.[1]) * 1000;
    expect(graceMs).toBeGreaterThan(defaults.drainMs);
    const sockets = socketsFor(ulimits?.nofile ?? 0);
    expect(sockets).toBeGreaterThanOrEqual(defaults.admission.peersMax);
  }
});
