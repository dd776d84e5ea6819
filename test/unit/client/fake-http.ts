/** A server over plain HTTP, which the test answers: the diagnosis, streams of events, and batches of calls. */

interface EventRequest {
  readonly lastEventId: string | undefined;
  readonly authorization: string | null;
  /** Whether the client has gone. */
  readonly aborted: boolean;
  /** Sends text as it is. */
  write(text: string): void;
  event(id: string, data: unknown): void;
  /** The connection breaks. */
  cut(): void;
}

interface Batch {
  readonly paths: string[];
  readonly inputs: Record<string, unknown>[];
  readonly authorization: string | null;
  answer(): void;
  fail(): void;
}

const unreachable = () => new TypeError("Failed to fetch");

export function fakeHttp() {
  const streams: EventRequest[] = [];
  const batches: Batch[] = [];
  const urls: string[] = [];
  const server = {
    streams,
    batches,
    urls,
    /** Requests that ask why no socket opens. */
    diagnoses: 0,
    /** What a plain GET of the endpoint is answered with; undefined: no connection. */
    status: 426 as number | undefined,
    /** What a stream of events is answered with in place of a stream; undefined: a stream. */
    refuseEvents: (() => undefined) as (authorization: string | null) => Response | undefined,
    /** Whether calls are answered at once. */
    answering: true,
    /** Whether calls reach the server. */
    reachable: true,

    get stream(): EventRequest {
      const last = streams.at(-1);
      if (!last) throw new Error("no stream was requested yet");
      return last;
    },

    async fetch(url: string, init: RequestInit): Promise<Response> {
      urls.push(url);
      const { pathname, searchParams } = new URL(url);
      const authorization = new Headers(init.headers).get("authorization");
      if (pathname === "/trpc") return diagnose();
      if (server.status === undefined) throw unreachable();
      if (pathname === "/trpc/events") return stream(searchParams, authorization, init.signal);
      return call(pathname, init, authorization);
    },
  };

  function diagnose(): Response {
    server.diagnoses += 1;
    if (server.status === undefined) throw unreachable();
    return new Response("", { status: server.status });
  }

  function stream(
    params: URLSearchParams,
    authorization: string | null,
    signal: AbortSignal | null | undefined,
  ): Response {
    const input = JSON.parse(params.get("input") ?? "{}") as { lastEventId?: string };
    const utf8 = new TextEncoder();
    let over = false;
    let body: ReadableStreamDefaultController<Uint8Array> | undefined;
    const request: EventRequest = {
      lastEventId: input.lastEventId,
      authorization,
      get aborted() {
        return signal?.aborted ?? false;
      },
      write(text) {
        if (!over && !request.aborted) body?.enqueue(utf8.encode(text));
      },
      event: (id, data) => request.write(`data: ${JSON.stringify(data)}\nid: ${id}\n\n\n`),
      cut() {
        over = true;
        body?.error(new TypeError("network error"));
      },
    };
    streams.push(request);
    const refused = server.refuseEvents(authorization);
    if (refused) return refused;
    const readable = new ReadableStream<Uint8Array>({
      start: (controller) => void (body = controller),
    });
    signal?.addEventListener("abort", () => body?.error(signal.reason));
    request.write("event: connected\ndata: {}\n\n\n");
    return new Response(readable, { headers: { "content-type": "text/event-stream" } });
  }

  function call(
    pathname: string,
    init: RequestInit,
    authorization: string | null,
  ): Promise<Response> {
    const paths = pathname.slice("/trpc/".length).split(",");
    const inputs = Object.values(JSON.parse(String(init.body ?? "{}"))) as never[];
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const results = paths.map(() => ({ result: { data: {} } }));
    const batch: Batch = {
      paths,
      inputs,
      authorization,
      answer: () => resolve(Response.json(results)),
      fail: () => reject(unreachable()),
    };
    init.signal?.addEventListener("abort", () => reject(unreachable()));
    batches.push(batch);
    if (!server.reachable) batch.fail();
    else if (server.answering) batch.answer();
    return promise;
  }

  return server;
}
