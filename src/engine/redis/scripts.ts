/** The Lua that runs inside Redis, one function each; what they share stands before each of them. */
import { createHash } from "node:crypto";
import admit from "./admit.lua" with { type: "text" };
import beat from "./beat.lua" with { type: "text" };
import candidates from "./candidates.lua" with { type: "text" };
import commit from "./commit.lua" with { type: "text" };
import era from "./era.lua" with { type: "text" };
import look from "./look.lua" with { type: "text" };
import read from "./read.lua" with { type: "text" };
import send from "./send.lua" with { type: "text" };
import take from "./take.lua" with { type: "text" };
import tell from "./tell.lua" with { type: "text" };

export interface Script {
  readonly text: string;
  /** By which Redis knows it once it has run. */
  readonly sha1: string;
}

function script(body: string): Script {
  const text = `${tell}\n${body}`;
  return { text, sha1: createHash("sha1").update(text).digest("hex") };
}

export const scripts = {
  admit: script(admit),
  beat: script(beat),
  candidates: script(candidates),
  commit: script(commit),
  era: script(era),
  look: script(look),
  read: script(read),
  send: script(send),
  take: script(take),
};
