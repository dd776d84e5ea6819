/** Plays the server's side of a transcript to a client, and says where the client deviates: what an author of a client tests against. */
import {
  Bindings,
  readFrame,
  socketEvent,
  writeFrame,
  type Frame,
  type NumberedLine,
} from "./transcript.ts";

export interface TranscriptServerOptions {
  lines: readonly NumberedLine[];
  /** The peers that the client plays; what all others do is left out. Default: all. */
  peers?: readonly string[] | undefined;
  /** 0, the default: any free one. */
  port?: number;
  /** How long the client may take for its next step (milliseconds). */
  timeoutMs: number;
}

export interface TranscriptServer extends AsyncDisposable {
  /** Where the client connects to. */
  readonly url: string;
  /** Resolves at the end of the transcript, or with the first deviation. */
  readonly played: Promise<string | undefined>;
}

type Socket = Bun.ServerWebSocket<undefined>;

interface Client {
  socket: Socket;
  /** What it has sent and is not matched yet. */
  unread: Frame[];
  /** The ids of its calls, by those that they have in the transcript (as JSON). */
  callIds: Map<string, unknown>;
  isClosed: boolean;
  isPongDue: boolean;
}

/** What the client has deviated in ends the replay. */
const deviated = 4500;

/** @throws if a peer is not in the transcript, as all that it does would be left out. */
export function startTranscriptServer(options: TranscriptServerOptions): TranscriptServer {
  const peers = peersOf(options.lines);
  const unknown = options.peers?.find((peer) => !peers.includes(peer));
  if (unknown !== undefined)
    throw new Error(`${unknown} opens no socket in this transcript; ${peers.join(", ")} may`);
  const replay = new Replay(options);
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: options.port ?? 0,
    fetch(request, self) {
      const { pathname, searchParams } = new URL(request.url);
      if (pathname !== "/trpc" || searchParams.get("connectionParams") !== "1") {
        replay.deviate(`the client opens ${request.url} instead of /trpc?connectionParams=1`);
        return new Response("Not found", { status: 404 });
      }
      if (self.upgrade(request)) return undefined;
      return new Response("WebSocket only", { status: 426 });
    },
    websocket: {
      open: (socket) => replay.opened(socket),
      message: (socket, data) => replay.received(socket, data),
      close: (socket) => replay.closed(socket),
    },
  });
  return {
    url: `ws://127.0.0.1:${server.port}/trpc`,
    played: replay.played.promise,
    async [Symbol.asyncDispose]() {
      replay.deviate("the replay was ended");
      await server.stop(true);
    },
  };
}

class Replay {
  readonly played = Promise.withResolvers<string | undefined>();
  readonly #lines: readonly NumberedLine[];
  readonly #peers: readonly string[] | undefined;
  readonly #timeoutMs: number;
  readonly #bindings = new Bindings();
  readonly #clients = new Map<string, Client>();
  /** Sockets that no line has opened yet. */
  readonly #arriving: Client[] = [];
  readonly #all = new Map<Socket, Client>();
  /** The keys of the calls that the client has made already. */
  readonly #done = new Set<string>();
  #at = 0;
  #events = 0;
  #isOver = false;
  #isAdvancing = false;
  #timer: Timer | undefined;

  constructor({ lines, peers, timeoutMs }: TranscriptServerOptions) {
    this.#lines = lines;
    this.#peers = peers;
    this.#timeoutMs = timeoutMs;
    this.#wait();
    this.#advance();
  }

  opened(socket: Socket): void {
    const client: Client = {
      socket,
      unread: [],
      callIds: new Map(),
      isClosed: false,
      isPongDue: false,
    };
    this.#all.set(socket, client);
    this.#arriving.push(client);
    this.#advance();
  }

  received(socket: Socket, data: string | Buffer): void {
    const client = this.#all.get(socket);
    if (!client || this.#isOver) return;
    if (data === "PONG") client.isPongDue = false;
    else if (data === "PING" && !this.#awaited().calls.some(({ expected }) => expected === data))
      socket.send("PONG");
    else {
      try {
        const frame = readFrame(data);
        client.unread.push(...(Array.isArray(frame) ? frame : [frame]));
      } catch {
        return this.deviate(`the client sends what is no JSON: ${String(data)}`);
      }
    }
    this.#advance();
  }

  closed(socket: Socket): void {
    const client = this.#all.get(socket);
    if (client) client.isClosed = true;
    this.#advance();
  }

  deviate(what: string | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    if (what !== undefined)
      for (const { socket } of this.#all.values()) socket.close(deviated, "deviated");
    this.played.resolve(what);
  }

  #wait(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const awaited = this.#lines[this.#at];
      const what = awaited
        ? `line ${awaited.number}: waited for ${describe(awaited)}`
        : "waited for PONG";
      const sent = (whose: string, { unread }: Client) =>
        unread.map((frame) => `${whose} has sent ${writeFrame(frame)}`);
      const unread = [...this.#clients].flatMap(([peer, client]) => sent(peer, client));
      const arriving = this.#arriving.flatMap((client) => sent("a new socket", client));
      this.deviate([what, ...unread, ...arriving, ...this.#strangers()].join("; "));
    }, this.#timeoutMs);
  }

  /** Why new sockets are not the one that is waited for. */
  #strangers(): string[] {
    const { line } = this.#lines[this.#at] ?? {};
    const event = line?.kind === "happens" ? socketEvent(line.text) : undefined;
    if (!event || !("what" in event) || event.what !== "opens") return [];
    const first = this.#firstFrameOf(event.peer);
    return this.#arriving.flatMap(({ unread: [frame] }) =>
      frame === undefined
        ? "a new socket has sent nothing"
        : `its ${this.#bindings.match(wordOf(first), wordOf(frame, first)) ?? ""}`,
    );
  }

  /** Does all that can be done without the client. */
  #advance(): void {
    // A socket that is closed says so at once.
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    while (!this.#isOver && this.#step()) this.#wait();
    this.#isAdvancing = false;
  }

  /** Does the next line. Returns whether it is done. */
  #step(): boolean {
    const numbered = this.#lines[this.#at];
    if (!numbered) {
      const isSilent = [...this.#all.values()].some(
        (client) => client.isPongDue && !client.isClosed,
      );
      if (!isSilent) this.deviate(undefined);
      return false;
    }
    const { line } = numbered;
    let isDone = true;
    if (line.kind === "happens") isDone = this.#happen(line.text);
    else if (line.kind === "frame" && this.#plays(line.peer)) {
      if (line.by === "peer") return this.#take();
      this.#send(line.peer, line.frame);
    }
    if (isDone) this.#at += 1;
    return isDone;
  }

  #plays(peer: string): boolean {
    return this.#peers === undefined || this.#peers.includes(peer);
  }

  #happen(text: string): boolean {
    const event = socketEvent(text);
    if (!event || !this.#plays(event.peer)) return true;
    const { peer } = event;
    const client = this.#clients.get(peer);
    if ("code" in event) client?.socket.close(event.code, "as in the transcript");
    else if (event.what === "is cut") client?.socket.terminate();
    else if (event.what === "closes") return client?.isClosed !== false;
    else {
      const first = this.#firstFrameOf(peer);
      const index = this.#arriving.findIndex(
        ({ unread: [frame] }) =>
          frame !== undefined &&
          this.#bindings.match(wordOf(first), wordOf(frame, first)) === undefined,
      );
      const [arriving] = index < 0 ? [] : this.#arriving.splice(index, 1);
      if (!arriving) return false;
      this.#clients.set(peer, arriving);
    }
    return true;
  }

  /** What tells the sockets of several peers apart: the parameters with which the next socket of this one begins. */
  #firstFrameOf(peer: string): Frame {
    for (const { line } of this.#lines.slice(this.#at))
      if (line.kind === "frame" && line.by === "peer" && line.peer === peer) return line.frame;
    return undefined;
  }

  #send(peer: string, template: Frame): void {
    const client = this.#clients.get(peer);
    if (!client || client.isClosed) return;
    const frame = this.#bindings.fill(template, (kind) => this.#make(kind));
    if (typeof frame === "object" && frame !== null && "id" in frame && frame.id !== null)
      frame.id = client.callIds.get(JSON.stringify(frame.id));
    client.socket.send(writeFrame(frame));
  }

  /** A value that looks like one of the server's. */
  #make(kind: string): string | number {
    if (kind === "at") return Date.now() + 10_000;
    if (kind === "ms") return 100;
    const id = crypto.randomUUID().replaceAll("-", "");
    return kind === "event" ? `${id}:${++this.#events}` : `${kind}.${id}`;
  }

  /** Takes what the client has sent for the lines that come next: they are its own, and come in any order. */
  #take(): boolean {
    const { calls, end } = this.#awaited();
    const left = calls.filter((call) => !this.#done.has(call.key));
    for (const [peer, client] of this.#clients) {
      const wanted = left.filter((call) => call.peer === peer);
      if (client.unread.length === 0 || wanted.length === 0) continue;
      this.#match(peer, client, client.unread.shift(), wanted);
      return !this.#isOver;
    }
    if (left.length > 0) return false;
    this.#at = end;
    return true;
  }

  /** The calls of the lines from here on until the server or somebody else has to do something. */
  #awaited(): { calls: AwaitedCall[]; end: number } {
    const calls: AwaitedCall[] = [];
    let end = this.#at;
    for (; end < this.#lines.length; end++) {
      const { line, number } = this.#lines[end] as NumberedLine;
      if (line.kind === "comment") continue;
      if (line.kind !== "frame" || line.by !== "peer") break;
      const { peer, frame } = line;
      // A frame of several calls may come as several frames.
      const frames = this.#plays(peer) ? [frame].flat() : [];
      for (const [index, expected] of frames.entries())
        calls.push({ key: `${number} ${index}`, number, peer, expected });
    }
    return { calls, end };
  }

  #match(peer: string, client: Client, frame: Frame, wanted: readonly AwaitedCall[]): void {
    const differences: string[] = [];
    for (const { key, number, expected } of wanted) {
      const difference = this.#bindings.match(wordOf(expected), wordOf(frame, expected));
      if (difference === undefined) {
        this.#done.add(key);
        client.callIds.set(JSON.stringify(idOf(expected)), idOf(frame));
        if (isFirst(frame)) {
          client.isPongDue = true;
          client.socket.send("PING");
        }
        return;
      }
      differences.push(`line ${number}: ${difference}`);
    }
    if (isCandidate(frame)) {
      const result = { type: "data", data: { delivered: true } };
      client.socket.send(JSON.stringify({ id: idOf(frame), result }));
    } else this.deviate(`${peer} has sent ${writeFrame(frame)}; ${differences.join("; ")}`);
  }
}

interface AwaitedCall {
  /** Tells it from all others of the transcript. */
  key: string;
  /** Of its line. */
  number: number;
  peer: string;
  expected: Frame;
}

const idOf = (frame: Frame) => (frame as { id?: unknown }).id;
const isFirst = (frame: Frame) => (frame as { method?: string }).method === "connectionParams";

/** A client has candidates of its own, as many as it finds. */
const isCandidate = (frame: Frame): boolean =>
  (frame as { params?: { path?: string } }).params?.path === "addIceCandidate";

/**
 * What a frame of a client says, however it is worded: without the id of the call, with `lastEventId` in one place, and no input as an empty
 * one. Of what the client makes of its own (descriptions and candidates), and of parameters that it adds, only that they are there.
 */
function wordOf(frame: Frame, expected?: Frame): unknown {
  if (typeof frame !== "object" || frame === null) return frame;
  const { method, data, params } = frame as {
    method?: string;
    data?: Record<string, unknown>;
    params?: { path?: string; input?: Record<string, unknown> | null; lastEventId?: string };
  };
  if (method === "connectionParams") {
    const own = (expected as { data?: object } | undefined)?.data;
    const asked = Object.entries(data ?? {}).filter(
      ([name]) => name === "token" || own === undefined || name in own,
    );
    return { method, data: Object.fromEntries(asked) };
  }
  if (!params) return { method };
  const { lastEventId = params.lastEventId, ...input } = params.input ?? {};
  for (const field of ["sdp", "candidate", "offer"])
    if (input[field]) input[field] = `the client's own ${field}`;
  return { method, path: params.path, input, ...(lastEventId !== undefined && { lastEventId }) };
}

/** Those who open sockets. */
function peersOf(lines: readonly NumberedLine[]): string[] {
  const opened = lines.flatMap(({ line }) => {
    const event = line.kind === "happens" ? socketEvent(line.text) : undefined;
    return event && "what" in event && event.what === "opens" ? event.peer : [];
  });
  return [...new Set(opened)];
}

function describe({ line }: NumberedLine): string {
  if (line.kind === "happens") return `"${line.text}"`;
  return line.kind === "frame" ? `${line.peer} to send ${writeFrame(line.frame)}` : "";
}
