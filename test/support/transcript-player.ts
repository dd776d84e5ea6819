/** Plays the clients of a transcript against a real server, and checks what the server sends, or records it. */
import type { Challenge } from "../../src/protocol.ts";
import type { FactsDeclaration } from "../../src/protocol/declaration.ts";
import { solutionOf } from "./challenges.ts";
import type { Redis } from "./redis.ts";
import {
  Bindings,
  readFrame,
  socketEvent,
  writeFrame,
  type Frame,
  type Line,
  type NumberedLine,
} from "./transcript.ts";
import { startTranscriptSite, type TranscriptSite } from "./transcript-site.ts";
import { until } from "./until.ts";

/** How long an expected frame may take (milliseconds). */
const withinMs = 10_000;
/** When recording, how long it has to be quiet until the next step (milliseconds). */
const quietMs = 120;

/** Plays a transcript against a site of its own. @throws with the line at which the server did something else. */
export async function checkTranscript(lines: NumberedLine[], redis?: Redis): Promise<void> {
  await using player = await Player.start(lines, redis);
  for (const { line, number } of lines)
    try {
      if (line.kind === "frame" && line.by === "server") await player.expect(line.peer, line.frame);
      else if (line.kind !== "comment" && !(await player.expectClose(line)))
        await player.perform(line);
    } catch (cause) {
      throw new Error(`line ${number}: ${String(cause)}`, { cause });
    }
  await player.expectNothing();
}

/** Plays the clients of a transcript, and returns it with what the server has sent now. */
export async function recordTranscript(lines: NumberedLine[], redis?: Redis): Promise<Line[]> {
  await using player = await Player.start(lines, redis);
  const recorded: Line[] = [];
  for (const { line } of lines) {
    const isServers =
      (line.kind === "frame" && line.by === "server") ||
      (line.kind === "happens" && line.text.startsWith("the server closes"));
    if (isServers) continue;
    recorded.push(line);
    if (line.kind === "comment") continue;
    await player.perform(line, recorded);
    const seconds = line.kind === "happens" ? /^(\d+) s pass/.exec(line.text)?.[1] : undefined;
    if (seconds !== undefined) await Bun.sleep(Number(seconds) * 1000);
    for (let before = -1; before !== recorded.length;) {
      before = recorded.length;
      await Bun.sleep(quietMs);
      player.record(recorded);
    }
  }
  return recorded;
}

interface ClientSocket {
  socket: WebSocket;
  unread: Frame[];
  closedWith: number | undefined;
  /** The client has ended it. */
  isOver: boolean;
}

class Player implements AsyncDisposable {
  readonly #site: TranscriptSite;
  readonly #bindings = new Bindings();
  /** Names of values that were received, for recording. */
  readonly #names = new Map<string | number, string>();
  readonly #counts = new Map<string, number>();
  #isKnownEvent = false;
  readonly #sockets = new Map<string, ClientSocket>();
  readonly #challenges = new Map<string, Challenge>();
  /** What has arrived, in this order, for recording. */
  readonly #arrived: { peer: string; frame?: Frame; closedWith?: number }[] = [];

  static async start(lines: NumberedLine[], redis: Redis | undefined): Promise<Player> {
    const env: Record<string, string> = {};
    let facts: FactsDeclaration = {};
    for (const { line } of lines) {
      const declared = line.kind === "happens" && /^the site declares (.*)$/.exec(line.text)?.[1];
      if (declared) facts = JSON.parse(declared) as FactsDeclaration;
      const settings = line.kind === "happens" && /^the site has (.*)$/.exec(line.text)?.[1];
      for (const setting of settings ? settings.split(" ") : []) {
        const [name = "", ...value] = setting.split("=");
        env[name] = value.join("=");
      }
    }
    return new Player(await startTranscriptSite(env, facts, redis));
  }

  private constructor(site: TranscriptSite) {
    this.#site = site;
  }

  async perform(line: Line, recorded?: Line[]): Promise<void> {
    if (line.kind === "frame") await this.#send(line.peer, line.frame);
    else if (line.kind === "happens") {
      const event = socketEvent(line.text);
      if (event && "what" in event) await this.#act(event.peer, event.what);
      else await this.#operate(line.text, recorded === undefined);
    }
  }

  async #send(peer: string, template: Frame): Promise<void> {
    const challenge = this.#challenges.get(peer);
    const solution = challenge?.kind === "proof-of-work" ? await solutionOf(challenge) : "";
    const make = (kind: string) => (kind === "solution" ? solution : crypto.randomUUID());
    this.#socketOf(peer).socket.send(writeFrame(this.#bindings.fill(template, make)));
  }

  async #act(peer: string, what: "opens" | "is cut" | "closes"): Promise<void> {
    if (what === "opens") return this.#open(peer);
    const client = this.#socketOf(peer);
    client.isOver = true;
    // Bun's own addition to the standard: without a closing handshake.
    if (what === "is cut") (client.socket as unknown as { terminate(): void }).terminate();
    else client.socket.close();
    await until(`${peer}'s socket is closed`, () => client.closedWith !== undefined);
  }

  async #open(peer: string): Promise<void> {
    const socket = new WebSocket(`${this.#site.ws}/trpc?connectionParams=1`);
    const client: ClientSocket = { socket, unread: [], closedWith: undefined, isOver: false };
    socket.onmessage = ({ data }) => {
      const frame = readFrame(data);
      const challenge = (frame as { error?: { data?: { challenge?: Challenge } } }).error?.data
        ?.challenge;
      if (challenge) this.#challenges.set(peer, challenge);
      client.unread.push(frame);
      this.#arrived.push({ peer, frame });
    };
    socket.onclose = ({ code }) => {
      client.closedWith = code;
      if (!client.isOver) this.#arrived.push({ peer, closedWith: code });
    };
    this.#sockets.set(peer, client);
    await until(`${peer}'s socket is open`, () => socket.readyState === WebSocket.OPEN);
  }

  async #operate(text: string, isCheck: boolean): Promise<void> {
    const word = (form: RegExp) => form.exec(text)?.[1];
    const suspended = word(/^the operator suspends (\w+)/);
    const because = word(/ because of (\w+)$/);
    const disconnected = word(/^the operator disconnects (\w+)$/);
    const room = word(/^the operator ends the room <(.*)>$/);
    const dismissed = word(/^the operator closes the case <(.*)>$/);
    if (suspended !== undefined)
      await this.#site.operate("suspend", {
        subject: { kind: "session", id: this.#sessionOf(suspended) },
        until: Date.now() + 3_600_000,
        ...(because !== undefined && { because }),
      });
    else if (room !== undefined)
      await this.#site.operate("endRoom", { roomId: this.#bindings.get(room) });
    else if (dismissed !== undefined)
      await this.#site.operate("dismiss", { caseId: this.#bindings.get(dismissed) });
    else if (disconnected !== undefined) await this.#site.disconnect(this.#sessionOf(disconnected));
    else if (text === "the server asks all to reconnect") this.#site.askToReconnect();
    else if (text === "the server begins to drain") this.#site.drain();
    else if (text === "the server restarts and has lost all rooms") await this.#site.restart();
    else if (text === "Redis goes away") await this.#site.loseRedis();
    else if (!/^(the site (has|declares) .*|\d+ s pass.*)$/.test(text))
      throw new Error(`nobody knows how this is done: ${text}${isCheck ? "" : " (recording)"}`);
  }

  /** The id of the session by which the operator names it: what its token begins with. */
  #sessionOf(peer: string): string {
    const token = this.#bindings.get(`token:${peer}:1`);
    return String(token).split(".")[0] ?? "";
  }

  #socketOf(peer: string): ClientSocket {
    const client = this.#sockets.get(peer);
    if (!client) throw new Error(`${peer} has no socket`);
    return client;
  }

  // -------------------------------------------------------------------------------------------
  // Checking

  /** Waits for a frame: the next one of its call. Answers to several calls may come in any order. */
  async expect(peer: string, expected: Frame): Promise<void> {
    const { unread } = this.#socketOf(peer);
    const call = callOf(expected);
    const find = () => unread.findIndex((frame) => callOf(frame) === call);
    const wanted = `${peer} is sent ${JSON.stringify(expected)}`;
    await until(wanted, () => find() >= 0, withinMs).catch((cause) => {
      throw new Error(`${String(cause)}; there is ${JSON.stringify(unread)}`, { cause });
    });
    const [frame] = unread.splice(find(), 1);
    const difference = this.#bindings.match(expected, frame);
    if (difference !== undefined) throw new Error(`${peer}: ${difference}`);
  }

  /** Waits for the server to close a socket, if that is what the line says. */
  async expectClose(line: Line): Promise<boolean> {
    const event = line.kind === "happens" ? socketEvent(line.text) : undefined;
    if (!event || !("code" in event)) return false;
    const client = this.#socketOf(event.peer);
    await until(`${event.peer}'s socket is closed`, () => client.closedWith !== undefined);
    if (client.closedWith !== event.code) throw new Error(`closed with ${client.closedWith}`);
    return true;
  }

  /** Nothing was sent that is not in the transcript: after the answer to one more call, nothing else is on its way. */
  async expectNothing(): Promise<void> {
    for (const [peer, client] of this.#sockets) {
      if (client.isOver || client.closedWith !== undefined) continue;
      const { socket, unread } = client;
      const call = { id: "the end", method: "query", params: { path: "site" } };
      socket.send(JSON.stringify(call));
      const isAnswer = (frame: Frame) => callOf(frame) === callOf(call);
      await until(`${peer} is answered at the end`, () => unread.some(isAnswer));
      const others = unread.filter((frame) => frame !== "PING" && !isAnswer(frame));
      if (others.length > 0) throw new Error(`${peer} was also sent ${JSON.stringify(others)}`);
    }
  }

  // -------------------------------------------------------------------------------------------
  // Recording

  /** Adds what has arrived, with patterns in place of what is another one each time. */
  record(recorded: Line[]): void {
    for (const { peer, frame, closedWith } of this.#arrived.splice(0)) {
      if (closedWith !== undefined)
        recorded.push({
          kind: "happens",
          text: `the server closes the socket of ${peer} with ${closedWith}`,
        });
      else {
        const { id } = (frame as { result?: { id?: string } }).result ?? {};
        this.#isKnownEvent = id !== undefined && this.#names.has(id);
        recorded.push({ kind: "frame", peer, by: "server", frame: this.#named(frame, peer) });
      }
    }
  }

  #named(value: unknown, peer: string, key = "", parent: object = {}): unknown {
    if (Array.isArray(value)) return value.map((item) => this.#named(item, peer));
    if (typeof value === "object" && value !== null)
      return Object.fromEntries(
        Object.entries(value).map(([name, item]) => [name, this.#named(item, peer, name, value)]),
      );
    if (typeof value === "number") return unnamed[key] ?? value;
    if (typeof value !== "string" || value === "") return value;
    // An event that two sockets are sent has a token that is signed for each.
    if (key === "token" && this.#isKnownEvent) return "<token>";
    if (key === "token" || key === "proof") return this.#name(`${key}:${peer}`, value);
    if (key === "roomId") return this.#name("room", value);
    if (key === "caseId") return this.#name("case", value);
    if (key === "id" && "data" in parent) return this.#name(`event:${peer}`, value);
    if (key in exemplary) return `<${exemplary[key]}=${value}>`;
    return unnamed[key] ?? value;
  }

  #name(kind: string, value: string): string {
    const known = this.#names.get(value);
    if (known !== undefined) return known;
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    this.#bindings.set(`${kind}:${count}`, value);
    const name = `<${kind}:${count}>`;
    this.#names.set(value, name);
    return name;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.#sockets.values()) socket.close();
    await this.#site[Symbol.asyncDispose]();
  }
}

/** Fields with times and credentials, which nobody has to remember. */
const unnamed: Record<string, string> = {
  at: "<at>",
  since: "<at>",
  deadline: "<at>",
  until: "<at>",
  retryAfterMs: "<ms>",
  estimateMs: "<ms>",
  renewAfterMs: "<ms>",
  username: "<username>",
  credential: "<credential>",
};

/** Fields of a proof of work, of which a client needs some that fit together. */
const exemplary: Record<string, string> = {
  nonce: "nonce",
  salt: "salt",
  keyPrefix: "prefix",
  keySignature: "signature",
  signature: "signature",
};

/** What a frame answers, or is: frames of one call come in their order. */
function callOf(frame: Frame): string {
  if (typeof frame === "string") return frame;
  const { id, method } = frame as { id?: unknown; method?: string };
  return JSON.stringify(id ?? method ?? null);
}
