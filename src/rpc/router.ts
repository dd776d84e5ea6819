/** Every procedure that a peer can call. Their inputs are in `schemas.ts`; what they do is in `signaling/`. */
import type { TRPCMutationProcedure } from "@trpc/server";
import {
  modes,
  protocolVersion,
  type Rules,
  type Signal,
  type Stats,
  type StatusAnswer,
} from "../protocol.ts";
import type { FactsDeclaration, JoinInput, NoFacts, Site } from "../protocol/declaration.ts";
import { mainLobby } from "../domain/lobby.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import type { Context } from "./context.ts";
import { answer, unwrap } from "./errors.ts";
import { EventStream } from "./events.ts";
import {
  callerOf,
  countBytes,
  freeProcedure,
  intentProcedure,
  publicProcedure,
  router,
  signalProcedure,
  streamProcedure,
} from "./procedures.ts";
import * as schemas from "./schemas.ts";

/** Those that are the same everywhere. */
const procedures = {
  /** One ordered stream per session; every event is tracked, so that a client resumes by itself. */
  events: streamProcedure.input(schemas.eventsInput).subscription((call): EventStream => {
    // On a socket the subscription is stopped, and its signal costs memory once it is asked for.
    const signal = call.ctx.connection.kind === "http" ? call.signal : undefined;
    return new EventStream(call.ctx, call.input.lastEventId, signal);
  }),

  skip: intentProcedure.input(schemas.skipInput).mutation((call) => {
    return answer(call.ctx.skip(callerOf(call), call.input.roomId));
  }),
  again: intentProcedure.input(schemas.againInput).mutation((call) => {
    return answer(call.ctx.again(callerOf(call), call.input.roomId));
  }),
  leave: freeProcedure.input(schemas.leaveInput).mutation((call) => {
    return answer(call.ctx.signaling.leave(callerOf(call)));
  }),

  standby: signalProcedure.input(schemas.standbyInput).mutation((call) => {
    const { offer } = call.input;
    countBytes(call.ctx, JSON.stringify(offer).length);
    return answer(call.ctx.signaling.standby(callerOf(call), offer));
  }),
  offer: signalProcedure.input(schemas.descriptionInput).mutation((call) => {
    return send(call, ({ roomId, sdp }) => ({ type: "offer", roomId, sdp }));
  }),
  answer: signalProcedure.input(schemas.descriptionInput).mutation((call) => {
    return send(call, ({ roomId, sdp }) => ({ type: "answer", roomId, sdp }));
  }),
  addIceCandidate: signalProcedure.input(schemas.candidateInput).mutation((call) => {
    return send(call, ({ roomId, candidate }) => ({
      type: "add-ice-candidate",
      roomId,
      candidate,
    }));
  }),

  say: signalProcedure.input(schemas.sayInput).mutation((call) => {
    const { roomId, text } = call.input;
    const json = JSON.stringify(text);
    countBytes(call.ctx, json.length);
    return answer(call.ctx.say(callerOf(call), roomId, json));
  }),
  typing: signalProcedure.input(schemas.typingInput).mutation((call) => {
    return answer(call.ctx.typing(callerOf(call), call.input.roomId, call.input.typing));
  }),
  media: signalProcedure.input(schemas.mediaInput).mutation((call) => {
    const { roomId, audio, video } = call.input;
    return answer(call.ctx.signaling.talk.media(callerOf(call), roomId, { audio, video }));
  }),

  connected: signalProcedure.input(schemas.connectedInput).mutation(async (call) => {
    const { roomId, ...stated } = call.input;
    return unwrap(await call.ctx.signaling.connected(callerOf(call), roomId, stated));
  }),
  failed: intentProcedure.input(schemas.verdictInput).mutation(async (call) => {
    const { roomId, path } = call.input;
    return unwrap(await call.ctx.signaling.failed(callerOf(call), roomId, path));
  }),

  report: intentProcedure.input(schemas.reportInput).mutation(async (call) => {
    const { roomId, reason, note, evidence } = call.input;
    const filed = { reason, note, evidence, account: call.ctx.account };
    return unwrap(await call.ctx.signaling.report(callerOf(call), roomId, filed));
  }),
  /** What a classifier says of the peer's own camera: a mark in a report of it, and nothing else. */
  hint: signalProcedure.input(schemas.hintInput).mutation(async (call) => {
    const { roomId, label, score } = call.input;
    return unwrap(await call.ctx.signaling.hint(callerOf(call), roomId, { label, score }));
  }),
  block: intentProcedure.input(schemas.blockInput).mutation(async (call) => {
    return unwrap(await call.ctx.signaling.block(callerOf(call), call.input.roomId));
  }),
  case: signalProcedure.input(schemas.caseInput).query(async ({ ctx, path, input }) => {
    const caller = callerOf({ ctx, path, input: {} });
    return unwrap(await ctx.signaling.caseOf(caller, ctx.account, input.caseId));
  }),

  iceServers: signalProcedure.input(schemas.noInput).query(async ({ ctx }) => {
    return unwrap(
      await ctx.signaling.iceServers(ctx.connection.caller, ctx.connection.addressHash),
    );
  }),
  stats: publicProcedure
    .input(schemas.statsInput)
    .query(async ({ ctx, input }): Promise<Stats> => unwrap(await ctx.stats(input.lobby))),
};

/** Relays a signal. Its size, as JSON, counts: the partner receives its own answers behind it. */
function send<Input extends { id?: string | undefined }>(
  call: { ctx: Context; path: string; input: Input },
  toSignal: (input: Input) => Signal,
): MaybePromise<{ delivered: boolean }> {
  const signal = toSignal(call.input);
  countBytes(call.ctx, JSON.stringify(signal).length);
  return answer(call.ctx.signaling.send(callerOf(call), signal));
}

type JoinProcedure<Declared extends FactsDeclaration> = TRPCMutationProcedure<{
  input: JoinInput<Declared> | void;
  output: StatusAnswer;
  meta: object;
}>;

/** What differs from site to site. */
export interface SiteParts {
  /** Dimensions of facts, checked. */
  facts: FactsDeclaration;
  /** After which a want gives way that says nothing of it (milliseconds). */
  softAfterMs: number;
  /** The names of the lobbies that peers can choose. Default: `main`. */
  lobbies?: readonly string[] | undefined;
  /** What pages show before the first search. Default: nothing. */
  rules?: Rules | undefined;
}

/** The router for peers of which these facts may be known. */
export function createAppRouter<Declared extends FactsDeclaration = NoFacts>({
  facts,
  softAfterMs,
  lobbies = [mainLobby],
  rules,
}: SiteParts) {
  const site = siteWith(facts, lobbies, rules);
  const join = intentProcedure.input(schemas.joinInput(facts, softAfterMs)).mutation((call) => {
    return answer(call.ctx.join(callerOf(call), call.input));
  });
  return router({
    ...procedures,
    /** Its facts and wants are typed by the declaration, which the schema checks. */
    join: join as unknown as JoinProcedure<Declared>,
    site: publicProcedure.input(schemas.noInput).query((): Site => site),
  });
}

function siteWith(
  declared: FactsDeclaration,
  lobbies: readonly string[],
  rules: Rules | undefined,
): Site {
  const facts = Object.fromEntries(
    Object.entries(declared).map(([name, dimension]) => [
      name,
      { by: "peer", shown: false, hard: true, ...dimension } as const,
    ]),
  );
  return { protocol: protocolVersion, modes, facts, lobbies, ...(rules && { rules }) };
}

/**
 * What a frontend imports: `import type { AppRouter } from "peer-stream"`. Where facts are declared, `AppRouter<typeof facts>` with the
 * declaration `as const`.
 */
export type AppRouter<Declared extends FactsDeclaration = NoFacts> = ReturnType<
  typeof createAppRouter<Declared>
>;
