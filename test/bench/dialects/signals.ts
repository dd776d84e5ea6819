/** What browsers send, with the signal's number between two marks in it. */

/** A candidate's line of 150 bytes. */
function candidateOf(n: number): string {
  const line = `candidate:842163049 1 udp 1677729535 203.0.113.77 46154 typ srflx raddr 192.0.2.24 rport 46154 generation 0 ufrag #${n}# network-id 1`;
  return line.padEnd(150, " ");
}

const mediaLines = Array.from(
  { length: 180 },
  (_, n) => `a=rtpmap:${n} VP8/90000 nack pli\r\n`,
).join("");
/** 6 KB, as browsers make with video. */
export const sdpOf = (n: number) =>
  `v=0\r\no=- 4611731400430051336 #${n}# IN IP4 127.0.0.1\r\n${mediaLines}`.slice(0, 6144);

/** In the order in which browsers serialize it. */
export const initOf = (n: number) => ({
  candidate: candidateOf(n),
  sdpMid: "0",
  sdpMLineIndex: 0,
  usernameFragment: "abcd",
});

/** As long as a candidate in JSON, so that both are compared at one size. */
export const textOf = (n: number) =>
  `Number #${n}#: `.padEnd(JSON.stringify(initOf(n)).length, "lorem ipsum dolor sit amet ");

/** The number between the marks. */
export function numberIn(text: string): number {
  const from = text.indexOf("#");
  return from < 0 ? -1 : Number(text.slice(from + 1, text.indexOf("#", from + 1)));
}

export const roomIdIn = (text: string) => /"roomId":"([^"]+)"/.exec(text)?.[1] ?? "";
