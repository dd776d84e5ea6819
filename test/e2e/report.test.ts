/** Reports as a user makes them on the page, with what the operator receives; and what the reported one is told. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { isJpeg } from "../../src/rpc/jpeg.ts";
import { until } from "../support/until.ts";
import { couple, setStage, type Guest, type Stage } from "./stage.ts";

setDefaultTimeout(60_000);

const ADMIN_TOKEN = "a token for the operator";
const APPEAL = "https://example.com/appeal";

interface Received {
  type: string;
  caseId: string;
  reason: string;
  note?: string;
  evidence?: { still?: string; messages?: { from: string; text: string }[] };
}

let received: Received[] = [];
const receiver = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request) {
    received.push((await request.json()) as Received);
    return new Response();
  },
});

let stage: Stage;
beforeAll(async () => {
  stage = await setStage({
    ADMIN_TOKEN,
    APPEAL,
    MODERATION_WEBHOOK: receiver.url.href,
    MODERATION_SECRET: "shared with the receiver",
    REPORTS_TO_SUSPEND: "1",
    REPORTS_AFTER_MS: "0",
    SKIP_COOLDOWN_MS: "0",
  });
});
afterEach(async () => {
  received = [];
  expect(await stage.clear()).toEqual([]);
});
afterAll(async () => {
  await stage[Symbol.asyncDispose]();
  await receiver.stop(true);
});

async function report(reason: string): Promise<Received> {
  await until(`the report for ${reason} arrives`, () =>
    received.some((one) => one.reason === reason),
  );
  return received.find((one) => one.reason === reason) as Received;
}

/** Two who see each other and have exchanged a message each. */
async function talking(): Promise<[Guest, Guest]> {
  const [alice, bob] = await couple(stage);
  await alice.say("hello there");
  await bob.reads("hello there");
  await bob.say("buy my coins");
  await alice.reads("buy my coins");
  await alice.sees();
  return [alice, bob];
}

test("still and messages are offered with a preview, and neither is sent unless the user agrees", async () => {
  const [alice, bob] = await talking();
  await alice.by("report-open").click();
  await alice.by("report-picture").waitFor();
  expect(await alice.by("report-still").isChecked()).toBe(false);
  expect(await alice.by("report-messages").isChecked()).toBe(false);
  await alice.page.getByRole("button", { name: "Hate speech" }).click();
  const plain = await report("hate");
  expect([plain.note, plain.evidence]).toEqual([undefined, undefined]);
  // The one who was reported is told once, and goes on when it has read that.
  await bob.by("warning").waitFor();
  const warning = await bob.by("warning-text").innerText();
  expect(warning).toStartWith(
    "You were reported for hate speech. If this goes on, you will be suspended",
  );
  expect(warning).toContain(plain.caseId);
  await bob.by("warning-close").click();
  expect(await bob.by("warning").isVisible()).toBe(false);
});

test("what the user agrees to is sent, as it was shown", async () => {
  const [alice] = await talking();
  // What was entered before a cancellation is forgotten.
  await alice.by("report-open").click();
  await alice.by("report-note").fill("Never mind.");
  await alice.by("report-messages").check();
  await alice.page.keyboard.press("Escape");
  await alice.by("report-open").click();
  expect(await alice.by("report-note").inputValue()).toBe("");
  expect(await alice.by("report-messages").isChecked()).toBe(false);
  await alice.by("report-note").fill("It goes on and on.");
  await alice.by("report-picture").waitFor();
  const colours = await alice.by("report-picture").evaluate((canvas) => {
    if (!(canvas instanceof HTMLCanvasElement)) throw new Error("no canvas");
    const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
    return new Set(data).size;
  });
  expect(colours).toBeGreaterThan(2);
  await alice.page.getByText("Show these messages").click();
  const shown = await alice.by("report-messages-list").innerText();
  expect(shown.split("\n")).toEqual(["You: hello there", "Stranger: buy my coins"]);
  await alice.by("report-still").check();
  await alice.by("report-messages").check();
  await alice.page.getByRole("button", { name: "Spam, advertising or a recording" }).click();
  const { note, evidence } = await report("spam");
  expect(note).toBe("It goes on and on.");
  expect(isJpeg(Buffer.from(evidence?.still ?? "", "base64"))).toBe(true);
  expect(evidence?.messages?.map(({ from, text }) => [from, text])).toEqual([
    ["me", "hello there"],
    ["partner", "buy my coins"],
  ]);
  await alice.reads("Your report was sent. Thank you.");
});

test("a dialog that was opened about a stranger who has left reports nobody else", async () => {
  const [alice, bob] = await couple(stage);
  await alice.by("report-open").click();
  await bob.page.close();
  const carol = await stage.enter();
  await carol.start();
  await Promise.all([alice.until("connected", 60_000), carol.until("connected", 60_000)]);
  await alice.reads("You have met somebody else before the report was sent. Nobody was reported.");
  expect(await alice.by("report").isVisible()).toBe(false);
  expect(await alice.state()).toBe("connected");
  expect(received).toEqual([]);
});

test("whoever is suspended reads why and until when, and has a link to object", async () => {
  const alice = await stage.enter();
  await alice.start();
  await alice.until("waiting");
  // The page shows that it waits before the server has made the session.
  const idOf = () =>
    alice.page.evaluate(() => sessionStorage.getItem("peer-stream.token")?.split(".")[0]);
  await until("there is a session", idOf);
  const suspended = await fetch(`${stage.origin}/admin/suspend`, {
    method: "POST",
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" },
    body: JSON.stringify({
      subject: { kind: "session", id: await idOf() },
      until: Date.UTC(2099, 11, 24, 12),
      because: "harassment",
    }),
  });
  expect(suspended.status).toBe(200);
  await alice.until("idle");
  const cover = await alice.by("cover").innerText();
  expect(cover).toContain("You were reported for harassment or threats.");
  expect(cover).toContain("You will not be matched with anyone until 12/24/2099");
  expect(await alice.by("appeal").getAttribute("href")).toBe(APPEAL);
});
