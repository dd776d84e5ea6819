import { describe, expect, test } from "bun:test";
import { attest, messagesIn } from "../../../src/domain/attestation.ts";
import type { QuotedMessage } from "../../../src/protocol.ts";

const logged = (...texts: string[]) => texts.map((text, n) => ({ text, at: 1000 + n }));
const quoted = (...messages: [QuotedMessage["from"], string][]): QuotedMessage[] =>
  messages.map(([from, text]) => ({ from, text, at: 5 }));
const marks = (messages: QuotedMessage[], logs: Parameters<typeof attest>[1]) =>
  attest(messages, logs).map(({ attested }) => attested);

describe("messages that are quoted", () => {
  test("are attested if they are in the log of whom they were sent to, and have its time", () => {
    const logs = { received: logged("hello"), sent: logged("hi") };
    expect(attest(quoted(["partner", "hello"], ["me", "hi"]), logs)).toEqual([
      { from: "partner", text: "hello", at: 1000, attested: true },
      { from: "me", text: "hi", at: 1000, attested: true },
    ]);
  });

  test("are not if the other one has said them, or nobody has", () => {
    const logs = { received: logged("hello"), sent: logged("hi") };
    expect(attest(quoted(["me", "hello"], ["partner", "hello "]), logs)).toEqual([
      { from: "me", text: "hello", at: 5, attested: false },
      { from: "partner", text: "hello ", at: 5, attested: false },
    ]);
  });

  test("are attested as often as they were said", () => {
    const logs = { received: logged("ha"), sent: [] };
    expect(marks(quoted(["partner", "ha"], ["partner", "ha"]), logs)).toEqual([false, true]);
  });

  test("are attested in the order in which they were said", () => {
    const logs = { received: logged("yes", "no"), sent: [] };
    expect(marks(quoted(["partner", "yes"], ["partner", "no"]), logs)).toEqual([true, true]);
    expect(marks(quoted(["partner", "no"], ["partner", "yes"]), logs)).toEqual([false, true]);
  });

  test("are the last ones, so equal ones from before do not count for them", () => {
    const logs = { received: logged("ha", "one", "ha"), sent: [] };
    expect(attest(quoted(["partner", "ha"]), logs)[0]?.at).toBe(1002);
  });
});

test("a log's messages are those of the room, whatever else it has", () => {
  const message = (roomId: string, text: string) =>
    JSON.stringify({ type: "message", roomId, text, at: 7 });
  const events = [
    message("before", "no"),
    '{"type":"offer","roomId":"room","sdp":"{\\"type\\":\\"message\\"}"}',
    message("room", 'with "quotes" and \n lines'),
    '["iceServers",{"type":"create-offer"}]',
    '{"type":"message","roomId":"room"}',
  ];
  expect(messagesIn(events, "room")).toEqual([{ text: 'with "quotes" and \n lines', at: 7 }]);
});
