import { createPeerStream, refuse } from "peer-stream/server";
import { auth } from "./auth.ts";

export const strangers = createPeerStream({
  async authenticate({ headers }) {
    const found = await auth.api.getSession({ headers });
    if (!found) return refuse("unauthorized");
    return { account: found.user.id, expiresAt: found.session.expiresAt.getTime() };
  },
});
