import { createPeerStream } from "peer-stream-client";

const peer = createPeerStream({
  url: "ws://localhost:3000/trpc",
  auth: async () => (await fetch("/token")).text(),
});

const remote = document.querySelector<HTMLVideoElement>("#remote")!;
const status = document.querySelector("#state")!;
peer.subscribe((state) => {
  const stream = "remote" in state ? (state.remote ?? null) : null;
  if (remote.srcObject !== stream) remote.srcObject = stream;
  const error = state.status === "idle" ? state.error : undefined;
  status.textContent = error?.kind === "rejected" ? error.reason : (error?.kind ?? state.status);
});

document.querySelector<HTMLButtonElement>("#start")!.onclick = async () => {
  await peer.camera.open();
  peer.start();
};
document.querySelector<HTMLButtonElement>("#next")!.onclick = () => peer.next();
