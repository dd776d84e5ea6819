/** Accounts: registration and login by email and password, with sessions in cookies. */
import { Database } from "bun:sqlite";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { strangers } from "./strangers.ts"; // strangers

export const database = new Database(process.env["DATABASE"] ?? "app.sqlite");

export const auth = betterAuth({
  database,
  baseURL: process.env["BETTER_AUTH_URL"] ?? "http://localhost:3000",
  emailAndPassword: { enabled: true },
  databaseHooks: {
    session: {
      delete: {
        after: ({ userId }) => strangers.disconnect({ account: userId }), // strangers
      },
    },
  },
});

const { runMigrations } = await getMigrations(auth.options);
await runMigrations();
