import { io } from "socket.io-client";

const state = document.querySelector("#state")!;
const own = document.querySelector<HTMLVideoElement>("#own")!;
const partner = document.querySelector<HTMLVideoElement>("#partner")!;
const next = document.querySelector<HTMLButtonElement>("#next")!;

const camera = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
own.srcObject = camera;

const socket = io("http://localhost:3000");
let room: { id: string; call: RTCPeerConnection } | undefined;

function enter(id: string): RTCPeerConnection {
  const call = new RTCPeerConnection({ iceServers: [] }); // the site's STUN and TURN servers
  room = { id, call };
  for (const track of camera.getTracks()) call.addTrack(track, camera);
  call.ontrack = ({ streams: [stream] }) => (partner.srcObject = stream ?? null);
  call.onicecandidate = ({ candidate }) => {
    if (candidate) socket.emit("add-ice-candidate", { roomId: id, candidate });
  };
  call.onconnectionstatechange = () => {
    if (call.connectionState === "connected") state.textContent = "connected";
  };
  return call;
}

function exit(): void {
  room?.call.close();
  room = undefined;
  partner.srcObject = null;
}

socket.on("lobby", () => (state.textContent = "waiting"));
socket.on("create-offer", async ({ roomId }) => {
  const call = enter(roomId);
  await call.setLocalDescription();
  socket.emit("offer", { roomId, sdp: call.localDescription?.sdp });
});
socket.on("wait-for-offer", ({ roomId }) => enter(roomId));
socket.on("offer", async ({ roomId, sdp }) => {
  await room?.call.setRemoteDescription({ type: "offer", sdp });
  await room?.call.setLocalDescription();
  socket.emit("answer", { roomId, sdp: room?.call.localDescription?.sdp });
});
socket.on("answer", ({ sdp }) => room?.call.setRemoteDescription({ type: "answer", sdp }));
socket.on("add-ice-candidate", ({ candidate }) => room?.call.addIceCandidate(candidate));
socket.on("partner-disconnected", exit);
socket.on("disconnect", exit);

next.onclick = () => {
  if (room) socket.emit("skip", { roomId: room.id });
  exit();
};
