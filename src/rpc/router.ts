/** Every procedure a peer can call. The words are `protocol.ts`; what they do is `signaling.ts`. */
import type { ZodType } from "zod";
import * as protocol from "../protocol.ts";
import { chain } from "../maybe-promise.ts";
import { worded } from "../transport/answers.ts";
import type { Context } from "./context.ts";
import { answer, unwrap } from "./errors.ts";
import { EventStream } from "./event-stream.ts";
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
import { WordedSignal } from "./usual-frames.ts";

const description = unlessWorded(protocol.descriptionInput);
const candidate = unlessWorded(protocol.candidateInput);

/** What was recognised in its frame has been checked; nothing in JSON can look like it. Its procedure takes either. */
function unlessWorded<Output>(schema: ZodType<Output>): (raw: unknown) => Output {
  return (raw) => (raw instanceof WordedSignal ? (raw as Output) : schema.parse(raw));
}

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
    return send(call, ({ roomId, sdp }) => ({ type: "offer", roomId, sdp }));
  }),
  answer: signalProcedure.input(description).mutation((call) => {
    return send(call, ({ roomId, sdp }) => ({ type: "answer", roomId, sdp }));
  }),
  addIceCandidate: signalProcedure.input(candidate).mutation((call) => {
    return send(call, ({ roomId, candidate }) => ({
      type: "add-ice-candidate",
      roomId,
      candidate,
    }));
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
    return unwrap(
      await ctx.signaling.iceServers(ctx.connection.caller, ctx.connection.addressHash),
    );
  }),
  stats: publicProcedure
    .input(protocol.noInput)
    .query(async ({ ctx }): Promise<protocol.Stats> => unwrap(await ctx.signaling.stats())),
});

/** Sends what is worded already as it is. */
function send<Input extends object>(
  call: { ctx: Context; path: string; input: Input },
  toSignal: (input: Input) => protocol.Signal,
) {
  const { input } = call;
  const signal = input instanceof WordedSignal ? input : toSignal(input);
  countBytes(call.ctx, sizeOf(signal));
  const sent = answer(call.ctx.signaling.send(callerOf(call), signal));
  return chain(sent, ({ delivered }) => (delivered ? deliveredAnswer : droppedAnswer));
}

/** Bytes on their way to the partner, as far as they vary; SDPs and candidates are ASCII but for what nobody needs. */
function sizeOf(signal: WordedSignal | protocol.Signal): number {
  if ("json" in signal) return signal.json.length;
  return signal.type === "add-ice-candidate"
    ? signal.candidate.candidate.length
    : signal.sdp.length;
}

const deliveredAnswer = worded({ delivered: true });
const droppedAnswer = worded({ delivered: false });

/** What a frontend imports: `import type { AppRouter } from "peer-stream"`. */
export type AppRouter = typeof appRouter;
