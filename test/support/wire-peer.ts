/** A peer on a raw socket: all that it sends and receives is validated by the documents of the wire. */
import { expect } from "bun:test";
import type { PeerEvent } from "../../src/protocol.ts";
import { openRawSocket, type Answer } from "./raw-socket.ts";
import type { TestServer } from "./server.ts";
import { until } from "./until.ts";
import type { WireSchema } from "./wire-schema.ts";

/** What peers have been sent. */
export interface Seen {
  readonly events: Set<string>;
  /** Procedures that were answered, other than by a refusal. */
  readonly answers: Set<string>;
  readonly reasons: Set<string>;
}

const title = (name: string) => `${name[0]?.toUpperCase()}${name.slice(1)}`;
const queries = new Set(["case", "iceServers", "stats", "site"]);

/** @param params those of the connection. */
export async function openPeer(
  { ws }: Pick<TestServer, "ws">,
  { schema, seen, params = {} }: { schema: WireSchema; seen: Seen; params?: object | undefined },
) {
  const socket = await openRawSocket(`${ws}/trpc?connectionParams=1`);
  const told: PeerEvent[] = [];
  const faults: string[] = [];
  let lastEventId = "";
  let token = "";
  let calls = 0;
  socket.onAnswer((answer) => {
    faults.push(...schema.faults("ServerFrame", answer));
    if (answer.error?.data.reason) seen.reasons.add(answer.error.data.reason);
    const { id, data } = (answer.result?.data ?? {}) as { id?: string; data?: PeerEvent };
    if (id === undefined || !data) return;
    faults.push(...schema.faults("EventFrame", answer));
    lastEventId = id;
    seen.events.add(data.type);
    if (data.type === "session") token = data.token;
    told.push(data);
  });

  function send(frame: object): void {
    faults.push(...schema.faults("ClientFrame", frame));
    socket.send(JSON.stringify(frame));
  }

  const callFrame = (path: string, input?: unknown) => ({
    id: (calls += 1),
    method: queries.has(path) ? "query" : "mutation",
    params: { path, ...(input !== undefined && { input }) },
  });

  /** @param isValid whether the documents say that it may be called so. */
  async function call(path: string, input?: unknown, isValid = true): Promise<Answer> {
    const frame = callFrame(path, input);
    const wrong = schema.faults(`${title(path)}Call`, frame);
    if (isValid) faults.push(...wrong);
    else expect([path, input, wrong.length]).toEqual([path, input, 1]);
    const answer = await socket.ask(JSON.stringify(frame), frame.id);
    const kind = answer.error ? "RefusalFrame" : `${title(path)}Response`;
    faults.push(...schema.faults(kind, answer));
    if (!answer.error) seen.answers.add(path);
    return answer;
  }

  /** The last event of one of these types, once there is one of which this holds. */
  async function event<Type extends PeerEvent["type"]>(
    types: Type | readonly Type[],
    holds: (event: Extract<PeerEvent, { type: Type }>) => boolean = () => true,
  ) {
    type Wanted = Extract<PeerEvent, { type: Type }>;
    const wanted = new Set<string>([types].flat());
    const find = () =>
      told.findLast((one): one is Wanted => wanted.has(one.type) && holds(one as Wanted));
    await until(`an event ${[...wanted].join(" or ")}`, find);
    return find() as Wanted;
  }

  send({ method: "connectionParams", data: params });
  return {
    socket,
    send,
    call,
    callFrame,
    event,
    subscribe(from?: string) {
      const fields = { path: "events", ...(from !== undefined && { lastEventId: from }) };
      send({ id: "events", method: "subscription", params: fields });
    },
    get token() {
      return token;
    },
    get lastEventId() {
      return lastEventId;
    },
    async [Symbol.asyncDispose]() {
      await socket[Symbol.asyncDispose]();
      expect(faults).toEqual([]);
    },
  };
}
