import { createTRPCClient, createWSClient, wsLink } from "@trpc/client";
import { createAuthClient } from "better-auth/react";
import type { PeerStreamState } from "peer-stream-client";
import { usePeerStream } from "peer-stream-client/react";
import { useEffect, useRef, useState, type ComponentProps } from "react";
import { createRoot } from "react-dom/client";
import type { AppRouter } from "./app.ts";

const auth = createAuthClient();

/** The app's own procedures and those of Peer Stream, on one socket that is opened by the first call. */
const server = createTRPCClient<AppRouter>({
  links: [
    wsLink({ client: createWSClient({ url: "/trpc", lazy: { enabled: true, closeMs: 10_000 } }) }),
  ],
});

function Page() {
  const { data: session, isPending } = auth.useSession();
  if (isPending) return null;
  return session ? <Chat key={session.user.id} /> : <SignIn />;
}

function SignIn() {
  const [problem, setProblem] = useState<string>();
  async function submit(form: FormData) {
    const [name, email, password] = ["name", "email", "password"].map((key) =>
      String(form.get(key)),
    );
    const { error } = name
      ? await auth.signUp.email({ name, email, password })
      : await auth.signIn.email({ email, password });
    setProblem(error?.message);
  }
  return (
    <form action={submit}>
      <input name="name" placeholder="Name (only to register)" />
      <input name="email" type="email" placeholder="Email" required />
      <input name="password" type="password" placeholder="Password" required />
      <button>Register or sign in</button>
      <p role="alert">{problem}</p>
    </form>
  );
}

function Chat() {
  const { state, local, peer } = usePeerStream({ url: "/trpc" });
  const [greeting, setGreeting] = useState("");

  useEffect(() => {
    void Promise.all([server.name.query(), server.stats.query()]).then(([name, { online }]) =>
      setGreeting(`Hello ${name}. People online: ${online}.`),
    );
  }, []);

  async function start() {
    await peer.camera.open();
    peer.start();
  }

  return (
    <>
      <p>{greeting}</p>
      <Video stream={"remote" in state ? state.remote : undefined} />
      <Video stream={local} muted />
      <p id="state">{textOf(state)}</p>
      <button onClick={start}>Start</button>
      <button onClick={() => peer.next()}>Next</button>
      <button onClick={() => peer.stop()}>Stop</button>
      <button onClick={() => auth.signOut()}>Sign out</button>
    </>
  );
}

function Video({ stream, ...rest }: { stream: MediaStream | undefined } & ComponentProps<"video">) {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (video.current) video.current.srcObject = stream ?? null;
  }, [stream]);
  return <video ref={video} autoPlay playsInline width={320} height={240} {...rest} />;
}

function textOf(state: PeerStreamState): string {
  if (state.status !== "idle") return state.status;
  if (state.error?.kind === "rejected") return state.error.reason;
  return state.error?.kind ?? "idle";
}

const root = document.getElementById("root");
if (root) createRoot(root).render(<Page />);
