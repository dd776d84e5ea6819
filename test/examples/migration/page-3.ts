import { createPeerStream } from "peer-stream-client";

const state = document.querySelector("#state")!;
const own = document.querySelector<HTMLVideoElement>("#own")!;
const partner = document.querySelector<HTMLVideoElement>("#partner")!;
const next = document.querySelector<HTMLButtonElement>("#next")!;

const peer = createPeerStream({ url: "ws://localhost:3000/trpc" });
peer.subscribe((now) => {
  const remote = "remote" in now ? (now.remote ?? null) : null;
  if (partner.srcObject !== remote) partner.srcObject = remote;
  state.textContent = now.status;
});

const camera = await peer.camera.open();
if (camera.ok) own.srcObject = camera.stream;
peer.start();
next.onclick = () => peer.next();
