/**
 * Which media an SDP would start, so that a room's mode can be enforced. It is read with suspicion: a section counts as
 * active unless no browser could take it for active. So lines may end in any way that some parser accepts, and only
 * what all parsers read in the same way makes a section inactive.
 */
import type { Mode } from "../protocol.ts";

const kindsIn: Record<Mode, ReadonlySet<string>> = {
  video: new Set(["audio", "video", "application"]),
  audio: new Set(["audio", "application"]),
  text: new Set(["application"]),
};

/** RFC 8866, 5.14, with any case and spacing. */
const mediaLine = /^\s*m\s*=\s*([^\s/]+)(?:\s+([^\s/]+))?/i;
const directionLine = /^\s*a\s*=\s*(?:sendrecv|sendonly|recvonly|inactive)/i;
/** RFC 8843, 6: a section of port 0 that shares the port of another one is not rejected. */
const bundleOnlyLine = /^\s*a\s*=\s*bundle-only/i;

/**
 * Whether an offer or answer has an active media section of a kind that the mode has not. Active is a section whose
 * port is not 0 and whose direction is not `inactive` (RFC 8866, 6.7); `recvonly` is active, as it asks for media.
 */
export function exceedsMode(sdp: string, mode: Mode): boolean {
  if (mode === "video") return false;
  let forbidden = false;
  let stopped = false;
  let directions: string[] = [];
  let bundleOnly = false;
  const isActive = () =>
    bundleOnly ||
    !(stopped || (directions.length > 0 && directions.every((line) => line === "a=inactive")));

  // A CR alone ends a line for some parsers, and is part of one for others: nothing then counts as inactive.
  const isPlain = !/\r(?!\n)|[\0\u2028\u2029\u0085\v\f]/.test(sdp);
  for (const line of sdp.split(/\r\n|[\r\n\0\u2028\u2029\u0085\v\f]/)) {
    const media = mediaLine.exec(line);
    if (media) {
      if (forbidden && isActive()) return true;
      const [, kind = "", port] = media;
      forbidden = !kindsIn[mode].has(kind.toLowerCase());
      stopped = isPlain && port === "0";
      directions = [];
      bundleOnly = false;
    } else if (directionLine.test(line)) directions.push(isPlain ? line : "");
    else if (bundleOnlyLine.test(line)) bundleOnly = true;
  }
  return forbidden && isActive();
}
