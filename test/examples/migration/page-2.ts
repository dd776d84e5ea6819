import { createTRPCClient, createWSClient, wsLink } from "@trpc/client";
import type { AppRouter, PeerEvent, RoomTerms } from "peer-stream-client";

const state = document.querySelector("#state")!;
const own = document.querySelector<HTMLVideoElement>("#own")!;
const partner = document.querySelector<HTMLVideoElement>("#partner")!;
const next = document.querySelector<HTMLButtonElement>("#next")!;

const camera = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
own.srcObject = camera;

const socket = createWSClient({
  url: "ws://localhost:3000/trpc",
  connectionParams: () => {
    const token = sessionStorage.getItem("token");
    return token ? { token } : {};
  },
  keepAlive: { enabled: true },
});
const server = createTRPCClient<AppRouter>({ links: [wsLink({ client: socket })] });
let room: { id: string; call: RTCPeerConnection } | undefined;

function enter(terms: RoomTerms & { iceServers: RTCIceServer[] }): RTCPeerConnection {
  const { roomId: id, iceServers, relayOnly } = terms;
  const call = new RTCPeerConnection({
    iceServers,
    iceTransportPolicy: relayOnly ? "relay" : "all",
  });
  room = { id, call };
  for (const track of camera.getTracks()) call.addTrack(track, camera);
  call.ontrack = ({ streams: [stream] }) => (partner.srcObject = stream ?? null);
  call.onicecandidate = ({ candidate }) => {
    if (candidate) void server.addIceCandidate.mutate({ roomId: id, candidate });
  };
  const failed = () => {
    if (room?.id === id) void server.failed.mutate({ roomId: id });
  };
  const timer = setTimeout(failed, 20_000);
  call.onconnectionstatechange = () => {
    if (call.connectionState === "failed") failed();
    if (call.connectionState !== "connected") return;
    clearTimeout(timer);
    state.textContent = "connected";
    void server.connected.mutate({ roomId: id });
  };
  return call;
}

function exit(): void {
  room?.call.close();
  room = undefined;
  partner.srcObject = null;
}

async function receive(event: PeerEvent): Promise<void> {
  switch (event.type) {
    case "session": // In place of "connection": whoever connects asks for a partner, unless it has one already.
      sessionStorage.setItem("token", event.token);
      if (event.state.status === "idle") await server.join.mutate({});
      return;
    case "resync": // What was missed is no longer known: another partner is sooner found than this call repaired.
      exit();
      if (event.state.status === "paired") await server.skip.mutate({ roomId: event.state.roomId });
      return;
    case "lobby":
      return void (state.textContent = "waiting");
    case "create-offer": {
      const call = enter(event);
      await call.setLocalDescription();
      return void (await server.offer.mutate({
        roomId: event.roomId,
        sdp: call.localDescription!.sdp,
      }));
    }
    case "wait-for-offer":
      return void enter(event);
    case "offer": {
      if (event.roomId !== room?.id) return;
      const { call } = room;
      await call.setRemoteDescription({ type: "offer", sdp: event.sdp });
      await call.setLocalDescription();
      return void (await server.answer.mutate({
        roomId: event.roomId,
        sdp: call.localDescription!.sdp,
      }));
    }
    case "answer":
      if (event.roomId === room?.id)
        await room.call.setRemoteDescription({ type: "answer", sdp: event.sdp });
      return;
    case "add-ice-candidate":
      if (event.roomId === room?.id) await room.call.addIceCandidate(event.candidate);
      return;
    case "partner-disconnected":
      return exit();
  }
}
server.events.subscribe(undefined, { onData: ({ data: event }) => void receive(event) });

next.onclick = () => {
  if (room) void server.skip.mutate({ roomId: room.id });
  exit();
};
