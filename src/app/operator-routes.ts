/** `/metrics`, and `/admin` with its console: for those who have the token, or whom the operator's own check lets in. */
import { Elysia } from "elysia";
import type { DecisionsRequest } from "../domain/decisions.ts";
import { mainLobby } from "../domain/lobby.ts";
import { isRejection, reject, type Rejection } from "../domain/rejection.ts";
import type { Admission } from "../http/admission.ts";
import type { Page } from "../http/page.ts";
import { createTrpcHttp } from "../http/trpc-http.ts";
import type { Metrics } from "../observe/metrics.ts";
import { adminRouter, type AdminContext } from "../rpc/admin.ts";
import { decisionsRequest } from "../rpc/decisions-input.ts";
import { refusal } from "../rpc/errors.ts";
import { createOperatorAccess, type Access } from "../rpc/operator-access.ts";
import type { AskOperator } from "../rpc/operator-hook.ts";
import type { Signaling } from "../signaling/signaling.ts";
import type { System } from "../system.ts";
import type { Failure } from "../trpc-ws/options.ts";
import type { Guards } from "./guards.ts";
import { retryLater, textResponse } from "./responses.ts";

export interface OperatorParts {
  signaling: Signaling;
  admission: Admission;
  guards: Guards;
  /** They give access to `/metrics` and `/admin`; without them there is none. */
  metricsToken?: string | undefined;
  adminToken?: string | undefined;
  /** The operator's own check, which gives access to `/admin` as well. */
  askOperator?: AskOperator | undefined;
  /** The page at `/admin`. */
  console: Page;
  /** See `AdminContext`. */
  node: AdminContext["node"];
  nodes: AdminContext["nodes"];
  setLogLevel: AdminContext["setLogLevel"];
  lobbies?: readonly string[];
  evidenceUrl?: string | undefined;
  metrics: Metrics;
  onError: (failure: Pick<Failure, "error" | "path">) => void;
  system: Pick<System, "now" | "elapsed" | "schedule">;
  /** The address at the other end of a request's connection. */
  addressOf: (request: Request) => string | undefined;
}

/** `/metrics` and `/admin`, each for those who have its token. */
export function operatorRoutes(parts: OperatorParts) {
  const { guards, admission, metrics, signaling, system, addressOf } = parts;
  const checkAccess = createOperatorAccess({
    elapsed: system.elapsed,
    onWrongToken: (addressHash) => guards.onWrongToken(addressHash),
  });
  const accessOf: AccessOf = (request, token) =>
    checkAccess(
      token,
      request.headers.get("authorization"),
      admission.addressHash(request.headers, addressOf(request)),
    );

  async function renderMetrics(request: Request): Promise<Response> {
    const access = accessOf(request, parts.metricsToken);
    if (access.granted)
      return new Response(await metrics.render(), {
        headers: { "content-type": "text/plain; version=0.0.4" },
      });
    guards.onScrapeRefused(parts.metricsToken !== undefined);
    const { retryAfterMs } = access;
    return retryAfterMs === undefined
      ? new Response("Not found", { status: 404 })
      : retryLater(429, Math.ceil(retryAfterMs / 1000), "Too many wrong tokens\n");
  }

  const context: AdminContext = {
    signaling,
    now: system.now,
    hashOfAddress: (address) => admission.hashOf(address),
    node: parts.node,
    nodes: parts.nodes,
    setLogLevel: parts.setLogLevel,
    lobbies: parts.lobbies ?? [mainLobby],
    evidenceUrl: parts.evidenceUrl,
  };

  async function adminContext(request: Request): Promise<AdminContext> {
    const refused = await refuseOperator(parts, accessOf, request);
    if (refused) throw refusal(...refused);
    return context;
  }

  async function exportDecisions(request: Request): Promise<Response> {
    const refused = await refuseOperator(parts, accessOf, request);
    if (refused) {
      const [{ reason, retryAfterMs }, why = "Not at the moment"] = refused;
      if (retryAfterMs === undefined) return textResponse(`${why}\n`, 401);
      const status = reason === "rate-limited" ? 429 : 503;
      return retryLater(status, Math.ceil(retryAfterMs / 1000), `${why}\n`);
    }
    return decisionsResponse(signaling, request);
  }

  const serveConsole = async ({ request }: { request: Request }) =>
    (await parts.console(request)) ?? new Response("Not found", { status: 404 });

  const routes = new Elysia().get("/metrics", ({ request }) => renderMetrics(request));
  if (parts.adminToken === undefined && !parts.askOperator) return routes;
  return routes
    .get("/admin/decisions", ({ request }) => exportDecisions(request))
    .get("/admin", serveConsole)
    .get("/admin/page/*", serveConsole)
    .use(
      createTrpcHttp({
        router: adminRouter,
        endpoint: "/admin",
        createContext: adminContext,
        onError: parts.onError,
      }),
    );
}

type AccessOf = (request: Request, token: string | undefined) => Access;

/** By its token; without one by the operator's own check, which may go by cookies that browsers send by themselves. */
async function refuseOperator(
  { adminToken, askOperator, guards }: OperatorParts,
  accessOf: AccessOf,
  request: Request,
): Promise<[Rejection, string?] | undefined> {
  const bearsToken = /^bearer /i.test(request.headers.get("authorization") ?? "");
  if (askOperator && !(adminToken !== undefined && bearsToken)) {
    if (!guards.isFromOwnSite(request))
      return [reject("unauthorized"), "Only pages of this server may do this"];
    const isOperator = await askOperator(request);
    if (isRejection(isOperator)) return [isOperator];
    if (isOperator) return undefined;
  }
  // The field tells the console whether to ask for a token.
  if (adminToken === undefined)
    return [reject("unauthorized"), "You are not signed in as an operator"];
  const access = accessOf(request, adminToken);
  if (access.granted) return undefined;
  const { retryAfterMs } = access;
  if (retryAfterMs !== undefined) return [reject("rate-limited", { retryAfterMs })];
  const needed = reject("unauthorized", { field: "authorization" });
  return [needed, "The operator's token is needed: see ADMIN_TOKEN"];
}

/** Records of what was decided, a line of JSON each (https://jsonlines.org). */
async function decisionsResponse(
  signaling: OperatorParts["signaling"],
  request: Request,
): Promise<Response> {
  const asked = Object.fromEntries(new URL(request.url).searchParams);
  let wanted: DecisionsRequest;
  try {
    wanted = decisionsRequest(asked);
  } catch (error) {
    return textResponse(`${(error as TypeError).message}\n`, 400);
  }
  const decisions = await signaling.decisions(wanted);
  if (isRejection(decisions)) return retryLater(503, 1, "Unavailable\n");
  const lines = decisions.map((decision) => `${JSON.stringify(decision)}\n`);
  return new Response(lines.join(""), { headers: { "content-type": "application/x-ndjson" } });
}
