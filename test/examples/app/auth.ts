/** Accounts: registration and login by email and password, with sessions in cookies. */
import { Database } from "bun:sqlite";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { createPeerStream, refuse, type PeerStream } from "peer-stream/server";

export const database = new Database(process.env["DATABASE"] ?? "app.sqlite");

export const auth = betterAuth({
  database,
  baseURL: process.env["BETTER_AUTH_URL"] ?? "http://localhost:3000",
  emailAndPassword: { enabled: true },
  databaseHooks: {
    session: {
      delete: {
        // Logging out ends the call.
        after: ({ userId }) => strangers.disconnect({ account: userId }),
      },
    },
  },
});

const { runMigrations } = await getMigrations(auth.options);
await runMigrations();

export const strangers: PeerStream = createPeerStream({
  async authenticate({ headers }) {
    const found = await auth.api.getSession({ headers });
    if (!found) return refuse("unauthorized");
    return { account: found.user.id, expiresAt: found.session.expiresAt.getTime() };
  },
});
