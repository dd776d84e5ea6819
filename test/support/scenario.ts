/**
 * Plays a scenario file. The first line is its title; then come acts, one a line ('Alice joins wishing jazz'),
 * and indented under an act what each peer was told since the last such line, exactly and in order. Whoever
 * is not mentioned under an act that has such lines must have been told nothing.
 */
import { createDimensions, type Want } from "../../src/domain/facts.ts";
import type { Facts, FactValue, PeerEvent } from "../../src/protocol.ts";
import type { FactsDeclaration } from "../../src/protocol/declaration.ts";
import { createWorld, type Asked, type OpenEngine, type Peer } from "./world.ts";

export interface Scenario {
  title: string;
  acts: { line: string; told: string[] }[];
}

export function parseScenario(text: string): Scenario {
  const [title = "", ...lines] = text.split("\n").filter((line) => line.trim() !== "");
  const acts: Scenario["acts"] = [];
  for (const line of lines) {
    if (/^\s/.test(line)) acts.at(-1)?.told.push(line.trim());
    else acts.push({ line, told: [] });
  }
  return { title, acts };
}

const unitMs = { second: 1000, minute: 60_000, hour: 3_600_000 };

/** 'lobby', 'partner-disconnected (left)', 'session (resumed, paired)', 'create-offer (sharing jazz)'. */
function describeEvent(event: PeerEvent<unknown>): string {
  switch (event.type) {
    case "session":
      return `session (${event.resumed ? "resumed, " : ""}${event.state.status})`;
    case "resync":
      return `resync (${event.state.status})`;
    case "partner-disconnected":
      return `partner-disconnected (${event.reason})`;
    case "create-offer":
    case "wait-for-offer": {
      const shared = event.sharedInterests.join(" and ");
      return shared === "" ? event.type : `${event.type} (sharing ${shared})`;
    }
    default:
      return event.type;
  }
}

/** What peers of scenarios can state and want. */
const declaration = {
  region: { kind: "one", of: ["Europe", "Asia", "America"] },
  age: { kind: "range", from: 18, to: 99, bands: [30, 40, 50, 60] },
  topics: { kind: "set", of: ["films", "games", "travel"] },
  adult: { kind: "flag" },
} as const satisfies FactsDeclaration;

/** 'region Europe, age 30, topics films and games, adult yes'. */
function readFacts(text: string): Facts {
  const facts: Record<string, FactValue> = {};
  for (const item of text.split(", ")) {
    const [, name = "", value = ""] = /^(\w+) (.+)$/.exec(item) ?? [];
    if (!(name in declaration)) throw new Error(`nobody knows what ${item} is`);
    const { kind } = declaration[name as keyof typeof declaration];
    if (kind === "set") facts[name] = value.split(" and ");
    else facts[name] = kind === "range" ? Number(value) : kind === "flag" ? value === "yes" : value;
  }
  return facts;
}

/** 'region Europe or Asia always, age 20 to 29 for 8 seconds'. */
function readWants(text: string): Want[] {
  return text.split(", ").map((item) => {
    const [, of = "", value = "", ms] =
      /^(\w+) (.+?) (?:always|for (\d+) seconds)$/.exec(item) ?? [];
    const until = ms === undefined ? {} : { softAfterMs: Number(ms) * 1000 };
    if (!(of in declaration)) throw new Error(`nobody knows what ${item} is`);
    const { kind } = declaration[of as keyof typeof declaration];
    if (kind === "flag") return { of, is: value === "yes", ...until };
    if (kind !== "range") return { of, in: value.split(" or "), ...until };
    const [from, to] = value.split(" to ").map(Number);
    return { of, from: from ?? 18, to: to ?? 99, ...until };
  });
}

function readWishes(text: string): Asked {
  const [, own, wants] = /^joins stating (.+?)(?: wanting (.+))?$/.exec(text) ?? [];
  if (own !== undefined)
    return { facts: readFacts(own), ...(wants === undefined ? {} : { wants: readWants(wants) }) };
  const wishing = / wishing (.+?)(?= speaking | for |$)/.exec(text)?.[1];
  const speaking = / speaking (.+?)(?= for |$)/.exec(text)?.[1];
  const mode = / for (video|audio|text)$/.exec(text)?.[1];
  const list = (words: string) =>
    words
      .split(/,| and /)
      .map((word) => word.replace(/^ *"?|"? *$/g, (end) => end.replace(/"/, "")));
  return {
    ...(wishing === undefined ? {} : { interests: list(wishing) }),
    ...(speaking === undefined ? {} : { languages: list(speaking) }),
    ...(mode === undefined ? {} : { mode: mode as "video" }),
  };
}

/** Plays every act; answers what went otherwise than written, one line each. */
export async function playScenario(scenario: Scenario, open: OpenEngine): Promise<string[]> {
  const world = createWorld({ open, dimensions: createDimensions(declaration) });
  const cast = new Map<string, Peer>();
  const read = new Map<string, number>();
  const wrong: string[] = [];

  const peerCalled = (name: string) => {
    const peer = cast.get(name);
    if (!peer) throw new Error(`${name} never connected`);
    return peer;
  };

  async function act(line: string): Promise<unknown> {
    const passing = /^(\d+) (second|minute|hour)s? pass(?:es)?$/.exec(line);
    if (passing) return world.advance(Number(passing[1]) * unitMs[passing[2] as "second"]);
    const connecting = /^(.+) connects?$/.exec(line)?.[1];
    if (connecting !== undefined) {
      for (const name of connecting.split(/, | and /)) cast.set(name, await world.connect(name));
      return undefined;
    }
    const [, name = "", deed = ""] = /^(\w+) (.+)$/.exec(line) ?? [];
    const peer = peerCalled(name);
    if (deed.startsWith("joins")) return peer.join(readWishes(deed));
    switch (deed) {
      case "skips":
        return peer.skip();
      case "leaves":
        return peer.leave();
      case "drops":
        return peer.drop();
      case "comes back":
        return peer.comeBack();
      case "opens a second tab":
        return peer.comeBack({ lastEventId: undefined });
      case "blocks the partner":
        return world.signaling.block(peer.caller, peer.roomId());
      case "says the call failed":
        return world.signaling.failed(peer.caller, peer.roomId());
      case "says the call connected":
        return world.signaling.connected(peer.caller, peer.roomId());
      default:
        throw new Error(`nobody knows how one ${deed}`);
    }
  }

  for (const { line, told } of scenario.acts) {
    await act(line);
    await world.advance(0);
    if (told.length === 0) continue;
    const expected = new Map(
      told.map((sentence) => {
        const [, name = "", events = ""] = /^(\w+) is told (.+)$/.exec(sentence) ?? [];
        return [peerCalled(name).name, events];
      }),
    );
    for (const [name, peer] of cast) {
      const events = peer.told.slice(read.get(name) ?? 0).map(({ event }) => describeEvent(event));
      read.set(name, peer.told.length);
      const want = expected.get(name) ?? "";
      // Connecting says who one is, in every scenario alike; it need not be written each time.
      const got = want.startsWith("session")
        ? events
        : events.filter((_, at) => at > 0 || !isHello(events));
      if (got.join(", ") !== want)
        wrong.push(`${line}: ${name} was told ${got.join(", ") || "nothing"}`);
    }
  }
  return wrong;
}

const isHello = (events: string[]) => events[0] === "session (idle)";
