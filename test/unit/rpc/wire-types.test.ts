/** The schemas of the wire's documents have the types of `protocol.ts`: this file does not compile otherwise. */
import { expect, test } from "bun:test";
import type { inferRouterOutputs } from "@trpc/server";
import type { z } from "zod";
import type {
  Candidate,
  CaseAnswer,
  Challenge,
  IceAnswer,
  PeerEvent,
  PeerState,
  RejectionFields,
  RoomTerms,
  StandingOffer,
  Stats,
  SuspensionNotice,
} from "../../../src/protocol.ts";
import type { JoinInput, NoFacts, Site } from "../../../src/protocol/declaration.ts";
import type { adminRouter } from "../../../src/rpc/admin.ts";
import type { formatError } from "../../../src/rpc/errors.ts";
import type { AppRouter } from "../../../src/rpc/router.ts";
import type { joinInput } from "../../../src/rpc/schemas.ts";
import type { adminAnswers } from "../../../src/rpc/wire/admin-answers.ts";
import type { answers, refusal, rejectionFields } from "../../../src/rpc/wire/answers.ts";
import type {
  candidate,
  challenge,
  events,
  peerEvent,
  peerState,
  roomTerms,
  standingOffer,
  suspensionNotice,
} from "../../../src/rpc/wire/events.ts";

/** A type as JSON has it: intersections are one object, and nothing is read-only. */
type Plain<T> = T extends readonly (infer Element)[]
  ? Plain<Element>[]
  : T extends object
    ? { -readonly [Key in keyof T]: Plain<T[Key]> }
    : T;

/** Whether two types are the same, in both directions and with the same optional fields. */
type Same<A, B> =
  (<T>() => T extends Plain<A> ? 1 : 2) extends <T>() => T extends Plain<B> ? 1 : 2 ? true : false;

/** Does not compile unless each of its members is `true`. */
const all = <_Compared extends readonly true[]>() => expect.anything();

/** tRPC words a record otherwise. */
type Outputs = Omit<inferRouterOutputs<AppRouter>, "events" | "site">;
type AdminOutputs = inferRouterOutputs<typeof adminRouter>;
type InferAll<Schemas extends Record<string, z.ZodType>> = {
  [Name in keyof Schemas]: z.infer<Schemas[Name]>;
};
type ByType<Event extends { type: string }> = {
  [Type in Event["type"]]: Extract<Event, { type: Type }>;
};
/** Without what is never sent, as it is for developers of the server. */
type Data = Omit<ReturnType<typeof formatError>["data"], "stack">;
/** What the declaration of a site decides is typed by it. */
type WithoutFacts<Input> = Omit<Exclude<Input, void | undefined>, "facts" | "wants">;

test("every schema has the type that it stands for, in both directions", () => {
  all<
    [
      Same<z.infer<typeof peerEvent>, PeerEvent>,
      Same<InferAll<typeof events>, ByType<PeerEvent>>,
      Same<z.infer<typeof peerState>, PeerState>,
      Same<z.infer<typeof roomTerms>, RoomTerms>,
      Same<z.infer<typeof candidate>, Candidate>,
      Same<z.infer<typeof standingOffer>, StandingOffer>,
      Same<z.infer<typeof challenge>, Challenge>,
      Same<z.infer<typeof suspensionNotice>, SuspensionNotice>,
      Same<z.infer<typeof rejectionFields>, RejectionFields>,
    ]
  >();
  all<
    [
      Same<InferAll<Omit<typeof answers, "site">>, Outputs>,
      Same<z.infer<typeof answers.case>, CaseAnswer>,
      Same<z.infer<typeof answers.iceServers>, IceAnswer>,
      Same<z.infer<typeof answers.stats>, Stats>,
      Same<z.infer<typeof answers.site>, Site>,
      Same<InferAll<typeof adminAnswers>, AdminOutputs>,
      Same<z.infer<typeof refusal>["data"], Data>,
      Same<WithoutFacts<z.input<ReturnType<typeof joinInput>>>, WithoutFacts<JoinInput<NoFacts>>>,
    ]
  >();
  // @ts-expect-error: an optional field that one of them lacks is found, though either can be assigned to the other.
  all<[Same<{ a: string }, { a: string; b?: number }>]>();
  // @ts-expect-error: so is a field that may be undefined, but not absent.
  all<[Same<{ a?: string }, { a: string | undefined }>]>();
  // @ts-expect-error: so is a member of a union.
  all<[Same<{ type: "a" }, { type: "a" } | { type: "b" }>]>();
});
