/** Every procedure a peer can call. The words are `protocol.ts`; what they do is `signaling.ts`. */
import * as protocol from "../protocol.ts";
import { answer, unwrap } from "./errors.ts";
import { EventStream } from "./event-stream.ts";
import {
  callerOf,
  freeProcedure,
  intentProcedure,
  publicProcedure,
  router,
  signalProcedure,
  streamProcedure,
} from "./procedures.ts";
import { isCandidate, isDescription, usually } from "./usual-input.ts";

const description = usually(isDescription, protocol.descriptionInput);
const candidate = usually(isCandidate, protocol.candidateInput);

export const appRouter = router({
  /** One ordered stream per session; every event is tracked, so that a client resumes by itself. */
  events: streamProcedure.input(protocol.eventsInput).subscription((call): EventStream => {
    return new EventStream(call.ctx, call.input.lastEventId);
  }),

  join: intentProcedure.input(protocol.joinInput).mutation((call) => {
    return answer(call.ctx.signaling.join(callerOf(call), call.input));
  }),
  skip: intentProcedure.input(protocol.skipInput).mutation((call) => {
    return answer(call.ctx.signaling.skip(callerOf(call), call.input.roomId));
  }),
  leave: freeProcedure.input(protocol.leaveInput).mutation((call) => {
    return answer(call.ctx.signaling.leave(callerOf(call)));
  }),

  offer: signalProcedure.input(description).mutation((call) => {
    const { roomId, sdp } = call.input;
    return answer(call.ctx.signaling.send(callerOf(call), { type: "offer", roomId, sdp }));
  }),
  answer: signalProcedure.input(description).mutation((call) => {
    const { roomId, sdp } = call.input;
    return answer(call.ctx.signaling.send(callerOf(call), { type: "answer", roomId, sdp }));
  }),
  addIceCandidate: signalProcedure.input(candidate).mutation((call) => {
    const { roomId, candidate } = call.input;
    const signal = { type: "add-ice-candidate", roomId, candidate } as const;
    return answer(call.ctx.signaling.send(callerOf(call), signal));
  }),

  connected: signalProcedure.input(protocol.verdictInput).mutation(async (call) => {
    return unwrap(await call.ctx.signaling.connected(callerOf(call), call.input.roomId));
  }),
  failed: intentProcedure.input(protocol.verdictInput).mutation(async (call) => {
    return unwrap(await call.ctx.signaling.failed(callerOf(call), call.input.roomId));
  }),

  report: intentProcedure.input(protocol.reportInput).mutation(async (call) => {
    const { roomId, reason } = call.input;
    return unwrap(await call.ctx.signaling.report(callerOf(call), "report", roomId, reason));
  }),
  block: intentProcedure.input(protocol.reportInput).mutation(async (call) => {
    const { roomId, reason } = call.input;
    return unwrap(await call.ctx.signaling.report(callerOf(call), "block", roomId, reason));
  }),

  iceServers: signalProcedure.input(protocol.noInput).query(async ({ ctx }) => {
    return unwrap(await ctx.signaling.iceServers(ctx.connection.caller));
  }),
  stats: publicProcedure
    .input(protocol.noInput)
    .query(async ({ ctx }): Promise<protocol.Stats> => unwrap(await ctx.signaling.stats())),
});

/** What a frontend imports: `import type { AppRouter } from "peer-stream"`. */
export type AppRouter = typeof appRouter;
