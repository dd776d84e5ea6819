/** The loudspeaker or headphones that an element plays on (W3C Audio Output Devices API). */
import type { SourceResult, Player } from "./camera.ts";
import { mediaErrorOf } from "./media-request.ts";

/** @param id "" is the system's own choice. Never rejects. */
export async function playOn(player: Player, id: string): Promise<SourceResult> {
  if (!player.setSinkId) return { ok: false, error: { kind: "unsupported", cause: undefined } };
  try {
    await player.setSinkId(id);
    return { ok: true };
  } catch (cause) {
    return { ok: false, error: mediaErrorOf(cause) };
  }
}
