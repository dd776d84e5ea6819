/** The app: its own procedures, its accounts and its page. */
import { TRPCError } from "@trpc/server";
import { Elysia } from "elysia";
import { z } from "zod";
import { auth, database, strangers } from "./auth.ts";
import page from "./index.html";

const { t } = strangers;

const signedIn = t.procedure.use(({ ctx: { account }, next }) => {
  if (account === undefined) throw new TRPCError({ code: "UNAUTHORIZED" });
  return next({ ctx: { account } });
});

const findName = database.query<{ name: string }, string>("select name from user where id = ?");
const setName = database.query<void, [string, string]>("update user set name = ? where id = ?");

const own = t.router({
  name: signedIn.query(({ ctx }) => findName.get(ctx.account)?.name),
  rename: signedIn
    .input(z.object({ name: z.string().min(1).max(40) }))
    .mutation(({ ctx, input }) => void setName.run(input.name, ctx.account)),
});

const appRouter = strangers.router(own);
export type AppRouter = typeof appRouter;

const app = new Elysia({ websocket: strangers.websocket }).use(strangers.plugin);
app
  .mount(auth.handler)
  .get("/", page)
  .listen(process.env["PORT"] ?? 3000);
console.log(`Open ${app.server?.url}`);
