/**
 * What an operator's console reads of the engine in Redis, and the room that it ends. Reports are noted in shard 0. Sessions and rooms are
 * looked for among those with an open stream, in all shards, by scripts that look at a bounded number of them each, so that no other
 * call waits for long.
 */
import { lobbyOf, mainLobby } from "../../domain/lobby.ts";
import { isRejection, type Rejection } from "../../domain/rejection.ts";
import { closeRoom } from "../../domain/room-closing.ts";
import { statusOf } from "../../domain/session.ts";
import {
  notedReportsMax,
  type Found,
  type FoundSession,
  type NotedReport,
  type OperatorView,
  type RoomClosing,
} from "../operator-view.ts";
import { scripts } from "./scripts.ts";
import type { Shard } from "./shard.ts";

/** The notes are forgotten so long after the last one (seconds). */
const notesLifeS = 7 * 86_400;
/** Sessions that one script looks at, about. */
const scannedMax = 1000;

export class RedisOperatorView implements OperatorView {
  readonly #shards: readonly Shard[];
  readonly #site: Shard;

  /** @param site the first of the shards. */
  constructor(shards: readonly Shard[], site: Shard) {
    this.#shards = shards;
    this.#site = site;
  }

  note(report: NotedReport): Promise<Rejection | undefined> {
    const { node, transactor } = this.#site;
    return transactor.answering<Rejection | undefined>(async () => {
      const [key, json] = [node.keys.notedReports(), JSON.stringify(report)];
      await node.command("XADD", key, "MAXLEN", String(notedReportsMax), "*", "report", json);
      await node.command("EXPIRE", key, String(notesLifeS));
      return undefined;
    });
  }

  noted(): Promise<NotedReport[] | Rejection> {
    const { node, transactor } = this.#site;
    return transactor.answering(async () => {
      const reply = await node.command("XRANGE", node.keys.notedReports(), "-", "+");
      const entries = reply as [id: string, fields: string[]][];
      return entries.map(([, [, json = ""]]) => JSON.parse(json) as NotedReport).reverse();
    });
  }

  async find(letters: string, max: number): Promise<Found | Rejection> {
    const sessions: FoundSession[] = [];
    for (const shard of this.#available()) {
      const found = await shard.transactor.answering(() => findIn(shard, letters, max + 1));
      if (isRejection(found)) return found;
      sessions.push(...found);
      if (sessions.length > max) break;
    }
    return { sessions: sessions.slice(0, max), more: sessions.length > max };
  }

  async endRoom(roomId: string): Promise<RoomClosing | Rejection> {
    for (const shard of this.#available()) {
      const ended = await shard.transactor.answering(() => endRoomIn(shard, roomId));
      if (isRejection(ended) || ended.ended) return ended;
    }
    return { ended: false, newlyWaiting: [] };
  }

  /** If none is, the first one, whose calls are refused as unavailable. */
  #available(): readonly Shard[] {
    const available = this.#shards.filter(({ node }) => node.available);
    return available.length > 0 ? available : [this.#site];
  }
}

/** @param wanted the beginning of ids, or the room of the sessions. */
async function* scan(
  { node }: Shard,
  { letters = "", room = "" }: { letters?: string; room?: string },
): AsyncGenerator<string> {
  // A set that grows or shrinks meanwhile may be returned in parts twice.
  const seen = new Set<string>();
  let cursor = "0";
  do {
    const args = { cursor, count: scannedMax, letters, room };
    const [next, ids] = await node.run(scripts.scanOnline, args);
    for (const id of ids)
      if (!seen.has(id)) {
        seen.add(id);
        yield id;
      }
    cursor = next;
  } while (cursor !== "0");
}

async function findIn(shard: Shard, letters: string, max: number): Promise<FoundSession[]> {
  const ids: string[] = [];
  for await (const id of scan(shard, { letters })) if (ids.push(id) === max) break;
  if (ids.length === 0) return [];
  const transaction = await shard.transactor.look(...ids);
  return ids.flatMap((id) => {
    const session = transaction.get(id)?.value;
    if (!session?.present) return [];
    const { account, room } = session;
    const [status, lobby = mainLobby] = [statusOf(session), lobbyOf(session)];
    return [{ id, account, status, roomId: room?.id, lobby }];
  });
}

async function endRoomIn(shard: Shard, roomId: string): Promise<RoomClosing | Rejection> {
  for await (const id of scan(shard, { room: roomId })) {
    const ended = await shard.transactor.transact<RoomClosing>({ ids: [id] }, (transaction) => {
      const draft = transaction.get(id);
      const partner = draft && transaction.partnerOf(draft);
      const around = shard.transactor.surroundings();
      const change = draft && closeRoom(draft.value, partner, roomId, around);
      if (!change) return { ended: false, newlyWaiting: [] };
      return { ended: true, ...transaction.apply(change) };
    });
    if (isRejection(ended) || ended.ended) return ended;
  }
  return { ended: false, newlyWaiting: [] };
}
