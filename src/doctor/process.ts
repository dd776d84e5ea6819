/** Checks what this machine lets the process have: the address that it listens at, and files. */
import { createServer } from "node:net";
import { socketsFor } from "../app/capacity.ts";
import type { Config } from "../config.ts";
import { fail, ok, warn, type Finding } from "./finding.ts";

/** Whether the server could listen at HOST and PORT, or something does. */
export async function checkListening({
  host,
  port,
}: Pick<Config, "host" | "port">): Promise<Finding[]> {
  const code = await new Promise<string | undefined>((resolve) => {
    const server = createServer();
    server.on("error", ({ code }: NodeJS.ErrnoException) => resolve(code ?? "unknown"));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
  if (code === undefined) return [ok(`the server can listen at port ${port} of ${host}`)];
  if (code === "EADDRINUSE")
    return [ok(`a process listens at port ${port} of ${host}: this server, if it runs`)];
  if (code === "EACCES")
    return [
      fail(
        `this user may not listen at port ${port}`,
        "set PORT above 1023 and put a proxy in front, or permit it (AmbientCapabilities=CAP_NET_BIND_SERVICE of systemd)",
      ),
    ];
  return [
    fail(
      `the server can't listen at ${host} (${code})`,
      "set HOST to an address of this machine, or to 0.0.0.0 or :: for all of them",
    ),
  ];
}

/** Whether as many sockets can be open as may be: each is a file. */
export function checkOpenFiles(
  { peersMax }: Pick<Config["admission"], "peersMax">,
  filesLimit: number | undefined,
): Finding[] {
  if (filesLimit === undefined) return [];
  const sockets = socketsFor(filesLimit);
  const wanted = peersMax === 0 ? "no limit" : String(peersMax);
  return peersMax > 0 && peersMax <= sockets
    ? [ok(`${filesLimit} files may be open, enough for LIMIT_PEERS (${wanted})`)]
    : [
        warn(
          `${filesLimit} files may be open, so at most ${sockets} sockets, and LIMIT_PEERS is ${wanted}`,
          "raise the limit where the server runs (ulimit -n, LimitNOFILE, --ulimit nofile), or set LIMIT_PEERS to what you expect",
        ),
      ];
}
