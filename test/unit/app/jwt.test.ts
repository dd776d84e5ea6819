/** Accounts by tokens (JWT): which tokens are accepted, what is read from them, and what becomes of peers when the key set is away. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, exportSPKI, generateKeyPair, SignJWT, type JWK, type JWTPayload } from "jose";
import { createJwtAuthenticate, type JwtAuthenticateOptions } from "../../../src/app/jwt.ts";
import { reject } from "../../../src/domain/rejection.ts";
import { operating } from "../../support/documents.ts";
import { until } from "../../support/until.ts";
import { createVirtualSystem, type VirtualSystem } from "../../support/virtual-system.ts";

const issuer = "https://accounts.example/";
const audience = "chat";
const secret = "a secret of the tests, long enough";
const startAt = 1_800_000_000_000;
const startS = startAt / 1000;
const refused = reject("unauthorized");

type KeyPair = Awaited<ReturnType<typeof generateKeyPair>>;
type Answer = (request: Request) => Response | Promise<Response>;

/** A key pair with its public half as a member of a key set. */
async function newKey(kid: string | undefined, algorithm = "ES256") {
  const pair = await generateKeyPair(algorithm, { extractable: true });
  const published: JWK = {
    ...(await exportJWK(pair.publicKey)),
    ...(kid !== undefined && { kid }),
  };
  return { ...pair, algorithm, published };
}

/** An identity provider's key set at a URL, whose answer a test may change. */
function createProvider() {
  let answer: Answer = () => new Response(null, { status: 500 });
  let fetches = 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      fetches += 1;
      return answer(request);
    },
  });
  return {
    url: new URL("keys", server.url).href,
    get fetches() {
      return fetches;
    },
    answerBy(next: Answer) {
      answer = next;
      fetches = 0;
    },
    publish(...keys: object[]) {
      this.answerBy(() => Response.json({ keys }));
    },
    stop: () => server.stop(true),
  };
}

let rsa: Awaited<ReturnType<typeof newKey>>;
let elliptic: Awaited<ReturnType<typeof newKey>>;
let other: Awaited<ReturnType<typeof newKey>>;
const provider = createProvider();
let system: VirtualSystem;
let lines: [what: string, fields?: object][];

beforeAll(async () => {
  rsa = await newKey("rsa", "RS256");
  elliptic = await newKey("elliptic");
  other = await newKey("other");
});
afterAll(() => provider.stop());

beforeEach(() => {
  system = createVirtualSystem(1, startAt);
  lines = [];
  provider.publish(rsa.published, elliptic.published);
});

type Settings = Partial<Omit<JwtAuthenticateOptions, "claims">> & {
  claims?: Partial<JwtAuthenticateOptions["claims"]>;
};

function create({ claims, ...settings }: Settings = {}) {
  const note = (what: string, fields?: object) =>
    void lines.push(fields === undefined ? [what] : [what, fields]);
  const authenticate = createJwtAuthenticate({
    key: { jwksUrl: provider.url },
    issuer,
    audience: [audience],
    claims: { account: "sub", lobby: undefined, facts: undefined, ...claims },
    cookie: undefined,
    required: false,
    system,
    log: { warn: note, info: note },
    ...settings,
  });
  return async (auth: unknown, cookie?: string) =>
    authenticate({
      headers: new Headers(cookie === undefined ? {} : { cookie }),
      params: auth === undefined ? {} : { auth },
      address: "203.0.113.7",
    });
}

const sound: JWTPayload = { iss: issuer, aud: audience, sub: "42", exp: startS + 3600 };

/** A sound token but for `claims`; one that is `undefined` is left out. */
function sign(
  claims: Record<string, unknown> = {},
  key: { privateKey: KeyPair["privateKey"]; algorithm: string; published: JWK } = elliptic,
  header: object = {},
): Promise<string> {
  const { kid } = key.published;
  return new SignJWT({ ...sound, ...claims })
    .setProtectedHeader({ alg: key.algorithm, ...(kid !== undefined && { kid }), ...header })
    .sign(key.privateKey);
}

const signWithSecret = (claims: Record<string, unknown> = {}, by = secret, alg = "HS256") =>
  new SignJWT({ ...sound, ...claims })
    .setProtectedHeader({ alg })
    .sign(new TextEncoder().encode(by));

const base64url = (value: string | object) =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/** Not made by a library, as none would: any header, signed with HMAC by a text. */
function forge(header: object, key: string, payload: string | object = sound): string {
  const content = `${base64url(header)}.${base64url(payload)}`;
  return `${content}.${createHmac("sha256", key).update(content).digest("base64url")}`;
}

/** What a promise fails with. It may be asked for before the time passes that makes it fail. */
const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => "nothing",
    (error) => String(error),
  );

const whys = () => lines.map(([, fields]) => (fields as { why: string }).why);

describe("a sound token", () => {
  test.each(["RS256", "PS512", "ES256", "ES384", "Ed25519"])(
    "signed by %s with a key of the set is its bearer's account until it lapses",
    async (algorithm) => {
      const key = await newKey("new", algorithm);
      provider.publish(rsa.published, key.published);
      expect(await create()(await sign({}, key))).toEqual({
        account: "42",
        lobby: undefined,
        facts: undefined,
        // Ten seconds that the clocks may differ by.
        expiresAt: startAt + 3_610_000,
      });
      expect(lines).toEqual([]);
    },
  );

  test.each(["HS256", "HS384", "HS512"])("may be signed by %s with the secret", async (alg) => {
    const authenticate = create({ key: { secrets: ["the secret before this one was", secret] } });
    expect(await authenticate(await signWithSecret({}, secret, alg))).toMatchObject({
      account: "42",
    });
  });

  test("needs no key id, even while the set has several keys of its kind", async () => {
    const [first, second] = [await newKey(undefined), await newKey(undefined)];
    provider.publish(first.published, second.published);
    const authenticate = create();
    for (const key of [first, second])
      expect(await authenticate(await sign({}, key))).toMatchObject({ account: "42" });
    expect(await authenticate(await sign({}, await newKey(undefined)))).toEqual(refused);
  });

  test("tells account, lobby and facts by the claims that are named", async () => {
    const claims = { account: "https://example.com/id", lobby: "room", facts: "app_metadata" };
    const authenticate = create({ claims });
    const token = await sign({
      sub: undefined,
      "https://example.com/id": "Zoë 7",
      room: "berlin",
      app_metadata: { plan: "gold" },
    });
    expect(await authenticate(token)).toMatchObject({
      account: "Zoë 7",
      lobby: "berlin",
      facts: { plan: "gold" },
    });
    expect(await authenticate(await sign({ "https://example.com/id": "7" }))).toMatchObject({
      account: "7",
      lobby: undefined,
      facts: undefined,
    });
  });

  test("may be for several audiences, one of which is one of ours", async () => {
    const authenticate = create({ audience: ["phone", audience] });
    expect(await authenticate(await sign({ aud: ["mail", "phone"] }))).toMatchObject({
      account: "42",
    });
  });

  test("may be of any issuer and audience if none is set", async () => {
    const authenticate = create({ issuer: undefined, audience: undefined });
    expect(await authenticate(await sign({ iss: undefined, aud: "mail" }))).toMatchObject({
      account: "42",
    });
  });
});

test("a token that a backend has signed as the document shows is accepted", async () => {
  const example = /```ts\n(import \{ SignJWT[\s\S]*?)```/.exec(operating)?.[1] ?? "";
  const file = join(await mkdtemp(join(tmpdir(), "peer-stream-")), "backend.ts");
  await Bun.write(file, example.replace('"jose"', JSON.stringify(import.meta.resolve("jose"))));
  const { tokenFor } = (await import(file)) as {
    tokenFor(accountId: string, secret: string): Promise<string>;
  };
  system = createVirtualSystem(1, Date.now());
  const key = { secrets: [secret] };
  const authenticate = create({ key, issuer: "https://app.example.com", audience: ["chat"] });
  const answer = await authenticate(await tokenFor("42", secret));
  expect(answer).toMatchObject({ account: "42" });
  expect(await authenticate(await tokenFor("42", `${secret}!`))).toEqual(refused);
});

describe("where a token is looked for", () => {
  test("in what the page passes as `auth`, else in the cookie", async () => {
    const authenticate = create({ cookie: "__Host-token" });
    const [mine, hers] = [await sign(), await sign({ sub: "hers" })];
    const cookies = `a=b; __Host-token2=x; __Host-token=${hers}; c="d"`;
    expect(await authenticate(undefined, cookies)).toMatchObject({ account: "hers" });
    expect(await authenticate(undefined, `__Host-token="${hers}"`)).toMatchObject({
      account: "hers",
    });
    expect(await authenticate(mine, cookies)).toMatchObject({ account: "42" });
    expect(await authenticate(mine)).toMatchObject({ account: "42" });
    expect(await authenticate(null, cookies)).toMatchObject({ account: "hers" });
    expect(await create()(undefined, cookies)).toEqual({});
  });

  test("a cookie that holds no valid token is refused like any other", async () => {
    const authenticate = create({ cookie: "token" });
    expect(await authenticate(undefined, "token=; other=1")).toEqual({});
    expect(await authenticate(undefined, "token=nonsense")).toEqual(refused);
  });

  test.each([undefined, null, ""])(
    "a peer without one (%p) is anonymous, or refused",
    async (auth) => {
      expect(await create()(auth)).toEqual({});
      expect(await create({ required: true })(auth)).toEqual(refused);
      expect(provider.fetches).toBe(0);
    },
  );
});

/** Each: the token, and what the log says of it. The issuer's keys are `rsa` and `elliptic`. */
const badTokens: Record<string, [token: () => unknown, why: string]> = {
  expired: [() => sign({ exp: startS - 10 }), '"exp" claim timestamp check failed'],
  "not yet valid": [() => sign({ nbf: startS + 11 }), '"nbf" claim timestamp check failed'],
  "without an end": [() => sign({ exp: undefined }), 'missing required "exp" claim'],
  "with an end that is a text": [() => sign({ exp: "tomorrow" }), '"exp" claim must be a number'],
  "with an end beyond all times": [() => sign({ exp: 1e300 }), 'its claim "exp" is not a time'],
  "for another audience": [() => sign({ aud: "mail" }), 'unexpected "aud" claim value'],
  "for no audience": [() => sign({ aud: undefined }), 'missing required "aud" claim'],
  "of another issuer": [
    () => sign({ iss: "https://accounts.example" }),
    'unexpected "iss" claim value',
  ],
  "of no issuer": [() => sign({ iss: undefined }), 'missing required "iss" claim'],
  "with `alg: none`": [
    () => `${base64url({ alg: "none" })}.${base64url(sound)}.`,
    "ERR_JOSE_ALG_NOT_ALLOWED",
  ],
  "with `alg: None` and a signature": [
    () => forge({ alg: "None", kid: "rsa" }, "x"),
    "ERR_JOSE_ALG_NOT_ALLOWED",
  ],
  "signed by HMAC with the public key as PEM": [
    async () => forge({ alg: "HS256", kid: "rsa" }, await exportSPKI(rsa.publicKey)),
    "ERR_JOSE_ALG_NOT_ALLOWED",
  ],
  "signed by HMAC with the public key as JSON": [
    () => forge({ alg: "HS256", kid: "rsa" }, JSON.stringify(rsa.published)),
    "ERR_JOSE_ALG_NOT_ALLOWED",
  ],
  "that brings its own key": [
    () => sign({}, { ...other, published: {} as JWK }, { jwk: other.published, kid: "elliptic" }),
    "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
  ],
  "signed by another key of the same id": [
    () => sign({}, { ...other, published: elliptic.published }),
    "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
  ],
  "that names a key for another algorithm": [
    () => sign({}, { ...elliptic, published: rsa.published }),
    "ERR_JWKS_NO_MATCHING_KEY",
  ],
  "of an unknown key": [() => sign({}, other), "ERR_JWKS_NO_MATCHING_KEY"],
  "with a critical extension": [
    () => forge({ alg: "ES256", kid: "elliptic", crit: ["b64"], b64: false }, "x"),
    "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
  ],
  "with changed claims": [
    async () => {
      const [header, , signature] = (await sign()).split(".");
      return `${header}.${base64url({ ...sound, sub: "43" })}.${signature}`;
    },
    "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
  ],
  truncated: [async () => (await sign()).slice(0, -4), "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"],
  "without its signature": [
    async () => (await sign()).split(".").slice(0, 2).join("."),
    "ERR_JWS_INVALID",
  ],
  "of 10 KiB": [() => sign({ more: "x".repeat(10_240) }), "it is longer than 8192 bytes"],
  "that is no text": [() => ({ token: "x" }), "it is not a text"],
  "that is any text": [() => "guest", "ERR_JWS_INVALID"],
  "that says Bearer": [async () => `Bearer ${await sign()}`, "ERR_JWS_INVALID"],
  "without `sub`": [() => sign({ sub: undefined }), "sub"],
  "with an empty `sub`": [() => sign({ sub: "" }), "sub"],
  "with a `sub` of 129 characters": [() => sign({ sub: "x".repeat(129) }), "sub"],
  "with a `sub` that is a number": [() => sign({ sub: 42 }), "sub"],
  "with a `sub` of two lines": [() => sign({ sub: "4\n2" }), "sub"],
  "with half a character in `sub`": [() => sign({ sub: "4\ud8002" }), "sub"],
  "with a lobby that is a number": [() => sign({ lobby: 1 }), "lobby"],
  "with an empty lobby": [() => sign({ lobby: "" }), "lobby"],
  "with a lobby of 65 characters": [() => sign({ lobby: "x".repeat(65) }), "lobby"],
  "with facts that are a text": [() => sign({ facts: "gold" }), "facts"],
  "with facts that are a list": [() => sign({ facts: ["gold"] }), "facts"],
  "with facts that are null": [() => sign({ facts: null }), "facts"],
};

describe("a token is refused that is", () => {
  const authenticator = () => create({ claims: { lobby: "lobby", facts: "facts" } });

  for (const [what, [make, why]] of Object.entries(badTokens))
    test(`${what}, and the log says so once, and nothing of the token`, async () => {
      const token = await make();
      const authenticate = authenticator();
      expect(await authenticate(token)).toEqual(refused);
      expect(lines).toEqual([
        [
          "a token was refused",
          { why: /^[a-z]{3,5}$/.test(why) ? expect.stringContaining(`"${why}"`) : why },
        ],
      ]);
      expect(await authenticate(await sign())).toMatchObject({ account: "42" });
      expect(lines).toHaveLength(1);
    });

  test("signed with another secret, or by a key where a secret is shared", async () => {
    const authenticate = create({ key: { secrets: [secret] } });
    for (const token of [
      signWithSecret({}, "another secret of the tests, as long"),
      sign({}, rsa),
      sign({}, elliptic),
      forge({ alg: "none" }, secret),
      signWithSecret({ exp: startS - 10 }),
    ])
      expect(await authenticate(await token)).toEqual(refused);
    expect(await authenticate(await signWithSecret())).toMatchObject({ account: "42" });
  });

  test("refused, whether or not one is required", async () => {
    expect(await create({ required: true })(await sign({ exp: 1 }))).toEqual(refused);
  });

  test("accepted up to the limits", async () => {
    const authenticate = authenticator();
    for (const claims of [
      { exp: startS - 9 },
      { nbf: startS + 10 },
      { sub: "x".repeat(128) },
      { lobby: "x".repeat(64), facts: {} },
      { more: "x".repeat(5800) },
    ])
      expect(await authenticate(await sign(claims))).toMatchObject({ account: expect.any(String) });
  });

  test("as long as it is accepted, and until `expiresAt`", async () => {
    const authenticate = create();
    const token = await sign({ exp: startS + 60 });
    const answer = await authenticate(token);
    if (!("expiresAt" in answer)) throw new Error("it must be accepted");
    const leftMs = Number(answer.expiresAt) - system.now();
    await system.advance(leftMs - 1);
    expect(await authenticate(token)).toMatchObject({ account: "42" });
    await system.advance(1);
    expect(await authenticate(token)).toEqual(refused);
  });

  test("times are those of the wall clock", async () => {
    const authenticate = create();
    system.stepWallClock(3_700_000);
    expect(await authenticate(await sign())).toEqual(refused);
  });
});

describe("the key set", () => {
  test("is fetched once for all who come at once, and not again for those who follow", async () => {
    const authenticate = create();
    const token = await sign();
    const answers = await Promise.all(Array.from({ length: 50 }, () => authenticate(token)));
    expect(answers.every((answer) => "account" in answer)).toBe(true);
    await system.advance(599_000);
    await authenticate(token);
    expect(provider.fetches).toBe(1);
    await system.advance(1000);
    await authenticate(token);
    expect(provider.fetches).toBe(2);
  });

  test("is fetched anew for a key that it had not, so that keys can be rotated", async () => {
    const authenticate = create();
    const old = await sign();
    await authenticate(old);
    provider.publish(other.published);
    const token = await sign({}, other);
    const retryAfterMs = async (of: string) => {
      const answer = await authenticate(of);
      return ("retryAfterMs" in answer && answer.retryAfterMs) || Number.NaN;
    };
    // The set was fetched a moment ago: the peer is to try again when it can be fetched again.
    const waits = await Promise.all(Array.from({ length: 20 }, () => retryAfterMs(token)));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(30_000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(35_000);
    expect(new Set(waits).size).toBeGreaterThan(10);
    await system.advance(29_000);
    expect(await retryAfterMs(token)).toBeLessThanOrEqual(6000);
    expect(provider.fetches).toBe(0);
    await system.advance(1000);
    expect(await authenticate(token)).toMatchObject({ account: "42" });
    // The old key was withdrawn.
    await system.advance(30_000);
    expect(await authenticate(old)).toEqual(refused);
    expect(provider.fetches).toBe(2);
  });

  test("stops accepting a withdrawn key after ten minutes, though nobody brings a new one", async () => {
    const authenticate = create();
    const token = await sign();
    await authenticate(token);
    provider.publish(other.published);
    await system.advance(599_000);
    expect(await authenticate(token)).toMatchObject({ account: "42" });
    await system.advance(1000);
    expect(await authenticate(token)).toEqual(refused);
  });

  test("is fetched twice a minute at most, however many unknown keys tokens name", async () => {
    const authenticate = create();
    const token = await sign();
    await authenticate(token);
    const forged = await Promise.all(
      Array.from({ length: 20 }, (_, n) => sign({}, other, { kid: `forged-${n}` })),
    );
    provider.publish(elliptic.published);
    for (let second = 0; second < 120; second++) {
      await system.advance(1000);
      const answers = await Promise.all(forged.map((by) => authenticate(by)));
      for (const answer of answers) expect(answer).toMatchObject({ rejected: true });
      expect(await authenticate(token)).toMatchObject({ account: "42" });
    }
    expect(provider.fetches).toBe(4);
  });

  test("is fetched every five seconds at most while that fails, however many tokens come", async () => {
    provider.answerBy(() => new Response(null, { status: 503 }));
    const authenticate = create();
    const token = await sign();
    for (let second = 0; second < 20; second++) {
      const failures = Array.from({ length: 10 }, () => failureOf(authenticate(token)));
      for (const failure of await Promise.all(failures)) expect(failure).toContain("503");
      await system.advance(1000);
    }
    expect(provider.fetches).toBe(4);
    expect(lines).toHaveLength(1);
  });

  const never = () => new Promise<Response>(() => {});
  const endless = () =>
    new Response(
      new ReadableStream({
        pull: (stream) => stream.enqueue(new Uint8Array(65_536).fill(32)),
      }),
    );
  const small = async () => {
    const { publicKey } = await crypto.subtle.generateKey(
      {
        name: "RSASSA-PKCS1-v1_5",
        modulusLength: 1024,
        publicExponent: new Uint8Array([1, 0, 1]),
        hash: "SHA-256",
      },
      true,
      ["sign", "verify"],
    );
    return Response.json({ keys: [{ ...(await exportJWK(publicKey)), kid: "elliptic" }] });
  };
  const noKey = "it has no public key that tokens can be verified by";
  const lies: Record<string, [answer: Answer, why: string]> = {
    "is an error": [() => new Response("oops", { status: 500 }), "the answer is 500, not 200"],
    "is not found": [() => new Response("", { status: 404 }), "the answer is 404, not 200"],
    "is a redirection": [() => Response.redirect("/else"), "the answer is 302, not 200"],
    "is HTML": [
      () => new Response("<!doctype html>", { headers: { "content-type": "text/html" } }),
      "the answer is not JSON",
    ],
    "is cut short": [() => new Response('{"keys":['), "the answer is not JSON"],
    "is empty": [() => new Response(""), "the answer is not JSON"],
    "is null": [() => Response.json(null), 'it has no list "keys"'],
    "is a list": [() => Response.json([]), 'it has no list "keys"'],
    "has no keys": [() => Response.json({ keys: [] }), noKey],
    "has keys that are none": [() => Response.json({ keys: [null, 1, "x", {}, []] }), noKey],
    "has a secret": [
      () => Response.json({ keys: [{ kty: "oct", kid: "elliptic", k: base64url(secret) }] }),
      noKey,
    ],
    "has a private key": [
      async () =>
        Response.json({ keys: [{ ...(await exportJWK(elliptic.privateKey)), kid: "elliptic" }] }),
      noKey,
    ],
    "has a key for encryption": [
      () => Response.json({ keys: [{ ...elliptic.published, use: "enc" }] }),
      noKey,
    ],
    "has a key that is off its curve": [
      () => Response.json({ keys: [{ ...elliptic.published, x: elliptic.published.y }] }),
      noKey,
    ],
    "has a key of 1024 bits": [small, noKey],
    "does not end": [endless, "the answer is longer than 262144 bytes"],
  };

  for (const [what, [answer, why]] of Object.entries(lies))
    test(`is not there if the answer ${what}; peers are told to try again, and the next fetch is tried`, async () => {
      provider.answerBy(answer);
      const authenticate = create();
      const token = await sign();
      await expect(authenticate(token)).rejects.toThrow(why);
      expect(whys()).toEqual([expect.stringContaining(why)]);
      provider.publish(elliptic.published);
      await system.advance(4999);
      await expect(authenticate(token)).rejects.toThrow(why);
      await system.advance(1);
      expect(await authenticate(token)).toMatchObject({ account: "42" });
      expect(lines[1]).toEqual(["the key set of AUTH_JWKS_URL is there again"]);
    });

  for (const [what, [answer]] of Object.entries(lies))
    test(`goes on as it was if an answer ${what}`, async () => {
      const authenticate = create();
      const token = await sign();
      await authenticate(token);
      provider.answerBy(answer);
      await system.advance(600_000);
      const later = await sign({ exp: startS + 100_000 });
      expect(await authenticate(later)).toMatchObject({ account: "42" });
      expect(provider.fetches).toBe(1);
      // A key that the set may have by now.
      await expect(authenticate(await sign({}, other))).rejects.toThrow("can't be fetched");
      expect(lines).toHaveLength(1);
    });

  test("one answer with a key that is of no use keeps no other from being used", async () => {
    provider.publish(
      { kty: "EC", crv: "P-256", x: "x", y: "y" },
      { kty: "new" },
      elliptic.published,
    );
    expect(await create()(await sign())).toMatchObject({ account: "42" });
  });

  test("is away, and comes back", async () => {
    const away = createProvider();
    away.stop();
    const authenticate = create({ key: { jwksUrl: away.url } });
    const token = await sign();
    await expect(authenticate(token)).rejects.toThrow("can't be fetched");
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: Number(new URL(away.url).port),
      fetch: () => Response.json({ keys: [elliptic.published] }),
    });
    await system.advance(5000);
    expect(await authenticate(token)).toMatchObject({ account: "42" });
    await server.stop(true);
  });

  test("hangs: peers wait for it for less than authentication may take; known keys do without it", async () => {
    const authenticate = create();
    const token = await sign({ exp: startS + 100_000 });
    await authenticate(token);
    provider.answerBy(never);
    await system.advance(600_000);
    const answer = authenticate(token);
    await until("the set is fetched", () => provider.fetches === 1);
    await system.advance(1500);
    expect(await answer).toMatchObject({ account: "42" });
    const unknown = failureOf(authenticate(await sign({}, other)));
    await system.advance(1500);
    expect(await unknown).toContain("no answer yet");
    await system.advance(2000);
    await until("the fetch was given up", () => lines.length === 1);
    expect(whys()).toEqual(["no answer in 5000 ms"]);
    expect(await authenticate(token)).toMatchObject({ account: "42" });
    expect(provider.fetches).toBe(1);
  });

  test("that takes two seconds is there for those who try again", async () => {
    const slow = Promise.withResolvers<Response>();
    provider.answerBy(() => slow.promise);
    const authenticate = create();
    const token = await sign();
    const failure = failureOf(authenticate(token));
    await until("the set is fetched", () => provider.fetches === 1);
    await system.advance(2000);
    expect(await failure).toContain("no answer yet");
    slow.resolve(Response.json({ keys: [elliptic.published] }));
    expect(await authenticate(token)).toMatchObject({ account: "42" });
    expect(provider.fetches).toBe(1);
  });

  test("is forgotten after a day in which it could not be fetched", async () => {
    const authenticate = create();
    const token = await sign({ exp: startS + 1_000_000 });
    await authenticate(token);
    provider.answerBy(() => new Response("", { status: 500 }));
    await system.advance(24 * 3_600_000);
    expect(await authenticate(token)).toMatchObject({ account: "42" });
    await system.advance(1);
    await expect(authenticate(token)).rejects.toThrow("500");
  });
});
