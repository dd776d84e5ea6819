/** How long sessions and accounts are kept that are gone. */
import { retentionMsMin, tokenLifeMs } from "../constants.ts";
import type { EngineOptions } from "../engine.ts";

/** How long a session is kept that need not be kept for longer (seconds). */
export const shortLifeS = ({ skipCooldownMs }: Pick<EngineOptions, "skipCooldownMs">) =>
  Math.ceil(Math.max(retentionMsMin, skipCooldownMs) / 1000);

/** How long a person is kept that was last at this address, as keep_blocker.lua takes it. */
export function retentionArguments(
  addressHash: string | undefined,
  options: Pick<EngineOptions, "skipCooldownMs" | "blocks">,
): string[] {
  const { blockersMax, blockersPerAddressMax } = options.blocks;
  const bounds = [tokenLifeMs / 1000, shortLifeS(options), blockersMax, blockersPerAddressMax];
  return [addressHash ?? "", ...bounds.map(String)];
}
