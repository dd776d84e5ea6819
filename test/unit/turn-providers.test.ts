/** The adapters for Cloudflare and Twilio, against an imitation of their interfaces, and the check of what a provider answers. */
import type { IceProvider } from "../../src/ice.ts";
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { createSystem } from "../../src/system.ts";
import {
  checkAnswer,
  cloudflareTurn,
  faultOf,
  twilioTurn,
  withinTime,
} from "../../src/turn-providers.ts";
import { hang, startTurnProvider, turnKey, twilioAccount } from "../support/turn-provider.ts";
import { createVirtualSystem, settled } from "../support/virtual-system.ts";

const fake = startTurnProvider();
afterAll(() => fake[Symbol.asyncDispose]());
beforeEach(() => {
  fake.answer = undefined;
  fake.asked.length = 0;
});

const { schedule } = createSystem();
const url = fake.url;
const cloudflare = cloudflareTurn({ ...turnKey, url });
const twilio = twilioTurn({ ...twilioAccount, url });
const ask = async (provide: IceProvider, ttlS = 3600) =>
  checkAnswer(
    await withinTime(schedule, (signal) => provide({ name: "a-name", ttlS, signal })),
    ttlS,
  );
const faultWhen = async (provide: IceProvider, answer: () => Response | Promise<Response>) => {
  fake.answer = answer;
  return ask(provide).then(() => "no fault", faultOf);
};

describe("the adapter for", () => {
  test("Cloudflare asks for credentials with a name, leaves out port 53, and revokes", async () => {
    const { servers, ttlS } = await ask(cloudflare);
    expect(servers).toEqual([
      { urls: ["stun:stun.cloudflare.com:3478"] },
      {
        urls: ["turn:turn.example:3478?transport=udp"],
        username: expect.stringMatching(/^user/),
        credential: expect.stringMatching(/^password/),
      },
    ]);
    expect(ttlS).toBe(3600);
    expect(fake.asked[0]?.path).toBe("/v1/turn/keys/f00d/credentials/generate-ice-servers");
    expect(JSON.parse(fake.asked[0]?.body ?? "")).toEqual({
      ttl: 3600,
      customIdentifier: "a-name",
    });
    const username = servers[1]?.username ?? "";
    expect(fake.valid.has(username)).toBe(true);
    await withinTime(schedule, (signal) => cloudflare.revoke?.(username, signal));
    expect(fake.valid.has(username)).toBe(false);
    const again = withinTime(schedule, (signal) => cloudflare.revoke?.(username, signal));
    expect(await again.catch(faultOf)).toBe("the answer is 404, not 204");
  });

  test("Twilio asks for a token, and believes the time that it tells", async () => {
    const { servers, ttlS } = await ask(twilio);
    expect(servers).toEqual([
      { urls: ["stun:global.stun.twilio.com:3478"] },
      {
        urls: ["turn:turn.example:3478?transport=udp"],
        username: expect.stringMatching(/^user/),
        credential: expect.stringMatching(/^password/),
      },
    ]);
    expect(ttlS).toBe(3600);
    expect(fake.asked[0]).toMatchObject({
      path: "/2010-04-01/Accounts/AC0f00d/Tokens.json",
      body: "Ttl=3600",
    });
    fake.answer = () =>
      Response.json({ ttl: "600", ice_servers: [{ urls: "stun:a.example" }] }, { status: 201 });
    expect((await ask(twilio)).ttlS).toBe(600);
    fake.answer = () => Response.json({ ttl: "0", ice_servers: [] }, { status: 201 });
    expect(await ask(twilio).catch(faultOf)).toMatch(/expire within 60 s$/);
    expect(twilio.revoke).toBeUndefined();
  });

  test("a wrong token is a status, which is told", async () => {
    const wrong = cloudflareTurn({ ...turnKey, apiToken: "another", url });
    expect(await ask(wrong).catch(faultOf)).toBe("the answer is 401, not 201");
    const other = twilioTurn({ ...twilioAccount, authToken: "another", url });
    expect(await ask(other).catch(faultOf)).toBe("the answer is 401, not 201");
  });

  for (const [name, provide] of [
    ["Cloudflare", cloudflare],
    ["Twilio", twilio],
  ] as const)
    test(`${name} refuses whatever is no answer`, async () => {
      const html = () =>
        new Response("<html>hello</html>", { headers: { "content-type": "text/html" } });
      expect(await faultWhen(provide, () => new Response("", { status: 500 }))).toBe(
        "the answer is 500, not 201",
      );
      expect(await faultWhen(provide, html)).toBe("the answer is not JSON");
      // Not followed: the token would be sent there.
      expect(await faultWhen(provide, () => Response.redirect("http://127.0.0.1:9/", 307))).toBe(
        "the answer is 307, not 201",
      );
      expect(await faultWhen(provide, () => Response.json({}))).toMatch(
        /^the answer is not a list of ICE servers: i/,
      );
      let sent = 0;
      const endless = () =>
        new Response(
          new ReadableStream({
            pull(controller) {
              sent += 1;
              controller.enqueue(new Uint8Array(16_384).fill(32));
            },
          }),
        );
      expect(await faultWhen(provide, endless)).toBe("the answer is longer than 65536 bytes");
      expect(sent).toBeLessThan(1000);
    });
});

test("a provider that hangs is given up after 2 s, and its signal aborted, even if it does not heed that", async () => {
  const system = createVirtualSystem();
  let signal: AbortSignal | undefined;
  const asked = withinTime(system.schedule, (given) => {
    signal = given;
    return hang();
  });
  const ended = asked.then(() => "answered", faultOf);
  await system.advance(1999);
  expect(signal?.aborted).toBe(false);
  await system.advance(1);
  await settled();
  expect(signal?.aborted).toBe(true);
  expect(await ended).toBe("no answer within 2000 ms");
});

test("an answer is checked, and its fault told without any credentials", () => {
  const fault = (answer: unknown) => {
    try {
      checkAnswer(answer, 3600);
      return undefined;
    } catch (error) {
      return faultOf(error);
    }
  };
  const turn = { urls: "turn:a.example", username: "a name", credential: "a secret" };
  expect(checkAnswer([turn], 3600)).toEqual({
    servers: [{ urls: ["turn:a.example"], username: "a name", credential: "a secret" }],
    ttlS: 3600,
  });
  // Longer than was asked for is nothing to rely on.
  expect(checkAnswer({ iceServers: [turn], ttlS: 7200 }, 3600).ttlS).toBe(3600);
  expect(checkAnswer([], 3600).servers).toEqual([]);
  const about = "the answer is not a list of ICE servers: ";
  for (const [answer, why] of [
    [undefined, about],
    ["turn:a.example", about],
    [[{ ...turn, username: 7 }], `${about}0: username: `],
    [[{ ...turn, credential: null }], `${about}0: credential: `],
    [[{ ...turn, urls: 7 }], `${about}0: urls: must be a URL or a list of them`],
    [[{ ...turn, urls: ["https://a.example"] }], `${about}0: urls: "https://a.example" is no URL`],
    [[{ ...turn, urls: ["turn://a.example"] }], `${about}0: urls: "turn://a.example" is no URL`],
    [[{ ...turn, urls: ["turn:a.example:99999"] }], `${about}0: urls: "turn:a.example:99999" is`],
    [[{ urls: "turn:a.example" }], `${about}0: a TURN server needs username and credential`],
    [[{ ...turn, credential: "" }], `${about}0: a TURN server needs username and credential`],
    [Array.from({ length: 33 }, () => turn), about],
    [[{ ...turn, credential: "x".repeat(2049) }], `${about}0: credential: `],
    [
      Array.from({ length: 8 }, () => ({ ...turn, credential: "x".repeat(2000) })),
      `${about}is too large`,
    ],
    [{ iceServers: [turn], ttlS: 0 }, `${about}ttlS: the credentials expire within 60 s`],
    [{ iceServers: [turn], ttlS: Number.NaN }, `${about}ttlS: `],
    [{ iceServers: [turn], ttlS: "3600" }, `${about}ttlS: `],
  ] as const) {
    const told = fault(answer);
    expect(told?.startsWith(why) ? why : told).toBe(why);
    expect(told).not.toContain("a secret");
    expect(told).not.toContain("a name");
  }
});
