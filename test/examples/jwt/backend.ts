/** A backend in any language: it knows who is signed in, and signs tokens that say so. */
import { SignJWT } from "jose";
import page from "./index.html";

const secret = new TextEncoder().encode(process.env["AUTH_JWT_SECRET"]);

/** Ten minutes are enough: the client asks for a new token at each connect. */
const tokenFor = (account: string) =>
  new SignJWT({ sub: account, iss: "backend", aud: "chat" })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime("10m")
    .sign(secret);

const server = Bun.serve({
  port: 8080,
  routes: {
    "/": page,
    // Yours looks into its own session; this one makes everybody a new account.
    "/token": async () => new Response(await tokenFor(crypto.randomUUID())),
  },
});
console.log(`Open ${server.url}`);
