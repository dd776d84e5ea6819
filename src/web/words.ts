/** The texts of the page, as functions of its state. */
import type { CameraError } from "../client/camera.ts";
import type { PastRoom, PeerStreamError, PeerStreamState, RoomEnd } from "../client/state.ts";
import type { Mode } from "../protocol.ts";
import { nameWords } from "./facts-words.ts";
import { fill, formatTime, plural, type Language } from "./language.ts";
import { suspensionWords } from "./moderation-words.ts";

/** The status line. */
export function statusWords(state: PeerStreamState, language: Language): string {
  const { page, status, ended } = language.strings;
  switch (state.status) {
    case "idle":
      if (state.error) return errorWords(state.error, language);
      return state.ended ? ended[state.ended] : page.ready;
    case "waiting":
      return state.ended
        ? fill(status.waitingAfter, { ended: ended[state.ended] })
        : status.waiting;
    case "connecting":
      return status.connecting;
    case "connected":
      if (state.orphaned) return status.orphaned;
      return state.partnerMedia?.audio === false ? status.connectedMuted : status.connected;
    case "reconnecting":
      switch (state.what) {
        case "signaling":
          if (state.remote) return status.signalingLostInCall;
          return state.ended
            ? `${ended[state.ended]} ${status.signalingLost}`
            : status.signalingLost;
        case "partner":
          return status.partnerLost;
        case "media":
          return status.mediaLost;
      }
  }
}

/** The text for an error that ended the search or the call. */
export function errorWords(error: PeerStreamError, language: Language): string {
  const { errors } = language.strings;
  switch (error.kind) {
    case "taken-over":
      return errors.takenOver;
    case "server-fault":
      return errors.serverFault;
    case "rejected":
      return rejectionWords(error, language);
    case "unsupported":
      return fill(errors.unsupported, { what: error.what });
    case "call-setup":
      return errors.callSetup;
    case "origin-not-allowed":
      return fill(errors.origin, { origin: error.origin });
    case "wrong-url":
      return fill(errors.wrongUrl, { url: error.url });
    case "turned-away":
      return errors.turnedAway;
    case "closed":
      return errors.closed;
  }
}

function rejectionWords(
  error: Extract<PeerStreamError, { kind: "rejected" }>,
  language: Language,
): string {
  const { errors, rules } = language.strings;
  const { reason, retryAfterMs, until } = error;
  switch (reason) {
    case "rate-limited":
      return fill(errors.rateLimited, { when: delayWords(retryAfterMs, language) });
    case "suspended":
      return until === undefined
        ? errors.suspended
        : fill(errors.suspendedUntil, { time: formatTime(language, until) });
    case "relay-unavailable":
      return errors.noRelay;
    case "draining":
    case "unavailable":
      return fill(errors.busy, { when: delayWords(retryAfterMs, language) });
    case "challenge":
      return error.challenge?.kind === "rules" ? rules.declined : errors.challenge;
    case "bad-input":
      return badInputWords(error.field ?? "", language);
    default:
      return errors.refused;
  }
}

function badInputWords(field: string, { strings: { errors } }: Language): string {
  if (field.startsWith("interests")) return errors.badInterest;
  if (field === "lobby") return errors.badLobby;
  // `facts.age`, `wants.age.from`, `wants.region.in.0`: the name between may have dots, too.
  const parts =
    /^(facts|wants)\.(.+?)(?:\.(?:from|to|is|hard|in(?:\.\d+)?|softAfterMs|\d+))?$/.exec(field);
  const [, part, name = ""] = parts ?? [];
  if (part === "facts") return fill(errors.badFact, { name: nameWords(name) });
  if (part === "wants") return fill(errors.badWant, { name: nameWords(name) });
  return errors.badInput;
}

function delayWords(ms: number | undefined, language: Language): string {
  const { soon, inSeconds } = language.strings.errors;
  return ms === undefined ? soon : plural(language, inSeconds, Math.max(1, Math.ceil(ms / 1000)));
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

interface CoverWords {
  title: string;
  text: string;
}

/**
 * The title and text shown in place of the partner's video.
 * @param insisted the dimensions of which the user wants only certain strangers.
 */
export function coverWords(
  state: PeerStreamState,
  language: Language,
  mode: Mode = "video",
  insisted: readonly string[] = [],
): CoverWords {
  const { cover } = language.strings;
  switch (state.status) {
    case "idle":
      return idleWords(state, language, mode);
    case "waiting":
      return { title: cover.waiting, text: waitingWords(state, language, insisted) };
    case "connecting":
      return { title: cover.connecting, text: cover.connectingText };
    case "connected": {
      const hears = state.partnerMedia?.audio;
      if (state.mode === "audio")
        return {
          title: cover.talking,
          text: hears === false ? cover.mutedText : cover.talkingText,
        };
      if (isPictureOff(state))
        return {
          title: cover.cameraOff,
          text: hears === true ? cover.cameraOffText : cover.bothOffText,
        };
      return { title: cover.almost, text: cover.almostText };
    }
    case "reconnecting":
      return state.roomId === undefined
        ? { title: cover.lost, text: cover.lostText }
        : { title: cover.reconnecting, text: cover.reconnectingText };
  }
}

function idleWords(
  { ended, error }: Extract<PeerStreamState, { status: "idle" }>,
  language: Language,
  mode: Mode,
): CoverWords {
  const { cover, modes } = language.strings;
  if (error?.kind === "taken-over") return { title: cover.takenOver, text: cover.takenOverText };
  if (error?.kind === "rejected" && error.reason === "suspended")
    return { title: cover.suspended, text: suspensionWords(error, language) };
  if (error && permanentErrors.has(error.kind))
    return { title: cover.impossible, text: errorWords(error, language) };
  const { title, text } = modes[mode];
  if (error) return { title: cover.retry, text };
  return { title: ended ? cover.another : title, text };
}

/** `waiting` and `online` include this peer, and were counted when it entered the lobby. */
function waitingWords(
  { waiting, online }: { waiting?: number; online?: number },
  language: Language,
  insisted: readonly string[],
): string {
  const { cover } = language.strings;
  if (waiting === undefined || online === undefined) return cover.moment;
  const names = insisted.map(nameWords).join(", ");
  const hopeOr = (hope: string) => (names === "" ? hope : fill(cover.restricted, { names }));
  const others = waiting - 1;
  if (others > 0) return plural(language, cover.others, others, { hope: hopeOr(cover.othersHope) });
  if (online > 1) return fill(cover.nobody, { hope: hopeOr(cover.nobodyHope) });
  return cover.first;
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

/** The chat log's line at the beginning of a conversation with shared interests. */
export function sharedInterestsWords(interests: readonly string[], language: Language): string {
  const { shared } = language.strings.interests;
  return fill(shared, { interests: new Intl.ListFormat(language.locale).format(interests) });
}

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
