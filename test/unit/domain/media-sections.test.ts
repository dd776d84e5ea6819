/** Which offers and answers a room's mode lets through. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { exceedsMode } from "../../../src/domain/media-sections.ts";

const lines = (...all: string[]) => ["v=0", "s=-", "t=0 0", ...all, ""].join("\r\n");
const audio = ["m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", "a=sendrecv"];
const video = ["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1", "a=sendrecv"];
const data = ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=mid:2"];
const videoAs = (...attributes: string[]) => [video[0] ?? "", "a=mid:1", ...attributes];

describe("B7 an SDP in a room for sound", () => {
  test.each([
    ["sound alone", lines(...audio, ...data)],
    ["a channel alone", lines(...data)],
    ["a picture that is inactive", lines(...audio, ...videoAs("a=inactive"))],
    ["a picture of port 0", lines(...audio, "m=video 0 UDP/TLS/RTP/SAVPF 96", "a=sendrecv")],
    ["line feeds alone", lines(...audio, ...videoAs("a=inactive")).replaceAll("\r", "")],
    ["no line end at its end", lines(...audio).trimEnd()],
    ["words about a picture", lines(...audio, "a=x:m=video 9", "i=m=video 9")],
  ])("B7 passes with %s", (_, sdp) => {
    expect(exceedsMode(sdp, "audio")).toBe(false);
    expect(exceedsMode(sdp, "video")).toBe(false);
  });

  const zero = "m=video 0 UDP/TLS/RTP/SAVPF 96";
  test.each([
    ["a picture", lines(...audio, ...video, ...data)],
    ["a picture first", lines(...video, ...audio)],
    ["a picture that only comes", lines(...audio, ...videoAs("a=sendonly"))],
    ["a picture that is only wanted", lines(...audio, ...videoAs("a=recvonly"))],
    ["a picture without a direction", lines(...audio, ...videoAs())],
    ["the second of two pictures", lines(...videoAs("a=inactive"), ...video)],
    ["the first of two pictures", lines(...video, ...videoAs("a=inactive"))],
    ["a picture in the bundle's port", lines(...audio, zero, "a=bundle-only", "a=sendrecv")],
    ["a direction that is not the section's", lines("a=inactive", ...audio, ...videoAs())],
    ["a section's direction that is another's", lines(...audio, "a=inactive", ...videoAs())],
    ["two directions", lines(...videoAs("a=inactive", "a=sendrecv"))],
    ["two directions, the other way round", lines(...videoAs("a=sendrecv", "a=inactive"))],
    ["a direction that only looks like one", lines(...videoAs("a=inactively"))],
    ["a port and a number of ports", lines("m=video 0/2 RTP/AVP 96", "m=video 9/2 RTP/AVP 96")],
    ["another case", lines("M=VIDEO 9 UDP/TLS/RTP/SAVPF 96")],
    ["spaces", lines(" m = video  9 UDP/TLS/RTP/SAVPF 96")],
    ["no port", lines("m=video")],
    ["line feeds", lines(...audio, ...video).replaceAll("\r", "")],
    ["carriage returns", lines(...audio, ...video).replaceAll("\n", "")],
    ["a line end of its own before it", lines(`${audio[0]}\rm=video 9 RTP/AVP 96`)],
    ["an end of its inactivity that not all see", lines(...videoAs("b=AS:1\ra=inactive"))],
    ["a picture shown as an image", lines("m=image 9 udptl t38")],
  ])("B7 does not pass with %s", (_, sdp) => {
    expect(exceedsMode(sdp, "audio")).toBe(true);
    expect(exceedsMode(sdp, "text")).toBe(true);
    expect(exceedsMode(sdp, "video")).toBe(false);
  });

  test("B7 nor does sound in a room for text", () => {
    expect(exceedsMode(lines(...audio, ...data), "text")).toBe(true);
    expect(exceedsMode(lines(...data), "text")).toBe(false);
    expect(exceedsMode(lines("m=audio 0 RTP/AVP 0", ...data), "text")).toBe(false);
  });

  test("B7 does not pass with a picture among anything else", () => {
    const noise = fc.constantFrom(
      ...audio,
      ...data,
      "a=inactive",
      "a=bundle-only",
      "m=video 0 RTP/AVP 96",
      "b=AS:300",
      "",
    );
    fc.assert(
      fc.property(fc.array(noise), fc.array(noise), (before, after) => {
        // Its own section ends with the next one: what stands behind that is not its direction.
        const sdp = [...before, ...video, "m=audio 9 RTP/AVP 0", ...after].join("\r\n");
        expect(exceedsMode(sdp, "audio")).toBe(true);
      }),
    );
  });
});
