/**
 * Datagrams to the Unix socket of a service manager (sd_notify(3)). Neither Bun nor its `node:dgram` has such sockets, and a child process for each
 * message, such as systemd-notify, can't be started once all files are open; so libc is called.
 */
import { dlopen, ptr } from "bun:ffi";

/** Of Linux, the same on all architectures that Bun runs on. */
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
/** A message that can't be delivered at once is lost: neither a full queue nor a receiver that is gone may hold or end the server. */
const MSG_DONTWAIT_NOSIGNAL = 0x40 | 0x4000;
/** Bytes of sockaddr_un before the path. */
const familyBytes = 2;

/**
 * Opens it once, so that messages need no further file.
 * @param address a path; with `@` before it, a name of the abstract namespace (unix(7)).
 * @returns sends a datagram, and returns whether it was accepted.
 * @throws if there is no such socket, or no libc that can be loaded.
 */
export function openNotifySocket(address: string): (text: string) => boolean {
  const { symbols: libc } = dlopen("libc.so.6", {
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
    send: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
  });
  const path = Buffer.from(address.replace(/^@/, "\0"));
  const name = Buffer.concat([new Uint8Array(new Uint16Array([AF_UNIX]).buffer), path]);
  const socket = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0 || libc.connect(socket, ptr(name), familyBytes + path.length) !== 0)
    throw new Error(`there is no socket at ${address}`);
  return (text) => {
    const bytes = Buffer.from(text);
    return libc.send(socket, ptr(bytes), bytes.length, MSG_DONTWAIT_NOSIGNAL) >= 0;
  };
}
