/** The texts of the page, as functions of its state. */
import type { CameraError } from "../client/camera.ts";
import type { PastRoom, PeerStreamError, PeerStreamState, RoomEnd } from "../client/state.ts";
import type { Mode, ReportReason } from "../protocol.ts";
import { nameWords } from "./facts-words.ts";
import { modeWords } from "./mode-words.ts";
import { suspensionWords } from "./moderation-words.ts";

const endings: Record<RoomEnd, string> = {
  left: "The stranger left.",
  skipped: "The stranger moved on.",
  lost: "The stranger's connection was lost.",
  "connect-failed": "You could not be connected to the stranger.",
  removed: "The stranger was removed.",
  "media-lost": "The connection to the stranger failed.",
};

/** The status line. */
export function statusWords(state: PeerStreamState): string {
  switch (state.status) {
    case "idle":
      if (state.error) return errorWords(state.error);
      return state.ended ? endings[state.ended] : "Ready when you are.";
    case "waiting":
      return state.ended
        ? `${endings[state.ended]} Looking for someone else…`
        : "Looking for someone…";
    case "connecting":
      return "Found someone. Connecting…";
    case "connected":
      return state.orphaned
        ? "The server no longer knows this call. It continues until you press Next."
        : connectedWords(state);
    case "reconnecting":
      switch (state.what) {
        case "signaling":
          return state.remote
            ? "Lost the connection to the server. Your call continues…"
            : `${state.ended ? `${endings[state.ended]} ` : ""}Lost the connection to the server. Reconnecting…`;
        case "partner":
          return "The stranger's connection dropped. Waiting for them to reconnect…";
        case "media":
          return "The connection to the stranger is unstable. Reconnecting…";
      }
  }
}

function connectedWords({
  partnerMedia,
}: Extract<PeerStreamState, { status: "connected" }>): string {
  if (partnerMedia?.audio === false) return "You are connected. The stranger's microphone is off.";
  return "You are connected. Say hello!";
}

/** The text for an error that ended the search or the call. */
export function errorWords(error: PeerStreamError): string {
  switch (error.kind) {
    case "taken-over":
      return "This chat is open in another tab. Press Start to use it here.";
    case "server-fault":
      return "Something went wrong on the server. Please try again.";
    case "rejected":
      return rejectionWords(error);
    case "unsupported":
      return `This browser does not support ${error.what}, or it is turned off. Calls need it.`;
    case "call-setup":
      return "Your browser could not set up the call. Reload the page, or try another browser.";
    case "origin-not-allowed":
      return `The server does not accept pages from ${error.origin}. Its operator can add it to CORS_ORIGIN.`;
    case "wrong-url":
      return `There is no Peer Stream server at ${error.url}.`;
    case "turned-away":
      return "The server closed the connection. Please reload the page.";
    case "closed":
      return "This page closed its connection. Please reload it.";
  }
}

function rejectionWords(error: Extract<PeerStreamError, { kind: "rejected" }>): string {
  const { reason, retryAfterMs, until } = error;
  switch (reason) {
    case "rate-limited":
      return `You are doing that too often. Try again ${inWords(retryAfterMs)}.`;
    case "suspended":
      return until === undefined
        ? "You are suspended."
        : `You are suspended until ${new Date(until).toLocaleString("en")}.`;
    case "relay-unavailable":
      return "This server has no relay, so it cannot hide your IP address.";
    case "draining":
    case "unavailable":
      return `The server is busy. Try again ${inWords(retryAfterMs)}.`;
    case "challenge":
      return error.challenge?.kind === "rules"
        ? rulesWords.declined
        : "Your browser could not solve what the server asked for. Reload the page over HTTPS, or try another browser.";
    case "bad-input":
      return badInputWords(error.field ?? "");
    default:
      return "The server refused the request. Please reload the page.";
  }
}

function badInputWords(field: string): string {
  if (field.startsWith("interests")) return "One of your interests is not valid.";
  if (field === "lobby") return "You cannot enter this lobby. Choose another in the settings.";
  // `facts.age`, `wants.age.from`, `wants.region.in.0`: the name between may have dots, too.
  const parts =
    /^(facts|wants)\.(.+?)(?:\.(?:from|to|is|hard|in(?:\.\d+)?|softAfterMs|\d+))?$/.exec(field);
  const [, part, name = ""] = parts ?? [];
  if (part === "facts")
    return `The server does not accept what you say about yourself: ${nameWords(name)}. Change it in the settings.`;
  if (part === "wants")
    return `The server does not accept what you want of strangers: ${nameWords(name)}. Change it in the settings.`;
  return "The server rejected the request. Please reload the page.";
}

function inWords(ms: number | undefined): string {
  if (ms === undefined) return "in a moment";
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  return seconds === 1 ? "in a second" : `in ${seconds} seconds`;
}

/** Errors that pressing Start again cannot solve. */
const permanentErrors: ReadonlySet<PeerStreamError["kind"]> = new Set([
  "unsupported",
  "origin-not-allowed",
  "wrong-url",
]);

/** Whether the partner has turned its camera off, or the room has no video. */
export function isPictureOff(state: PeerStreamState): boolean {
  if ("mode" in state && state.mode === "audio") return true;
  return "partnerMedia" in state && state.partnerMedia?.video === false;
}

/**
 * The title and text shown in place of the partner's video.
 * @param insisted the dimensions of which the user wants only certain strangers.
 */
export function coverWords(
  state: PeerStreamState,
  mode: Mode = "video",
  insisted: readonly string[] = [],
): { title: string; text: string } {
  if (state.status === "connected" && state.mode === "audio") {
    const isMuted = state.partnerMedia?.audio === false;
    const text = isMuted ? "The stranger's microphone is off." : "You can hear each other.";
    return { title: "You are talking", text };
  }
  if (state.status === "connected" && isPictureOff(state)) {
    return state.partnerMedia?.audio === true
      ? { title: "Camera off", text: "The stranger's camera is off. You can still hear them." }
      : {
          title: "Camera off",
          text: "The stranger's camera and microphone are off. You can still chat.",
        };
  }
  switch (state.status) {
    case "idle":
      if (state.error?.kind === "taken-over") {
        return {
          title: "Open in another tab",
          text: "You continued in another tab. Press Start to continue here instead.",
        };
      }
      if (state.error?.kind === "rejected" && state.error.reason === "suspended") {
        return {
          title: "You are suspended",
          text: suspensionWords(state.error),
        };
      }
      if (state.error && permanentErrors.has(state.error.kind))
        return { title: "This does not work here", text: errorWords(state.error) };
      return {
        title: idleTitle(state, mode),
        text: modeWords[mode].text,
      };
    case "waiting":
      return { title: "Looking for someone…", text: waitingWords(state, insisted) };
    case "connecting":
      return { title: "Connecting…", text: "Setting up the call." };
    case "connected":
      return { title: "Almost there…", text: "Waiting for the stranger's video." };
    case "reconnecting":
      return state.roomId === undefined
        ? { title: "Connection lost", text: "The server does not respond. Trying to reconnect." }
        : { title: "Reconnecting…", text: "Trying to restore the connection." };
  }
}

function idleTitle(
  { ended, error }: Extract<PeerStreamState, { status: "idle" }>,
  mode: Mode,
): string {
  if (error) return "Try again?";
  return ended ? "Meet someone else?" : modeWords[mode].title;
}

/** `waiting` and `online` include this peer, and were counted when it entered the lobby. */
function waitingWords(
  { waiting, online }: { waiting?: number; online?: number },
  insisted: readonly string[],
): string {
  if (waiting === undefined || online === undefined) return "One moment…";
  const others = waiting - 1;
  const restricted = `Your settings let you meet only certain strangers (${insisted.map(nameWords).join(", ")}).`;
  if (others > 0) {
    const subject = others === 1 ? "One other person was" : `${others} other people were`;
    const hope = insisted.length > 0 ? restricted : "You may still be matched in a while.";
    return `${subject} waiting when you joined, but you have met recently or your interests or wishes differ. ${hope}`;
  }
  if (online > 1) {
    const next = insisted.length > 0 ? restricted : "The next person to join may be your match.";
    return `No one else was waiting when you joined. ${next}`;
  }
  return "You are the first one here. You will be matched when someone else joins.";
}

/** The number of peers that are online. */
export function onlineWords(online: number): string {
  return `${online.toLocaleString("en")} online`;
}

/** Camera errors that the page shows. */
export type CameraTrouble = (typeof cameraTroubles)[number] | "ended";

/** The errors of a camera that the user is shown. */
const cameraTroubles = [
  "denied",
  "not-found",
  "in-use",
  "insecure-context",
  "overconstrained",
  "unknown",
] as const satisfies CameraError["kind"][];

export function isCameraTrouble(
  kind: CameraError["kind"],
): kind is Exclude<CameraTrouble, "ended"> {
  return cameraTroubles.some((trouble) => trouble === kind);
}

/** The title and text for a camera error: what is wrong and what the user can do. */
export function cameraWords(error: CameraTrouble): { title: string; text: string } {
  switch (error) {
    case "denied":
      return {
        title: "Camera access is blocked",
        text: "This page is not allowed to use your camera and microphone. Allow it with the icon in the address bar or in your system's privacy settings, then try again.",
      };
    case "not-found":
      return {
        title: "No camera found",
        text: "No camera or no microphone was found. Connect one and try again, or continue without.",
      };
    case "in-use":
      return {
        title: "The camera is in use",
        text: "Another application seems to be using your camera or microphone. Close it, then try again.",
      };
    case "insecure-context":
      return {
        title: "This page is not secure",
        text: "Browsers only share cameras with pages loaded over HTTPS or from localhost. Open the page that way, or continue without a camera.",
      };
    case "overconstrained":
      return {
        title: "The camera is not supported",
        text: "Your camera cannot provide the video that this page asked for. Try again, or continue without it.",
      };
    case "ended":
      return {
        title: "The camera was disconnected",
        text: "It was unplugged, or its permission was revoked. The stranger cannot see you until it is back.",
      };
    case "unknown":
      return {
        title: "The camera could not be started",
        text: "Your browser did not say why. Trying again often helps.",
      };
  }
}

/** What the local preview says where it shows no picture. */
export const localMediaWords = {
  none: "The stranger cannot see or hear you.",
  cameraOff: "Your camera is off.",
  audioOnly: "Audio only.",
};

/** A button that asks for a second press: its label, its label then, and the status line then. */
export const confirmWords = {
  next: { label: "Next", confirm: "Really?", status: "Press Next again to leave this stranger." },
  block: {
    label: "Block",
    confirm: "Really?",
    status: "Press Block again to leave this stranger and never be matched with them again.",
  },
};

/** The chat log's line at the beginning of a conversation with shared interests. */
export function sharedInterestsWords(interests: readonly string[]): string {
  return `You both like ${new Intl.ListFormat("en").format(interests)}.`;
}

/** The chat log's line at the end of a conversation. */
export const endedWords = "The conversation has ended.";

/** Meeting the last stranger again: the button, and the chat log's lines once it was pressed. */
export const againWords = {
  label: "Meet again",
  asked:
    "You asked to meet this stranger again. If they ask for it as well, you will be connected.",
  tooLate: "It is too late to meet this stranger again.",
};

/** The ends that may be an accident, of either of the two: both have to ask, so both must be offered it. */
const accidents: ReadonlySet<RoomEnd> = new Set([
  "skipped",
  "lost",
  "connect-failed",
  "media-lost",
]);

/** The room whose stranger the user may want to meet again: not where one of the two has left on purpose. */
export function offeredAgain(state: PeerStreamState): PastRoom | undefined {
  if (!("again" in state)) return undefined;
  // Without a reason this peer has ended the room itself: by Next, which searches on, or by Stop.
  const isAccident = state.ended ? accidents.has(state.ended) : state.status !== "idle";
  return isAccident ? state.again : undefined;
}

/** The reasons for a report, as the user chooses one. */
export const reportWords: Record<ReportReason, string> = {
  nudity: "Nudity or sexual content",
  harassment: "Harassment or threats",
  hate: "Hate speech",
  minor: "Someone who seems underage",
  spam: "Spam, advertising or a recording",
  other: "Something else",
};

/** The operator's rules. */
export const rulesWords = {
  age: (years: number) => `I am at least ${years} years old.`,
  declined: "You can start once you have agreed to the rules.",
};
