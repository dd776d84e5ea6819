/** What each procedure takes, as zod schemas. An unknown field is refused. */
import { z } from "zod";
import { factsInput, wantsInput } from "./facts-input.ts";
import { lobbyCharsMax } from "./identity.ts";
import { isJpeg } from "./jpeg.ts";
import { callPaths, isMessageText, limits, modes, reportReasons } from "../protocol.ts";
import type { FactsDeclaration } from "../protocol/declaration.ts";

/**
 * Any string that a peer sends: well-formed Unicode. A lone surrogate can be written in JSON but not in UTF-8 (RFC 8259, 8.2),
 * so that two parsers of the same text would disagree about it.
 */
export const wireString = () =>
  z.string().refine((text) => text.isWellFormed(), "must be well-formed Unicode");

const utf8 = new TextEncoder();

/*
 * What is checked by code is told to the documents (`rpc/wire`) by `meta`: JSON Schema counts code points, so that `maxLength` may allow
 * more than the check, never less.
 */

/** A string of at most `bytes` bytes of UTF-8. Its length decides all but the near misses. */
const bounded = (bytes: number) =>
  wireString()
    .refine((text) => text.length * 3 <= bytes || utf8.encode(text).length <= bytes, {
      message: `must be at most ${bytes} bytes`,
    })
    .meta({ maxLength: bytes, description: `at most ${bytes} bytes of UTF-8` });

const mutationId = wireString()
  .min(1)
  .max(limits.mutationIdCharsMax)
  .meta({ description: "chosen by the client for this mutation, and the same when it is repeated" })
  .optional();
const roomId = wireString().min(1).max(64);

const interest = wireString()
  .regex(/\S/, "must not be blank")
  .max(limits.interestCharsMax * 2)
  .refine((text) => [...text].length <= limits.interestCharsMax, {
    message: `must be at most ${limits.interestCharsMax} characters`,
  })
  .meta({ maxLength: limits.interestCharsMax });

/** A BCP 47 language tag. Only its primary subtag is matched; a malformed tag is ignored. */
const language = wireString().max(limits.languageCharsMax);

/** The name of a lobby; which ones there are is up to the operator. */
const lobby = wireString().min(1).max(lobbyCharsMax).optional();

/**
 * `join`: enter the lobby with these wishes; while waiting, replace them and keep the place in the queue.
 * @param declared the dimensions that facts and wants may be of.
 * @param softAfterMs after which a want gives way that says nothing of it (milliseconds).
 */
export const joinInput = (declared: FactsDeclaration, softAfterMs: number) =>
  z
    .strictObject({
      id: mutationId,
      interests: z.array(interest).max(limits.interestsMax).default([]),
      languages: z.array(language).max(limits.languagesMax).default([]),
      mode: z.enum(modes).default("video"),
      relayOnly: z.boolean().default(false).meta({
        description: "hide both peers' addresses from each other: media goes through TURN only",
      }),
      autoRejoin: z.boolean().default(true).meta({
        description: "return to the lobby by itself when the partner ends the room",
      }),
      lobby: lobby.meta({
        description: "default: where the operator has put the peer, or else `main`",
      }),
      facts: factsInput(declared),
      wants: wantsInput(declared, softAfterMs),
      solution: bounded(limits.solutionBytesMax)
        .min(1)
        .meta({
          description: `of the challenge that the call before was refused with, at most ${limits.solutionBytesMax} bytes of UTF-8`,
        })
        .optional(),
      agreed: wireString()
        .min(1)
        .max(limits.rulesVersionCharsMax)
        .meta({ description: "the version of the rules that the visitor has agreed to" })
        .optional(),
    })
    .prefault({});

/** `skip`: leave this partner, find another. It names the room, so that a late call can't end the next one. */
export const skipInput = z.strictObject({ id: mutationId, roomId: roomId.optional() }).prefault({});

/** `leave`: leave lobby or room. */
export const leaveInput = z.strictObject({ id: mutationId }).prefault({});

/** `offer`, `answer`: an SDP (RFC 8829), relayed unchanged. */
export const descriptionInput = z.strictObject({
  id: mutationId,
  roomId,
  sdp: bounded(limits.sdpBytesMax).min(1),
});

const candidateInit = z.strictObject({
  candidate: bounded(limits.candidateBytesMax),
  sdpMid: wireString().max(64).nullish(),
  sdpMLineIndex: z.int().min(0).max(0xffff).nullish(),
  usernameFragment: wireString().max(256).nullish(),
});

/** `addIceCandidate` */
export const candidateInput = z.strictObject({ id: mutationId, roomId, candidate: candidateInit });

const standingOffer = z
  .strictObject({
    sdp: bounded(limits.sdpBytesMax).min(1),
    candidates: z.array(candidateInit).max(limits.standingCandidatesMax),
  })
  .refine((offer) => utf8.encode(JSON.stringify(offer)).length <= limits.standingBytesMax, {
    message: `must be at most ${limits.standingBytesMax} bytes as JSON`,
  })
  .meta({ description: `at most ${limits.standingBytesMax} bytes as JSON` });

/** `standby`: an offer for whoever is paired with the caller next; `null` takes it back. */
export const standbyInput = z.strictObject({ id: mutationId, offer: standingOffer.nullable() });

/** `say`: words for the partner. */
export const sayInput = z.strictObject({
  id: mutationId,
  roomId,
  text: z
    .string()
    .refine(isMessageText, {
      message: `must be 1 to ${limits.messageCharsMax} characters, not all blank, and no control characters but TAB and LF`,
    })
    .meta({
      minLength: 1,
      maxLength: limits.messageCharsMax,
      description: "not all blank, and no control characters but TAB and LF",
    }),
});

/** `typing`: whether the caller types a message now. */
export const typingInput = z.strictObject({ id: mutationId, roomId, typing: z.boolean() });

/** `media`: what the caller sends from now on. */
export const mediaInput = z.strictObject({
  id: mutationId,
  roomId,
  audio: z.boolean(),
  video: z.boolean(),
});

/** `again`: meet the other member of this room again, which has ended, if that one asks for it, too. */
export const againInput = z.strictObject({ id: mutationId, roomId });

/** `failed`: the media path was not established, or was lost. Its path, if there was one, is only counted. */
export const verdictInput = z.strictObject({
  id: mutationId,
  roomId,
  path: z.enum(callPaths).optional(),
});

/** `connected`, with the proof of the room once the server or the partner was away. */
export const connectedInput = verdictInput.extend({
  proof: wireString().max(limits.proofCharsMax).optional(),
});

/** `hint`: what a classifier in the peer's own browser says of its camera. */
export const hintInput = z.strictObject({
  id: mutationId,
  roomId,
  label: wireString()
    .max(limits.hintLabelCharsMax)
    .regex(/^[^\p{Cc}]+$/u, "must be printable characters"),
  score: z.number().min(0).max(1),
});

/** `block`: the partner in the present room, or in one of the last few. The reason is for clients of earlier versions. */
export const blockInput = z.strictObject({
  id: mutationId,
  roomId,
  reason: z.enum(reportReasons).optional(),
});

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

const still = z
  .string()
  .max(Math.ceil(limits.stillBytesMax / 3) * 4, `must be at most ${limits.stillBytesMax} bytes`)
  .regex(base64, "must be base64 without a prefix")
  .refine((text) => isJpeg(Buffer.from(text, "base64")), "must be a JPEG")
  .refine((text) => Buffer.byteLength(text, "base64") <= limits.stillBytesMax, {
    message: `must be at most ${limits.stillBytesMax} bytes`,
  })
  .meta({
    contentEncoding: "base64",
    contentMediaType: "image/jpeg",
    description: `at most ${limits.stillBytesMax} bytes once decoded`,
  });

const quoted = z.strictObject({
  from: z.enum(["me", "partner"]),
  text: bounded(limits.quotedBytesMax).min(1),
  at: z.int().nonnegative().meta({ description: "epoch milliseconds, a whole number" }),
});

const evidence = z.strictObject({
  still: still.optional(),
  messages: z
    .array(quoted)
    .max(limits.quotedMessagesMax)
    .refine(
      (messages) =>
        messages.reduce((bytes, { text }) => bytes + utf8.encode(text).length, 0) <=
        limits.quotedBytesMax,
      { message: `their texts must be at most ${limits.quotedBytesMax} bytes together` },
    )
    .meta({ description: `of ${limits.quotedBytesMax} bytes together, the oldest first` })
    .optional(),
});

/** `report`: as `block`, and what an operator is told with it. */
export const reportInput = z.strictObject({
  id: mutationId,
  roomId,
  reason: z.enum(reportReasons).optional(),
  note: wireString()
    .min(1)
    .max(limits.noteCharsMax * 2)
    .refine((text) => [...text].length <= limits.noteCharsMax, {
      message: `must be at most ${limits.noteCharsMax} characters`,
    })
    .meta({ maxLength: limits.noteCharsMax })
    .optional(),
  evidence: evidence.optional(),
});

/** `case`: what was decided of a report. */
export const caseInput = z.strictObject({ caseId: wireString().min(1).max(64) });

/** `stats`: of one lobby, by default as `join`. */
export const statsInput = z.strictObject({ lobby }).prefault({});

/** `iceServers`, `site` */
export const noInput = z.strictObject({}).prefault({});

/** `events`: resume after this event id. tRPC's client fills it in by itself. */
export const eventsInput = z
  .strictObject({ lastEventId: wireString().max(128).optional() })
  .prefault({});
