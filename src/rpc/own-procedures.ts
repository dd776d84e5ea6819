/** The operator's own procedures: built with the same context, limits and error format, and served on the same socket. */
import type { PeerContext } from "./identity.ts";
import type { AnyTRPCRouter, TRPCRootObject } from "@trpc/server";
import type { formatError } from "./errors.ts";
import { t } from "./procedures.ts";

/** tRPC's builder, whose procedures have a `PeerContext`: `account`, `session` and `facts`. */
export const ownBuilder = t as unknown as TRPCRootObject<
  PeerContext,
  object,
  { errorFormatter: typeof formatError }
>;

/** @throws if a name is taken. */
export function mergeOwn(router: AnyTRPCRouter, own: AnyTRPCRouter): AnyTRPCRouter {
  const taken = Object.keys(own._def.record).filter((name) => name in router._def.record);
  if (taken.length > 0)
    throw new Error(`procedures of Peer Stream have these names: ${taken.join(", ")}`);
  return t.mergeRouters(router, own);
}
