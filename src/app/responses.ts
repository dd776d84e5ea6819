/** The HTTP responses that are not tRPC's. */

export function textResponse(text: string, status = 200): Response {
  return new Response(text, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
}

/** A refusal that passes by itself. The connection is closed, since one that is kept alive would keep its descriptor. */
export function retryLater(status: 429 | 503, retryAfterS: number, text: string): Response {
  const headers = { "retry-after": String(retryAfterS), connection: "close" };
  return new Response(text, { status, headers });
}
