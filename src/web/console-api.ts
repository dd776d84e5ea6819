/** The calls of the moderators' console: plain `fetch` to the procedures beside the page, and what is said of a refusal. */
import type { inferRouterInputs, inferRouterOutputs } from "@trpc/server";
import type { adminRouter } from "../rpc/admin.ts";
import type { RejectionFields } from "../protocol.ts";

type Inputs = inferRouterInputs<typeof adminRouter>;
export type Outputs = inferRouterOutputs<typeof adminRouter>;

/** What the console shows and brings up to date by itself. */
export type Overall = Pick<Outputs, "overview" | "reports" | "list">;

/** A call that was not carried out. Its message is for the moderator. */
export class Refused extends Error {
  readonly fields: RejectionFields;

  constructor(message: string, fields: RejectionFields = {}) {
    super(message);
    this.fields = fields;
  }

  /** Whether a token would help. */
  get needsToken(): boolean {
    return this.fields.reason === "unauthorized" && this.fields.field === "authorization";
  }
}

/** An answer of tRPC over HTTP. */
type Answer = { result: { data: unknown } } | { error: { message: string; data: RejectionFields } };

export class ConsoleApi {
  /** Sent with each call, if there is one; else the browser's cookies say who this is. */
  token = "";
  readonly #root: URL;

  /** @param page the URL of the page, beside which the procedures are. */
  constructor(page: string) {
    this.#root = new URL("./admin/", page);
  }

  /** @throws {Refused} */
  async overall(): Promise<Overall> {
    const names = ["overview", "reports", "list"] as const;
    const answers = await this.#call(`${names.join(",")}?batch=1&input=%7B%7D`);
    // A refusal of the whole batch is one answer.
    const results = Array.isArray(answers) ? answers.map(unwrap) : [unwrap(answers)];
    return Object.fromEntries(names.map((name, index) => [name, results[index]])) as Overall;
  }

  /** @throws {Refused} */
  async find(input: Inputs["find"]): Promise<Outputs["find"]> {
    const json = encodeURIComponent(JSON.stringify(input));
    return unwrap(await this.#call(`find?input=${json}`)) as Outputs["find"];
  }

  /** @throws {Refused} */
  async mutate<Name extends "suspend" | "lift" | "endRoom">(
    name: Name,
    input: Inputs[Name],
  ): Promise<Outputs[Name]> {
    const headers = { "content-type": "application/json" };
    const request = { method: "POST", headers, body: JSON.stringify(input) };
    return unwrap(await this.#call(name, request)) as Outputs[Name];
  }

  async #call(path: string, request: RequestInit = {}): Promise<unknown> {
    const headers = new Headers(request.headers);
    if (this.token !== "") headers.set("authorization", `Bearer ${this.token}`);
    let answer: unknown;
    try {
      const response = await fetch(new URL(path, this.#root), { ...request, headers });
      answer = await response.json();
    } catch {
      throw new Refused("The server can’t be reached at the moment.");
    }
    return answer;
  }
}

function unwrap(answer: unknown): unknown {
  const one = answer as Answer;
  if ("error" in one) throw new Refused(words(one.error.message, one.error.data), one.error.data);
  return one.result.data;
}

function words(message: string, { reason, retryAfterMs = 0 }: RejectionFields): string {
  if (reason === "rate-limited")
    return `Too many wrong tokens have come from your address. Try again in ${Math.ceil(retryAfterMs / 1000)} s.`;
  if (reason === "unavailable") return "The server’s storage is unavailable at the moment.";
  return message;
}
