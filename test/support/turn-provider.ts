/** An imitation of the HTTP interfaces of Cloudflare's and Twilio's TURN services, as their documentation has them. */
export interface FakeTurnProvider extends AsyncDisposable {
  /** The origin. */
  readonly url: string;
  /** What it was asked for, in order. */
  readonly asked: { path: string; body: string; at: number }[];
  /** The user names that are valid. */
  readonly valid: Set<string>;
  /** Answers each request from now on, in place of what it would answer; `undefined`: as usual. */
  answer: ((request: Request) => Response | Promise<Response>) | undefined;
}

export const turnKey = { keyId: "f00d", apiToken: "the-token-of-the-turn-key" };
export const twilioAccount = { accountSid: "AC0f00d", authToken: "the-token-of-the-account" };

/** @param turnUrl the TURN server that it names. */
export function startTurnProvider(
  turnUrl = "turn:turn.example:3478?transport=udp",
): FakeTurnProvider {
  const asked: FakeTurnProvider["asked"] = [];
  const valid = new Set<string>();
  let count = 0;

  function make() {
    const username = `user${++count}`;
    valid.add(username);
    return { username, credential: `password${count}` };
  }

  function cloudflare(request: Request, path: string, body: string): Response {
    if (request.headers.get("authorization") !== `Bearer ${turnKey.apiToken}`)
      return new Response("unauthorized", { status: 401 });
    if (path === "generate-ice-servers") {
      const { ttl } = JSON.parse(body) as { ttl: number };
      if (!(ttl > 0 && ttl <= 172_800)) return new Response("ttl", { status: 400 });
      const iceServers = [
        { urls: ["stun:stun.cloudflare.com:3478", "stun:stun.cloudflare.com:53"] },
        { urls: [turnUrl, "turn:turn.cloudflare.com:53?transport=udp"], ...make() },
      ];
      return Response.json({ iceServers }, { status: 201 });
    }
    const [, username = ""] = /^([^/]+)\/revoke$/.exec(path) ?? [];
    return new Response(null, { status: valid.delete(username) ? 204 : 404 });
  }

  function twilio(request: Request, body: string): Response {
    const { accountSid, authToken } = twilioAccount;
    if (request.headers.get("authorization") !== `Basic ${btoa(`${accountSid}:${authToken}`)}`)
      return Response.json({ code: 20003, message: "Authenticate" }, { status: 401 });
    const { username, credential } = make();
    const answer = {
      username,
      password: credential,
      account_sid: accountSid,
      ttl: new URLSearchParams(body).get("Ttl") ?? "86400",
      date_created: "Fri, 01 May 2020 01:42:57 +0000",
      ice_servers: [
        { url: "stun:global.stun.twilio.com:3478", urls: "stun:global.stun.twilio.com:3478" },
        { url: turnUrl, urls: turnUrl, username, credential },
      ],
    };
    return Response.json(answer, { status: 201 });
  }

  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    // It may hang for as long as a test likes.
    idleTimeout: 0,
    async fetch(request) {
      const { pathname: path } = new URL(request.url);
      const body = await request.text();
      asked.push({ path, body, at: performance.now() });
      if (provider.answer) return provider.answer(request);
      const ofKey = `/v1/turn/keys/${turnKey.keyId}/credentials/`;
      if (request.method === "POST" && path.startsWith(ofKey))
        return cloudflare(request, path.slice(ofKey.length), body);
      if (
        request.method === "POST" &&
        path === `/2010-04-01/Accounts/${twilioAccount.accountSid}/Tokens.json`
      )
        return twilio(request, body);
      return new Response("<html>not found</html>", { status: 404 });
    },
  });
  const provider: FakeTurnProvider = {
    url: server.url.origin,
    asked,
    valid,
    answer: undefined,
    async [Symbol.asyncDispose]() {
      await server.stop(true);
    },
  };
  return provider;
}

/** An answer that never comes. */
export const hang = (): Promise<Response> => new Promise(() => {});
