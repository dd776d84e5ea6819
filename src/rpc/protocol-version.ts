/** Checks the protocol version that a client names: a version that this server does not speak is refused. */
import type { TRPCError } from "@trpc/server";
import { reject } from "../domain/rejection.ts";
import { protocolVersion } from "../protocol.ts";
import { closeCodes } from "../trpc-ws/close-codes.ts";
import { reasonOf, refusal } from "./errors.ts";

/**
 * @param named in the connection parameters, or over HTTP in the header `x-peer-stream-protocol`. A client that names none is taken to speak
 * version 1, as those did that existed before there was a way to say so.
 * @throws a refusal, `wrong-protocol`, of any other version and of what is no number
 */
export function checkProtocol(named: unknown): void {
  if (named !== undefined && named !== String(protocolVersion))
    throw refusal(reject("wrong-protocol"));
}

/** With which code a socket is closed that was refused with this error before any call: one after which nobody reconnects, if that can't help. */
export const closeCodeOf = (error: TRPCError): number =>
  reasonOf(error) === "wrong-protocol" ? closeCodes.wrongProtocol : 1000;
