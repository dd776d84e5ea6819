/** The topology of compose.yaml, started as processes: what the containers run, with what they are given. */
import { expect, test } from "bun:test";
import { YAML } from "bun";
import { join } from "node:path";
import { variableNames } from "../../src/config.ts";
import { checkTurn } from "../../src/doctor/checks.ts";
import { readConfig } from "../../src/config.ts";
import { createSystem } from "../../src/system.ts";
import { operating } from "../support/documents.ts";
import { buildImage } from "../support/image.ts";
import { freePort } from "../support/ports.ts";
import { startRedis } from "../support/redis.ts";
import { connectPeer, refusalOf } from "../support/server.ts";
import { startServer } from "../support/server-process.ts";
import { root } from "../support/root.ts";
import { until as untilWithin } from "../support/until.ts";

interface Service {
  build?: string;
  image?: string;
  command?: string;
  environment?: Record<string, string>;
  env_file?: { path: string; required: boolean }[];
  healthcheck?: { test: string };
}

const text = await Bun.file(join(root, "compose.yaml")).text();
const { services, configs } = YAML.parse(text) as {
  services: Record<string, Service>;
  configs: { caddyfile: { content: string } };
};

/** As compose puts the variables in. */
function substituted(template: string, env: Record<string, string>): string {
  return template.replace(/\$\{(\w+)(?::-([^}]*)|:\?)?\}/g, (_, name, otherwise) => {
    const value = env[name] ?? otherwise;
    if (value === undefined) throw new Error(`${name} is not set`);
    return value;
  });
}

const words = (service: string, env: Record<string, string>) =>
  substituted(services[service]?.command ?? "", env)
    .trim()
    .split(/\s+/);

test("names only variables that there are, and that .env.example explains", async () => {
  const example = await Bun.file(join(root, ".env.example")).text();
  const nodes = Object.values(services).filter(({ build }) => build !== undefined);
  expect(nodes.length).toBeGreaterThanOrEqual(2);
  for (const { environment = {} } of nodes)
    for (const name of Object.keys(environment)) {
      expect(variableNames).toContain(name);
      expect(example).toContain(`#${name}=`);
    }
  for (const [, name] of text.matchAll(/\$\{(\w+)/g))
    expect(["SITE", ...variableNames]).toContain(name ?? "");
});

test("D7 the relay is as hardened as the documented, and the nodes get what .env.example describes", async () => {
  const block = /```\n(listening-port=3478[\s\S]*?)```/.exec(operating)?.[1] ?? "";
  const flags = words("coturn", { SITE: "turn.example.com", TURN_SECRET: "the-secret" });
  const settings = block
    .trim()
    .split("\n")
    .filter((line) => !/^(listening-port|static-auth)/.test(line));
  expect(settings.length).toBeGreaterThan(15);
  for (const setting of settings) expect(flags).toContain(`--${setting}`);
  for (const { env_file } of Object.values(services).filter(({ build }) => build !== undefined))
    expect(env_file).toEqual([{ path: ".env", required: false }]);
});

test("everything says whether it is well", async () => {
  const dockerfile = await Bun.file(join(root, "Dockerfile")).text();
  for (const [name, { build, healthcheck }] of Object.entries(services)) {
    const says = build === undefined ? healthcheck !== undefined : /HEALTHCHECK/.test(dockerfile);
    expect({ name, says }).toEqual({ name, says: true });
  }
});

test("the image sets for the runtime what `bun run start` sets, and the documents for the executable", async () => {
  const { scripts } = await Bun.file(join(root, "package.json")).json();
  const settings: string[] = scripts.start.match(/\S+=\S+/g);
  expect(settings.length).toBeGreaterThan(0);
  for (const file of ["Dockerfile", "src/app/README.md"]) {
    const text = await Bun.file(join(root, file)).text();
    for (const setting of settings) expect(text).toContain(setting);
  }
});

test("runs: two nodes of the build behind Caddy, Redis with its settings, a relay that gives allocations", async () => {
  const secrets = {
    SESSION_SECRET: "a secret of the tests for every node",
    TURN_SECRET: "a-secret-of-the-tests-for-the-relay",
  };
  const env = { ...secrets, SITE: "localhost" };
  await using redis = await startRedis(words("redis", env).slice(1));

  const built = await buildImage();
  const turnPort = await freePort();
  const environment = Object.fromEntries(
    Object.entries(services["node-1"]?.environment ?? {}).map(([name, value]) => [
      name,
      substituted(String(value), env),
    ]),
  );
  const nodeEnv = {
    ...environment,
    REDIS_URL: redis.url,
    TRUSTED_PROXIES: "127.0.0.1",
    TURN_URLS: `turn:127.0.0.1:${turnPort}`,
    ALLOW_NO_ORIGIN: "true",
  };
  const program = { command: [process.execPath, "main.js"], cwd: built };
  await using first = await startServer(nodeEnv, program);
  await using second = await startServer(nodeEnv, program);

  const listenAt = await freePort();
  const config = join(built, "Caddyfile");
  const site = substituted(configs.caddyfile.content, env)
    .replace("localhost {", `http://127.0.0.1:${listenAt} {`)
    .replace("node-1:3000", new URL(first.origin).host)
    .replace("node-2:3000", new URL(second.origin).host);
  await Bun.write(config, `{\n\tadmin off\n}\n${site}`);
  const [caddy = "", ...flags] = words("proxy", env).map((word) =>
    word === "/etc/caddy/Caddyfile" ? config : word,
  );
  await using _proxy = running([caddy, ...flags], { HOME: built, XDG_DATA_HOME: built });
  await until(async () => (await fetch(`http://127.0.0.1:${listenAt}/livez`)).ok);
  expect(await (await fetch(`http://127.0.0.1:${listenAt}/`)).text()).toContain("<html");

  const through = { ws: `ws://127.0.0.1:${listenAt}` };
  await using alice = await connectPeer(through);
  await using bob = await connectPeer(through);
  await alice.client.join.mutate();
  await bob.client.join.mutate();
  const { roomId } = await alice.next("wait-for-offer");
  // One node goes for good; whoever was there comes back through the proxy, and nobody else notices.
  await first.kill();
  const offered = async () => {
    const input = { id: "the offer", roomId, sdp: "after" };
    return "answered" in (await refusalOf(bob.client.offer.mutate(input)));
  };
  await until(offered);
  expect((await alice.next("offer")).sdp).toBe("after");
  expect([...alice.types, ...bob.types]).not.toContain("partner-disconnected");

  await using _relay = running([
    // Both ends are on this machine, which a public relay denies.
    ...words("coturn", env).filter((word) => !word.includes("127.0.0.0")),
    "--listening-ip=127.0.0.1",
    "--relay-ip=127.0.0.1",
    `--listening-port=${turnPort}`,
    `--pidfile=${join(built, "pid")}`,
    `--userdb=${join(built, "turndb")}`,
  ]);
  const read = readConfig(nodeEnv);
  if ("problems" in read) throw new Error(read.problems.join());
  await until(async () => {
    const findings = await checkTurn(read, createSystem());
    return findings.every(({ verdict }) => verdict !== "fail");
  });
}, 90_000);

function running(command: string[], env: Record<string, string> = {}): AsyncDisposable {
  const child = Bun.spawn(command, {
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  return {
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

/** @throws after 30 s, with the condition. */
const until = (holds: () => unknown | Promise<unknown>) =>
  untilWithin(String(holds), holds, 30_000);
