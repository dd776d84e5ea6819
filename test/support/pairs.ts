/** Two peers that were just paired. */
import type { TestPeer } from "./server.ts";

/** The room that both were told of. @throws if that is not the same one. */
export async function assertPaired(longerWaiting: TestPeer, other: TestPeer): Promise<string> {
  const [{ roomId }, partner] = await Promise.all([
    longerWaiting.next("wait-for-offer"),
    other.next("create-offer"),
  ]);
  if (partner.roomId !== roomId) throw new Error("they are in different rooms");
  return roomId;
}
