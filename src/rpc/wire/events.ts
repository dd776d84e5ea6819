/** What a peer is sent, as zod schemas for the documents of the wire. Their types are those of `protocol.ts`, which a test compares. */
import { z } from "zod";
import { endReasons, modes, sanctionReasons } from "../../protocol.ts";

const mode = z.enum(modes);

/** Of the server's clock. Deadlines are reckoned by a clock that has fractions of milliseconds. */
const epochMs = z
  .number()
  .meta({ description: "epoch milliseconds of the server's clock, perhaps with a fraction" });
/** What a report quotes has to be whole. */
const wholeEpochMs = z.int().meta({ description: "epoch milliseconds of the server's clock" });
const count = z.int().nonnegative();
const roomId = z
  .string()
  .meta({ description: "opaque: the room's name, of at most 64 characters" });

export const factValue = z.union([z.string(), z.array(z.string()), z.number(), z.boolean()]);

export const iceServer = z
  .object({
    urls: z.array(z.string()),
    username: z.string().exactOptional(),
    credential: z.string().exactOptional(),
  })
  .meta({ description: "an RTCIceServer (W3C WebRTC, 4.2.5)" });

const media = z.object({ audio: z.boolean(), video: z.boolean() });

export const candidate = z
  .object({
    candidate: z.string(),
    sdpMid: z.string().nullish(),
    sdpMLineIndex: z.int().nullish(),
    usernameFragment: z.string().nullish(),
  })
  .meta({
    description: 'an RTCIceCandidateInit (W3C WebRTC, 4.8); `candidate: ""` ends a generation',
  });

export const standingOffer = z.object({ sdp: z.string(), candidates: z.array(candidate) });

export const roomTerms = z.object({
  roomId,
  polite: z.boolean().meta({ description: "the role in perfect negotiation (W3C WebRTC, 10.7)" }),
  relayOnly: z.boolean().meta({ description: "use `iceTransportPolicy: 'relay'`" }),
  sharedInterests: z.array(z.string()),
  mode,
  chat: z.enum(["server", "direct"]).meta({ description: "which way words take" }),
  media: media.meta({ description: "what the partner sends" }),
  partnerFacts: z.record(z.string(), factValue),
  proof: z
    .string()
    .meta({ description: "what `connected` takes once the server or the partner was away" }),
});

const iceServers = z.array(iceServer);
const paired = roomTerms.extend({ status: z.literal("paired"), iceServers });

export const peerState = z.union([
  z.object({ status: z.literal("idle") }),
  z.object({ status: z.literal("waiting"), since: epochMs }),
  paired.extend({ partner: z.literal("here") }),
  paired.extend({ partner: z.literal("reconnecting"), deadline: epochMs }),
]);

export const sanctionReason = z.enum(sanctionReasons);

export const suspensionNotice = z.object({
  until: epochMs.exactOptional(),
  because: sanctionReason.exactOptional(),
  caseId: z.string().exactOptional(),
  appeal: z.string().meta({ description: "where to object: a URL or a text" }).exactOptional(),
});

export const challenge = z.looseObject({ kind: z.string() }).meta({
  description: "`RulesChallenge`, `ProofOfWorkChallenge`, or of a kind of the site's own",
});

const hex = z.string().meta({ description: "hexadecimal" });

/** The server's own kinds of challenge, by the names of their schemas. */
export const challenges = {
  RulesChallenge: z
    .object({
      kind: z.literal("rules"),
      version: z.string(),
      text: z.string().exactOptional(),
      url: z.string().exactOptional(),
      age: z.number().meta({ description: "the least age in years" }).exactOptional(),
    })
    .meta({ description: "Ask the visitor, and join with `agreed: version`." }),
  ProofOfWorkChallenge: z
    .object({
      kind: z.literal("proof-of-work"),
      parameters: z
        .object({
          algorithm: z.literal("PBKDF2/SHA-256"),
          nonce: hex,
          salt: hex,
          cost: z.int().meta({ description: "iterations" }),
          keyLength: z.int().meta({ description: "bytes" }),
          keyPrefix: z
            .string()
            .meta({ description: "hexadecimal: how the key that is looked for begins" }),
          keySignature: z.string(),
          data: z.object({ until: epochMs }),
        })
        .meta({ description: "comes back in the solution, with all its fields as they are" }),
      signature: z.string(),
    })
    .meta({
      description:
        "Count until the key that is derived begins with `keyPrefix`, and join with the `solution`: base64 of `ProofOfWorkSolution` in JSON.",
    }),
  ProofOfWorkSolution: z
    .object({
      challenge: z.object({ parameters: z.looseObject({}), signature: z.string() }),
      // ALTCHA's widget also says how long it took.
      solution: z.looseObject({ counter: z.int().nonnegative(), derivedKey: hex }),
    })
    .meta({ description: "What the `solution` of a proof of work is, before base64." }),
} as const;

/** By type, each with what it means. */
export const events = {
  session: z
    .object({
      type: z.literal("session"),
      token: z.string(),
      resumed: z.boolean(),
      state: peerState,
    })
    .meta({
      description: "The session and its state: the first event of every stream. Keep the token.",
    }),
  lobby: z
    .object({
      type: z.literal("lobby"),
      waiting: count,
      online: count,
      estimateMs: z.number().nonnegative().exactOptional(),
    })
    .meta({ description: "The peer waits for a partner." }),
  "create-offer": roomTerms
    .extend({
      type: z.literal("create-offer"),
      standing: z.literal(true).exactOptional(),
      polite: z.literal(false),
      iceServers,
    })
    .meta({
      description: "Paired: the peer makes the offer, or has left it already (`standing`).",
    }),
  "wait-for-offer": roomTerms
    .extend({
      type: z.literal("wait-for-offer"),
      offer: standingOffer.exactOptional(),
      polite: z.literal(true),
      iceServers,
    })
    .meta({
      description: "Paired: the partner makes the offer, or has left it already (`offer`).",
    }),
  offer: z
    .object({ type: z.literal("offer"), roomId, sdp: z.string() })
    .meta({ description: "An offer of the partner's." }),
  answer: z
    .object({ type: z.literal("answer"), roomId, sdp: z.string() })
    .meta({ description: "An answer of the partner's." }),
  "add-ice-candidate": z
    .object({ type: z.literal("add-ice-candidate"), roomId, candidate })
    .meta({ description: "A candidate of the partner's." }),
  message: z
    .object({ type: z.literal("message"), roomId, text: z.string(), at: wholeEpochMs })
    .meta({ description: "A text of the partner's, received by the server at that time." }),
  typing: z.object({ type: z.literal("typing"), roomId, typing: z.boolean() }).meta({
    description: "The partner types, or has stopped. Holds for 6 s, and until its next message.",
  }),
  "partner-media": z
    .object({ type: z.literal("partner-media"), roomId, ...media.shape })
    .meta({ description: "What the partner sends from now on." }),
  "partner-reconnecting": z
    .object({ type: z.literal("partner-reconnecting"), roomId, deadline: epochMs })
    .meta({ description: "The partner's connection dropped; it may return until the deadline." }),
  "partner-reconnected": z
    .object({ type: z.literal("partner-reconnected"), roomId })
    .meta({ description: "The partner has returned." }),
  "partner-disconnected": z
    .object({ type: z.literal("partner-disconnected"), roomId, reason: z.enum(endReasons) })
    .meta({ description: "The room has ended." }),
  warning: z
    .object({
      type: z.literal("warning"),
      because: sanctionReason,
      caseId: z.string().exactOptional(),
    })
    .meta({ description: "The peer was reported, and what comes next is a suspension." }),
  resync: z
    .object({
      type: z.literal("resync"),
      state: peerState,
      suspended: suspensionNotice.exactOptional(),
    })
    .meta({ description: "Missed events can't be replayed: start from this state." }),
} as const;

export const peerEvent = z.union(Object.values(events));
