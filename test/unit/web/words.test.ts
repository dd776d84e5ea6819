import { aboutStrangerWords, nameWords, partnerFactsWords } from "../../../src/web/facts-words.ts";
import { describe, expect, test } from "bun:test";
import type { PeerStreamError, PeerStreamState } from "../../../src/client/state.ts";
import { rejectionReasons } from "../../../src/protocol.ts";
import { english, plural } from "../../../src/web/language.ts";
import { parseInterests } from "../../../src/web/interests.ts";
import {
  coverWords,
  errorWords,
  isPictureOff,
  offeredAgain,
  statusWords,
} from "../../../src/web/words.ts";

const language = english([]);

const connected: PeerStreamState = {
  status: "connected",
  roomId: "r",
  sharedInterests: [],
  partnerFacts: {},
  mode: "video",
  chat: "direct",
  remote: {} as MediaStream,
};

describe("meeting again", () => {
  const again = { roomId: "r", until: 1 };
  test.each(["lost", "media-lost", "connect-failed", "skipped"] as const)(
    "is offered after an accident: %s",
    (ended) => {
      expect(offeredAgain({ status: "waiting", since: 0, ended, again })).toBe(again);
      expect(offeredAgain({ status: "idle", ended, again })).toBe(again);
    },
  );

  test("is offered after the user's own Next, and not after Stop", () => {
    expect(offeredAgain({ status: "waiting", since: 0, again })).toBe(again);
    expect(offeredAgain({ status: "reconnecting", what: "signaling", again })).toBe(again);
    expect(offeredAgain({ status: "idle", again })).toBeUndefined();
  });

  test("is not offered where one has left on purpose, where it is impossible, or in a room", () => {
    expect(offeredAgain({ status: "waiting", since: 0, ended: "left", again })).toBeUndefined();
    expect(offeredAgain({ status: "waiting", since: 0, ended: "removed", again })).toBeUndefined();
    expect(offeredAgain({ status: "waiting", since: 0, ended: "lost" })).toBeUndefined();
    expect(offeredAgain(connected)).toBeUndefined();
  });
});

describe("what the operator has named", () => {
  test.each([
    ["eu", "Eu"],
    ["north america", "North america"],
    ["élan", "Élan"],
    ["𐐨𐐩", "𐐀𐐩"],
    ["日本", "日本"],
    ["18+", "18+"],
    ["<b>", "<b>"],
  ])("%p is shown as %p", (name, words) => {
    expect(nameWords(name)).toBe(words);
  });

  test("is told of the stranger", () => {
    const facts = { region: "eu", topics: ["art", "go"], age: 31, smoker: false, adult: true };
    expect(partnerFactsWords(facts, language)).toEqual([
      "Region: Eu",
      "Topics: Art, Go",
      "Age: 31",
      "Smoker: no",
      "Adult: yes",
    ]);
    expect(aboutStrangerWords({ region: "eu", age: 31 }, language)).toBe(
      "About the stranger: Region: Eu; Age: 31.",
    );
  });
});

describe("the status line", () => {
  test.each<[PeerStreamState, string]>([
    [{ status: "idle" }, "Ready when you are."],
    [{ status: "idle", ended: "lost" }, "The stranger's connection was lost."],
    [{ status: "waiting", since: 0 }, "Looking for someone…"],
    [
      { status: "waiting", since: 0, ended: "left" },
      "The stranger left. Looking for someone else…",
    ],
    [
      {
        status: "connecting",
        roomId: "r",
        sharedInterests: [],
        partnerFacts: {},
        mode: "video",
        chat: "direct",
      },
      "Found someone. Connecting…",
    ],
    [
      { ...connected, orphaned: true } as PeerStreamState,
      "The server no longer knows this call. It continues until you press Next.",
    ],
    [
      { status: "reconnecting", what: "signaling" },
      "Lost the connection to the server. Reconnecting…",
    ],
    [
      { status: "idle", error: { kind: "taken-over", cause: undefined } },
      "This chat is open in another tab. Press Start to use it here.",
    ],
  ])("for %j says %p", (state, words) => {
    expect(statusWords(state, language)).toBe(words);
  });

  test("has words for every refusal", () => {
    for (const reason of rejectionReasons) {
      if (reason === "taken-over") continue;
      expect(
        errorWords({ kind: "rejected", reason, message: "", cause: undefined }, language),
      ).toMatch(/^[A-Z].+\.$/);
    }
    expect(
      errorWords(
        {
          kind: "rejected",
          reason: "rate-limited",
          message: "",
          cause: undefined,
          retryAfterMs: 1500,
        },
        language,
      ),
    ).toBe("You are doing that too often. Try again in 2 seconds.");
  });

  test.each([
    ["interests.0", /^One of your interests is not valid/],
    ["lobby", /^You cannot enter this lobby\. Choose another in the settings/],
    ["facts.age", /^The server does not accept what you say about yourself: Age\. Change it/],
    ["facts.topics.3", /about yourself: Topics\./],
    ["facts.spoken languages", /about yourself: Spoken languages\./],
    ["wants.age.from", /^The server does not accept what you want of strangers: Age\. Change it/],
    ["wants.region.in.0", /of strangers: Region\./],
    ["wants.region.in", /of strangers: Region\./],
    ["wants.node.js.hard", /of strangers: Node\.js\./],
    ["wants.adult", /of strangers: Adult\./],
    ["mode", /^The server rejected the request/],
    [undefined, /^The server rejected the request/],
  ])("says what to change where the server refuses %p", (field, words) => {
    const error = { kind: "rejected", reason: "bad-input", message: "", cause: undefined } as const;
    expect(errorWords(field === undefined ? error : { ...error, field }, language)).toMatch(words);
  });

  test.each<[PeerStreamError, RegExp]>([
    [
      { kind: "unsupported", what: "WebRTC", message: "", cause: undefined },
      /^This browser does not support WebRTC/,
    ],
    [{ kind: "call-setup", message: "", cause: undefined }, /^Your browser could not set up/],
    [
      {
        kind: "origin-not-allowed",
        origin: "http://localhost:8080",
        message: "",
        cause: undefined,
      },
      /^The server does not accept pages from http:\/\/localhost:8080\. .*CORS_ORIGIN/,
    ],
    [
      { kind: "wrong-url", url: "ws://localhost/", message: "", cause: undefined },
      /^There is no Peer Stream server at ws:\/\/localhost\/\.$/,
    ],
    [
      { kind: "turned-away", code: 4500, message: "", cause: undefined },
      /^The server closed the connection. Please reload/,
    ],
    [{ kind: "closed", message: "", cause: undefined }, /reload/],
  ])("for the error %j says what is wrong", (error, words) => {
    expect(statusWords({ status: "idle", error }, language)).toMatch(words);
  });

  test("B14 says that the stranger has gone while the server is out of reach", () => {
    expect(
      statusWords({ status: "reconnecting", what: "signaling", ended: "left" }, language),
    ).toBe("The stranger left. Lost the connection to the server. Reconnecting…");
  });

  test("has words for every trouble with the camera", () => {
    for (const kind of [
      "denied",
      "not-found",
      "in-use",
      "insecure-context",
      "overconstrained",
      "ended",
      "unknown",
    ] as const) {
      expect(language.strings.camera[kind].text).toMatch(/^[A-Z].+\.$/);
    }
  });

  test("counts in English", () => {
    expect(plural(language, language.strings.page.online, 12_345)).toBe("12,345 online");
  });
});

describe("the words over the stage while waiting", () => {
  test.each<[number | undefined, number | undefined, RegExp]>([
    [undefined, undefined, /^One moment/],
    [1, 1, /^You are the first one here/],
    [1, 2, /^No one else was waiting when you joined/],
    [
      2,
      2,
      /^One other person was waiting when you joined, but you have met recently or your interests or wishes differ/,
    ],
    [4, 9, /^3 other people were waiting when you joined, but you have met recently or/],
  ])("B13 with %p waiting of %p online claim only what holds", (waiting, online, words) => {
    const counts = { ...(waiting && { waiting }), ...(online && { online }) };
    expect(coverWords({ status: "waiting", since: 0, ...counts }, language).text).toMatch(words);
  });

  test.each([2, 1])("name the wants that may be why nobody is met (%p waiting)", (waiting) => {
    const state: PeerStreamState = { status: "waiting", since: 0, waiting, online: 2 };
    expect(coverWords(state, language).text).not.toContain("settings");
    expect(coverWords(state, language, "video", ["region", "age"]).text).toEndWith(
      "Your settings let you meet only certain strangers (Region, Age).",
    );
  });
});

describe("interests", () => {
  test("are split, trimmed, and told once", () => {
    expect(parseInterests(" chess , Jazz;chess, CHESS,, rock   climbing ")).toEqual([
      "chess",
      "Jazz",
      "rock climbing",
    ]);
    expect(parseInterests(" , ")).toEqual([]);
  });

  test("keep within what the server takes: ten, of 32 characters", () => {
    const line = Array.from({ length: 20 }, (_, n) => `${n}${"😀".repeat(40)}`).join(",");
    const interests = parseInterests(line);
    expect(interests).toHaveLength(10);
    for (const interest of interests) expect([...interest]).toHaveLength(32);
  });

  test.each([
    ["jazz，rock；folk", "full width"],
    ["jazz、rock､folk", "ideographic"],
    ["jazz。rock｡folk。", "ideographic full stops, one at the end"],
    ["jazz، rock؛ folk۔", "Arabic, Urdu"],
    ["jazz, rock। folk॥", "dandas"],
    ["jazz፣ rock፤ folk።", "Ethiopic"],
    ["jazz՝ rock, folk", "Armenian"],
    ["jazz၊ rock၊ folk။", "Burmese"],
    ["jazz᠂ rock᠂ folk", "Mongolian"],
    ["jazz\nrock\r\nfolk", "line breaks"],
    ["jazz\u2028rock\u2029folk", "line breaks of Unicode"],
    ["#jazz #rock ＃folk", "hashtags"],
  ])("C are parted by the separators of the world's scripts: %j, %s", (line) => {
    expect(parseInterests(line).map((interest) => interest.replace(/^[#＃]/, ""))).toEqual([
      "jazz",
      "rock",
      "folk",
    ]);
  });

  test.each([
    "node.js",
    "col·lecció",
    "哈利·波特",
    "ハリー・ポッター",
    "AC/DC",
    "R&B",
    "sci-fi",
    "c#",
    "C # minor",
    "hip hop",
    "rock 'n' roll",
    "Wer bin ich?",
    "12:30",
  ])("C are not parted inside: %s", (interest) => {
    expect(parseInterests(interest)).toEqual([interest]);
  });
});

describe("B6 a partner whose camera or microphone is off", () => {
  const connected = (audio: boolean, video: boolean): PeerStreamState => ({
    status: "connected",
    roomId: "r",
    sharedInterests: [],
    partnerFacts: {},
    mode: "video",
    chat: "direct",
    remote: {} as MediaStream,
    partnerMedia: { audio, video },
  });

  test("B6 is shown as that", () => {
    expect(coverWords(connected(true, false), language).text).toContain("camera is off");
    expect(coverWords(connected(false, false), language).text).toContain(
      "camera and microphone are off",
    );
    expect(statusWords(connected(false, true), language)).toContain("microphone is off");
    expect(statusWords(connected(true, true), language)).toBe("You are connected. Say hello!");
    expect([true, false].map((video) => isPictureOff(connected(true, video)))).toEqual([
      false,
      true,
    ]);
  });
});
