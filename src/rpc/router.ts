/** Every procedure that a peer can call. Their inputs are in `schemas.ts`; what they do is in `signaling/`. */
import type { Signal, Stats } from "../protocol.ts";
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

export const appRouter = router({
  /** One ordered stream per session; every event is tracked, so that a client resumes by itself. */
  events: streamProcedure.input(schemas.eventsInput).subscription((call): EventStream => {
    // On a socket the subscription is stopped, and its signal costs memory once it is asked for.
    const signal = call.ctx.connection.kind === "http" ? call.signal : undefined;
    return new EventStream(call.ctx, call.input.lastEventId, signal);
  }),

  join: intentProcedure.input(schemas.joinInput).mutation((call) => {
    return answer(call.ctx.join(callerOf(call), call.input));
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

  connected: signalProcedure.input(schemas.verdictInput).mutation(async (call) => {
    return unwrap(await call.ctx.signaling.connected(callerOf(call), call.input.roomId));
  }),
  failed: intentProcedure.input(schemas.verdictInput).mutation(async (call) => {
    return unwrap(await call.ctx.signaling.failed(callerOf(call), call.input.roomId));
  }),

  report: intentProcedure.input(schemas.reportInput).mutation(async (call) => {
    const { roomId, reason } = call.input;
    return unwrap(await call.ctx.signaling.report(callerOf(call), "report", roomId, reason));
  }),
  block: intentProcedure.input(schemas.reportInput).mutation(async (call) => {
    const { roomId, reason } = call.input;
    return unwrap(await call.ctx.signaling.report(callerOf(call), "block", roomId, reason));
  }),

  iceServers: signalProcedure.input(schemas.noInput).query(async ({ ctx }) => {
    return unwrap(
      await ctx.signaling.iceServers(ctx.connection.caller, ctx.connection.addressHash),
    );
  }),
  stats: publicProcedure
    .input(schemas.noInput)
    .query(async ({ ctx }): Promise<Stats> => unwrap(await ctx.signaling.stats())),
});

/** Relays a signal. Its size, as JSON, counts: the partner receives its own answers behind it. */
function send<Input extends { id?: string | undefined }>(
  call: { ctx: Context; path: string; input: Input },
  toSignal: (input: Input) => Signal,
): MaybePromise<{ delivered: boolean }> {
  const signal = toSignal(call.input);
  countBytes(call.ctx, JSON.stringify(signal).length);
  return answer(call.ctx.signaling.send(callerOf(call), signal));
}

/** What a frontend imports: `import type { AppRouter } from "peer-stream"`. */
export type AppRouter = typeof appRouter;
