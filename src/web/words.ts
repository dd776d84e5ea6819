/** What the page says, as functions of where things stand. */
import type { CallStats } from "../client/call-stats.ts";
import type { CameraError } from "../client/camera.ts";
import type { PeerStreamError, PeerStreamState, RoomEnd } from "../client/state.ts";
import type { ReportReason } from "../protocol.ts";

const endings: Record<RoomEnd, string> = {
  left: "The stranger left.",
  skipped: "The stranger moved on.",
  lost: "The stranger's connection was lost.",
  "connect-failed": "The two of you could not be connected.",
  removed: "The stranger was removed.",
  "media-lost": "The connection to the stranger broke.",
};

/** The status line. */
export function statusWords(state: PeerStreamState): string {
  switch (state.status) {
    case "idle":
      if (state.error) return errorWords(state.error);
      return state.ended ? endings[state.ended] : "Ready when you are.";
    case "waiting":
      return state.ended
        ? `${endings[state.ended]} Looking for somebody else…`
        : "Looking for somebody…";
    case "connecting":
      return "Found somebody. Connecting…";
    case "connected":
      return state.orphaned
        ? "The server lost track of this call. It goes on until you press Next."
        : connectedWords(state);
    case "reconnecting":
      switch (state.what) {
        case "signaling":
          return state.remote
            ? "The server is out of reach. Your call goes on…"
            : `${state.ended ? `${endings[state.ended]} ` : ""}The server is out of reach. Trying again…`;
        case "partner":
          return "The stranger's connection dropped. Waiting for them to come back…";
        case "media":
          return "The connection to the stranger is shaky. Mending it…";
      }
  }
}

function connectedWords({
  partnerMedia,
}: Extract<PeerStreamState, { status: "connected" }>): string {
  if (partnerMedia?.audio === false) return "You are connected. The stranger's microphone is off.";
  return "You are connected. Say hello!";
}

/** Why it is over, in words. */
export function errorWords(error: PeerStreamError): string {
  switch (error.kind) {
    case "taken-over":
      return "Another tab took over. Press Start to go on in this one.";
    case "server-fault":
      return "The server made a mistake. Please try again.";
    case "rejected":
      return rejectionWords(error);
    case "unsupported":
      return `This browser has no ${error.what}, or it is switched off. Without it there are no calls.`;
    case "call-setup":
      return "Your browser could not set up the call. Reload the page, or try another browser.";
    case "origin-not-allowed":
      return `The server does not accept pages of ${error.origin}. Its operator can add that to CORS_ORIGIN.`;
    case "wrong-url":
      return `There is no Peer Stream server at ${error.url}.`;
    case "turned-away":
      return "The server closed the connection for good. Please reload the page.";
    case "closed":
      return "This page has ended its connection. Please reload it.";
  }
}

function rejectionWords(error: Extract<PeerStreamError, { kind: "rejected" }>): string {
  const { reason, retryAfterMs, until } = error;
  switch (reason) {
    case "rate-limited":
      return `That was a little fast. Try again ${inWords(retryAfterMs)}.`;
    case "suspended":
      return until === undefined
        ? "You are suspended."
        : `You are suspended until ${new Date(until).toLocaleString("en")}.`;
    case "relay-unavailable":
      return "This server has no relay, so it cannot hide your address.";
    case "draining":
    case "unavailable":
      return `The server is busy. Try again ${inWords(retryAfterMs)}.`;
    case "bad-input":
      return error.field?.startsWith("interests")
        ? "One of your interests is not understood."
        : "The server did not understand this page. Please reload it.";
    default:
      return "The server refused. Please reload the page.";
  }
}

function inWords(ms: number | undefined): string {
  if (ms === undefined) return "in a moment";
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  return seconds === 1 ? "in a second" : `in ${seconds} seconds`;
}

/** Errors that another press of Start does not get over. */
const neverByItself: ReadonlySet<PeerStreamError["kind"]> = new Set([
  "unsupported",
  "origin-not-allowed",
  "wrong-url",
]);

/** Whether the partner has said that it shows no picture just now. */
export function isPictureOff(state: PeerStreamState): boolean {
  return "partnerMedia" in state && state.partnerMedia?.video === false;
}

/** The big words on the stage while there is no picture of a partner. */
export function coverWords(state: PeerStreamState): { title: string; text: string } {
  if (state.status === "connected" && isPictureOff(state)) {
    return state.partnerMedia?.audio === true
      ? { title: "Camera off", text: "The stranger's camera is off. You can still hear them." }
      : {
          title: "Camera off",
          text: "The stranger's camera and microphone are off. You can still write.",
        };
  }
  switch (state.status) {
    case "idle":
      if (state.error?.kind === "taken-over") {
        return {
          title: "Over in another tab.",
          text: "You went on in a copy of this page. Press Start, and it goes on here instead.",
        };
      }
      if (state.error?.kind === "rejected" && state.error.reason === "suspended") {
        return {
          title: "You are suspended.",
          text: "Several people reported you, or a moderator did. Until the time below is over, this server pairs you with nobody.",
        };
      }
      if (state.error && neverByItself.has(state.error.kind))
        return { title: "This does not work here.", text: errorWords(state.error) };
      return {
        title: state.ended || state.error ? "Once more?" : "Meet somebody new.",
        text: "One press, one stranger, face to face. Sound and picture go straight between the two of you.",
      };
    case "waiting":
      return { title: "Looking for somebody…", text: waitingWords(state.waiting, state.online) };
    case "connecting":
      return { title: "There you are.", text: "Setting up the line between the two of you." };
    case "connected":
      return { title: "Almost there…", text: "Waiting for the stranger's picture." };
    case "reconnecting":
      return state.roomId === undefined
        ? { title: "Out of reach.", text: "The server does not answer. This page keeps trying." }
        : { title: "Hold on…", text: "Bringing the connection back." };
  }
}

/** `waiting` and `online` count this peer, and are those of the moment at which it entered the lobby. */
function waitingWords(waiting: number | undefined, online: number | undefined): string {
  if (waiting === undefined || online === undefined) return "One moment.";
  const others = waiting - 1;
  if (others > 0) {
    const subject = others === 1 ? "One other person was" : `${others} others were`;
    return `${subject} waiting when you came, but you have just met, or your interests differ. In a while you may be paired all the same.`;
  }
  if (online > 1) return "Nobody else was waiting when you came. The next one may be yours.";
  return "You are the first one here. Stay a moment, somebody will come by.";
}

/** The count of peers that are online. */
export function onlineWords(online: number): string {
  return `${online.toLocaleString("en")} online`;
}

/** Camera trouble that a person can do something about. */
export type CameraTrouble = Exclude<CameraError["kind"], "superseded" | "closed"> | "ended";

/** Camera trouble by its name, and what can be done about it. */
export function cameraWords(error: CameraTrouble): { title: string; text: string } {
  switch (error) {
    case "denied":
      return {
        title: "The camera is blocked",
        text: "This page may not use your camera and microphone. Allow it with the icon in the address bar (or in your system's privacy settings), then try again.",
      };
    case "not-found":
      return {
        title: "No camera found",
        text: "There is no camera or no microphone. Plug one in and try again, or go on without.",
      };
    case "in-use":
      return {
        title: "The camera is busy",
        text: "Another program seems to be using your camera or microphone. Close it, then try again.",
      };
    case "insecure-context":
      return {
        title: "This page is not secure",
        text: "Browsers share cameras only with pages that come over HTTPS or from this very machine. Open the page that way, or go on without a camera.",
      };
    case "overconstrained":
      return {
        title: "The camera does not fit",
        text: "Your camera cannot do what this page asked for. Try again, or go on without it.",
      };
    case "ended":
      return {
        title: "The camera went away",
        text: "It was unplugged, or its permission was taken back. The stranger sees nothing of you until it is back.",
      };
    case "unknown":
      return {
        title: "The camera does not start",
        text: "Your browser did not say why. Trying again often helps.",
      };
  }
}

/** Why somebody is reported, as the person chooses it. */
export const reportWords: Record<ReportReason, string> = {
  nudity: "Nudity or sexual acts",
  harassment: "Insults or threats",
  hate: "Hate",
  minor: "Somebody under age",
  spam: "Advertising or a recording",
  other: "Something else",
};

/** The figures of a call, by name. `firstFrameMs` is from being paired to the first picture painted. */
export function statsWords(
  stats: CallStats,
  firstFrameMs: number | undefined,
): [name: string, value: string][] {
  const { path, roundTripMs, lossRatio, codecs, picture, matchMs, connectMs } = stats;
  const none = "–";
  return [
    ["Path", path ?? none],
    ["Round trip", roundTripMs === undefined ? none : `${Math.round(roundTripMs)} ms`],
    ["Receiving", rate(stats.receivedBitsPerS)],
    ["Sending", rate(stats.sentBitsPerS)],
    ["Loss", lossRatio === undefined ? none : `${(100 * lossRatio).toFixed(1)} %`],
    ["Codecs", [codecs.video, codecs.audio].filter(Boolean).join(", ") || none],
    [
      "Picture",
      picture ? `${picture.width} × ${picture.height}, ${Math.round(picture.framesPerS)}/s` : none,
    ],
    ["To match", seconds(matchMs)],
    ["To connect", seconds(connectMs)],
    ["To first picture", seconds(firstFrameMs)],
  ];
}

function rate(bitsPerS: number): string {
  const kilobits = bitsPerS / 1000;
  return kilobits < 1000
    ? `${Math.round(kilobits)} kbit/s`
    : `${(kilobits / 1000).toFixed(1)} Mbit/s`;
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? "–" : `${(ms / 1000).toFixed(2)} s`;
}
