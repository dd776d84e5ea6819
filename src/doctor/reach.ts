/** Checks what is reached by HTTP: receivers of webhooks and traces, pages that peers and operators are sent to, and this site itself. */
import { request as requestPlainly } from "node:http";
import { request as requestByTls } from "node:https";
import type { System } from "../system.ts";
import { fail, messageOf, ok, warn, type Finding } from "./finding.ts";

type Clock = Pick<System, "schedule">;

const answerMs = 5000;

/** The status of an answer, or why there was none. It is not followed where it leads elsewhere. */
async function statusOf(
  url: string,
  { schedule }: Clock,
  method: "GET" | "HEAD" = "GET",
): Promise<{ status: number; text: string } | { fault: string }> {
  const overdue = new AbortController();
  const late = new Error(`no answer within ${answerMs / 1000} s`);
  const cancel = schedule(answerMs, () => overdue.abort(late));
  try {
    const response = await fetch(url, { method, redirect: "manual", signal: overdue.signal });
    const text = await beginningOf(response);
    return { status: response.status, text };
  } catch (error) {
    // The URL may be secret.
    return { fault: messageOf(error).replaceAll(url, "it") };
  } finally {
    cancel();
  }
}

/** Its first bytes: a page may be long, and a stream has no end. */
async function beginningOf({ body }: Response): Promise<string> {
  for await (const chunk of body ?? []) return new TextDecoder().decode(chunk.slice(0, 100));
  return "";
}

const isLocal = ({ hostname }: URL) => /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);

/**
 * Whether a receiver answers. Nothing is posted, as it would take that for a notice.
 * @param name its variable. @param url is secret but for its host.
 */
export async function checkWebhook(
  name: string,
  url: string | undefined,
  clock: Clock,
): Promise<Finding[]> {
  if (url === undefined) return [];
  const at = new URL(url);
  const plain =
    at.protocol === "http:" && !isLocal(at)
      ? [
          warn(
            `${name} at ${at.host} is posted to without TLS: whoever is between can read it`,
            "use https:",
          ),
        ]
      : [];
  return [...plain, await receiverFinding(name, at, clock)];
}

async function receiverFinding(name: string, at: URL, clock: Clock): Promise<Finding> {
  const found = await statusOf(at.href, clock, "HEAD");
  if ("fault" in found)
    return fail(
      `${name} at ${at.host} does not answer: ${found.fault}`,
      "check the name, that it runs, and that it can be reached from here: until then nothing arrives",
    );
  const { status } = found;
  if (status >= 300 && status < 400)
    return fail(
      `${name} at ${at.host} answers ${status}: it is somewhere else, and notices do not follow`,
      "name the last address",
    );
  if (status === 404 || status === 410 || status >= 500)
    return warn(
      `${name} at ${at.host} answers ${status} to HEAD`,
      "check its path and its log; if it takes POST there, all is well",
    );
  return ok(`${name} at ${at.host} answers`);
}

/** Whether a page can be opened that peers or operators are sent to; what needs a sign-in counts as one. */
export async function checkPage(
  name: string,
  url: string | undefined,
  clock: Clock,
): Promise<Finding[]> {
  if (url === undefined || !URL.canParse(url) || !/^https?:/.test(url)) return [];
  const at = new URL(url);
  const found = await statusOf(url, clock);
  if ("fault" in found)
    return [
      warn(
        `${name} at ${at.host} does not answer: ${found.fault}`,
        "check the address; what only others can reach is not found from here",
      ),
    ];
  if (found.status >= 400 && ![401, 403, 405].includes(found.status))
    return [warn(`${name} at ${at.host} answers ${found.status}`, "check the address")];
  return [ok(`${name} at ${at.host} can be opened`)];
}

/** Whether the receiver of reports shows evidence somewhere. It need not know a case of this name. */
export async function checkEvidence(
  template: string | undefined,
  clock: Clock,
): Promise<Finding[]> {
  if (template === undefined) return [];
  const { host } = new URL(template);
  const found = await statusOf(template.replaceAll("{caseId}", "doctor"), clock);
  if ("fault" in found)
    return [
      warn(
        `EVIDENCE_URL at ${host} does not answer: ${found.fault}`,
        "check the address; what only moderators can reach is not found from here",
      ),
    ];
  return [
    found.status >= 500
      ? warn(`EVIDENCE_URL at ${host} answers ${found.status}`, "see its log")
      : ok(`EVIDENCE_URL at ${host} answers`),
  ];
}

/** Whether the address that people open leads to this server, for pages and for WebSockets. */
export async function checkPublicUrl(url: string | undefined, clock: Clock): Promise<Finding[]> {
  if (url === undefined) return [];
  const found = await statusOf(`${url}/livez`, clock);
  if ("fault" in found)
    return [
      warn(
        `PUBLIC_URL does not answer: ${found.fault}`,
        "start the server, and check name, proxy and certificate; some networks can't reach their own public address",
      ),
    ];
  if (found.status !== 200 || found.text !== "alive\n")
    return [
      fail(
        `PUBLIC_URL answers ${found.status} to /livez, which is not this server`,
        "let the proxy pass all paths of this name on to the server",
      ),
    ];
  const fault = await socketFault(`${url.replace(/^http/, "ws")}/trpc`, url, clock);
  if (fault === undefined)
    return [ok("PUBLIC_URL leads to this server, and WebSockets get through")];
  const status = await handshakeStatus(`${url}/trpc`, url, clock);
  const answer = status === undefined ? fault : `its handshake is answered with ${status}`;
  return [
    fail(
      `PUBLIC_URL leads to this server, but a WebSocket does not get through: ${answer}`,
      socketCures.get(status) ??
        "let the proxy pass on the headers Upgrade and Connection; src/app/README.md has configurations",
    ),
  ];
}

/** What to look at where a handshake arrives, and is refused. */
const full =
  "see the log of the server: it may be full, shut down or be without Redis, or TRUSTED_PROXIES does not name the proxy, so that all peers count as one address";
const socketCures: ReadonlyMap<number | undefined, string> = new Map([
  [400, "let the proxy remove the header Forwarded, or X-Forwarded-For if it writes Forwarded"],
  [403, "set PUBLIC_URL for the server as it is set here"],
  [429, full],
  [503, full],
]);

/** With which status a handshake is answered; `undefined` if with none, or if it succeeds. */
function handshakeStatus(
  url: string,
  origin: string,
  { schedule }: Clock,
): Promise<number | undefined> {
  return new Promise((resolve) => {
    const request = (url.startsWith("https:") ? requestByTls : requestPlainly)(url, {
      headers: {
        origin,
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": btoa("sixteen bytes it"),
      },
    });
    const settle = (status: number | undefined) => {
      cancel();
      request.destroy();
      resolve(status);
    };
    const cancel = schedule(answerMs, () => settle(undefined));
    request.on("response", ({ statusCode }) => settle(statusCode));
    for (const end of ["upgrade", "error"]) request.on(end, () => settle(undefined));
    request.end();
  });
}

/** Why no WebSocket opens as a page of `origin` opens one. */
function socketFault(
  url: string,
  origin: string,
  { schedule }: Clock,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    // Bun's own addition to the standard: headers of the upgrade.
    const socket = new WebSocket(url, { headers: { origin } } as never);
    const settle = (fault: string | undefined) => {
      cancel();
      socket.close();
      resolve(fault);
    };
    const cancel = schedule(answerMs, () => settle(`it did not open within ${answerMs / 1000} s`));
    socket.onopen = () => settle(undefined);
    socket.onerror = () => settle("it was refused");
    socket.onclose = ({ code, reason }) =>
      settle(`it was closed (${code} ${reason})`.replace(" )", ")"));
  });
}
