/** What the doctor finds by HTTP, and of the machine: against real servers that are well, or not. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { socketsFor } from "../../src/app/capacity.ts";
import type { Finding } from "../../src/doctor/finding.ts";
import { checkListening, checkOpenFiles } from "../../src/doctor/process.ts";
import { checkEvidence, checkPage, checkPublicUrl, checkWebhook } from "../../src/doctor/reach.ts";
import { checkRedis } from "../../src/doctor/redis.ts";
import { createSystem } from "../../src/system.ts";
import { freePort } from "../support/ports.ts";
import { root } from "../support/root.ts";
import { startServer } from "../support/server.ts";

setDefaultTimeout(30_000);

const system = createSystem();
const hidden = "token-in-the-path";

/** Answers by the number in the path, such as `/404`; `/hang` never. */
function answering() {
  const methods: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      methods.push(request.method);
      const [, status] = /\/(\d{3})/.exec(new URL(request.url).pathname) ?? [];
      if (status === undefined) return new Promise<Response>(() => {});
      const headers = status.startsWith("3") ? { location: "/200" } : {};
      return new Response("a page", { status: Number(status), headers });
    },
  });
  const at = (path: string) => `${server.url.origin}/${path}`;
  return { at, methods, [Symbol.asyncDispose]: () => server.stop(true) };
}

const said = (findings: readonly Finding[]) =>
  findings.map(({ verdict, what }) => `${verdict} ${what}`).join("\n");

test("a receiver of webhooks: whether it answers, and no notice is posted to find that out", async () => {
  await using receiver = answering();
  const check = async (path: string) =>
    said(await checkWebhook("EVENTS_WEBHOOK", receiver.at(path), system));
  for (const status of [200, 204, 401, 405])
    expect(await check(`${status}/${hidden}`)).toMatch(
      /^ok EVENTS_WEBHOOK at 127\.0\.0\.1:\d+ answers$/,
    );
  expect(await check(`404/${hidden}`)).toMatch(/^warn EVENTS_WEBHOOK at \S+ answers 404 to HEAD$/);
  expect(await check(`500/${hidden}`)).toMatch(/^warn .* answers 500/);
  expect(await check(`302/${hidden}`)).toMatch(
    /^fail .* somewhere else, and notices do not follow$/,
  );
  expect(await check(`hang/${hidden}`)).toMatch(/^fail .* does not answer: no answer within 5 s$/);
  expect(new Set(receiver.methods)).toEqual(new Set(["HEAD"]));
  const nobody = `http://127.0.0.1:${await freePort()}/${hidden}`;
  const findings = await checkWebhook("MODERATION_WEBHOOK", nobody, system);
  expect(said(findings)).toMatch(/^fail MODERATION_WEBHOOK at \S+ does not answer: /);
  expect(JSON.stringify(findings)).not.toContain(hidden);
  const plain = await checkWebhook("EVENTS_WEBHOOK", `http://nowhere.invalid/${hidden}`, system);
  expect(said(plain)).toMatch(
    /^warn EVENTS_WEBHOOK at nowhere\.invalid is posted to without TLS.*\nfail EVENTS_WEBHOOK at nowhere\.invalid does not answer/,
  );
  expect(await checkWebhook("EVENTS_WEBHOOK", undefined, system)).toEqual([]);
});

test("pages of rules, appeals and evidence: whether they can be opened", async () => {
  await using site = answering();
  const check = async (path: string) => said(await checkPage("RULES_URL", site.at(path), system));
  for (const status of [200, 302, 401])
    expect(await check(String(status))).toMatch(/^ok RULES_URL at \S+ can be opened$/);
  for (const status of [404, 410, 500])
    expect(await check(String(status))).toBe(
      `warn RULES_URL at ${new URL(site.at("")).host} answers ${status}`,
    );
  expect(await check("hang")).toMatch(/^warn .* no answer within 5 s$/);
  // An appeal can also be a text.
  expect(await checkPage("APPEAL", "Write to moderators@site.example", system)).toEqual([]);

  const evidence = async (path: string) => said(await checkEvidence(site.at(path), system));
  expect(await evidence("404/{caseId}")).toMatch(/^ok EVIDENCE_URL at \S+ answers$/);
  expect(await evidence("503/{caseId}")).toMatch(/^warn EVIDENCE_URL at \S+ answers 503$/);
  const nobody = `http://127.0.0.1:${await freePort()}/{caseId}`;
  expect(said(await checkEvidence(nobody, system))).toMatch(
    /^warn EVIDENCE_URL .* does not answer/,
  );
  expect(await checkEvidence(undefined, system)).toEqual([]);
});

test("PUBLIC_URL: whether it leads to this server, for pages and for WebSockets", async () => {
  await using server = startServer();
  expect(said(await checkPublicUrl(server.http, system))).toBe(
    "ok PUBLIC_URL leads to this server, and WebSockets get through",
  );
  await using other = answering();
  expect(said(await checkPublicUrl(other.at("200"), system))).toBe(
    "fail PUBLIC_URL answers 200 to /livez, which is not this server",
  );
  // A proxy that does not pass the upgrade on.
  using proxy = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: ({ url }) => fetch(`${server.http}${new URL(url).pathname}`),
  });
  expect(said(await checkPublicUrl(proxy.url.origin, system))).toMatch(
    /^fail PUBLIC_URL leads to this server, but a WebSocket does not get through: /,
  );
  // One that passes it on, but is refused.
  for (const [status, cure] of [
    [503, "TRUSTED_PROXIES"],
    [403, "PUBLIC_URL"],
    [400, "Forwarded"],
  ] as const) {
    using refusing = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: ({ url, headers }) =>
        headers.has("upgrade")
          ? new Response(null, { status })
          : fetch(`${server.http}${new URL(url).pathname}`),
    });
    const [finding] = await checkPublicUrl(refusing.url.origin, system);
    expect(finding?.what).toEndWith(
      `a WebSocket does not get through: its handshake is answered with ${status}`,
    );
    expect(finding?.advice).toContain(cure);
  }
  const nobody = `http://127.0.0.1:${await freePort()}`;
  expect(said(await checkPublicUrl(nobody, system))).toMatch(/^warn PUBLIC_URL does not answer: /);
  expect(await checkPublicUrl(undefined, system)).toEqual([]);
});

test("HOST and PORT: whether the server could listen there", async () => {
  const port = await freePort();
  expect(said(await checkListening({ host: "127.0.0.1", port }))).toBe(
    `ok the server can listen at port ${port} of 127.0.0.1`,
  );
  await using server = startServer();
  const taken = Number(server.server.url.port);
  expect(said(await checkListening({ host: "127.0.0.1", port: taken }))).toStartWith(
    "ok a process listens at port",
  );
  for (const host of ["192.0.2.1", "nowhere.invalid"])
    expect(said(await checkListening({ host, port }))).toMatch(/^fail the server can't listen at/);
});

test("LIMIT_PEERS: whether so many sockets can be open", () => {
  expect(socketsFor(1024)).toBe(960);
  expect(said(checkOpenFiles({ peersMax: 960 }, 1024))).toBe(
    "ok 1024 files may be open, enough for LIMIT_PEERS (960)",
  );
  for (const peersMax of [961, 0])
    expect(said(checkOpenFiles({ peersMax }, 1024))).toMatch(
      /^warn 1024 files may be open, so at most 960/,
    );
  expect(checkOpenFiles({ peersMax: 961 }, undefined)).toEqual([]);
});

test("PEM files for Redis that can't be read are named", async () => {
  const [ca, key] = ["/nowhere/ca.pem", tmpdir()];
  const config = {
    locations: ["rediss://127.0.0.1:9"],
    peersPerShard: 1,
    prefix: "a:",
    files: { ca, cert: undefined, key },
  } as const;
  const findings = await checkRedis(config, undefined, system);
  expect(said(findings)).toBe(
    `fail REDIS_CA_FILE can't be read: ENOENT, there is no such file: ${ca}\nfail REDIS_KEY_FILE is a directory, not a file: ${key}`,
  );
});

test("bun run doctor looks at all of them, with secrets from files, and names misspelt variables", async () => {
  await using receiver = answering();
  const folder = await mkdtemp(join(tmpdir(), "peer-stream-doctor-"));
  const written = async (name: string, text: string) => {
    await Bun.write(join(folder, name), `${text}\n`);
    return join(folder, name);
  };
  const { PATH = "" } = process.env;
  const good = "q0V1nGzB7yT3mXk9LwRs4HdJ8cFpA2uE6oNi5vCx";
  const child = Bun.spawn([process.execPath, "run", "--silent", "doctor"], {
    cwd: root,
    env: {
      PATH,
      PORT: String(await freePort()),
      HOST: "127.0.0.1",
      STUN_URLS: ",",
      SESSION_SECRET_FILE: await written("session", good),
      EVENTS_WEBHOOK_FILE: await written("webhook", receiver.at(`404/${hidden}`)),
      EVENTS_SECRET: `another ${good}`,
      RULES_VERSION: "1",
      RULES_URL: receiver.at("404"),
      APPEAL: receiver.at("200"),
      ADMIN_TOKEN: `a third ${good}`,
      EVIDENCE_URL: receiver.at("200/{caseId}"),
      PUBLIC_URL: receiver.at("404").replace("/404", ""),
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.at("200"),
      SKIP_COOLDOWN: "5",
    },
    stdout: "pipe",
    stderr: "pipe",
  });
  const printed = await new Response(child.stdout).text();
  for (const line of [
    "ok    SESSION_SECRET is hard to guess",
    "warn  EVENTS_WEBHOOK at 127.0.0.1",
    "warn  RULES_URL at 127.0.0.1",
    "ok    APPEAL at 127.0.0.1",
    "ok    EVIDENCE_URL at 127.0.0.1",
    "warn  PUBLIC_URL does not answer: no answer within 5 s",
    "ok    OTEL_EXPORTER_OTLP_ENDPOINT at 127.0.0.1",
    "ok    the server can listen at port",
    "files may be open",
    "warn  SKIP_COOLDOWN is not read; did you mean SKIP_COOLDOWN_MS?",
  ])
    expect(printed).toContain(line);
  expect(printed).toContain(", 0 failed, ");
  expect(await child.exited).toBe(0);
  for (const secret of [good, hidden]) expect(printed).not.toContain(secret);
});
