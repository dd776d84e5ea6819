"""Replays transcripts with the client: `python3 replay.py <transcript> <url of the server that plays it> …`.

It calls what the transcript's peers call, and compares what the client makes of the server's frames. All that a client does by itself (open
a socket, name its token and last event, come back, move, answer PING) is left to the client, and checked by the server.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from client import Ended, Json, PeerStream, Refused, solve

PATTERN = re.compile(r"<([a-z]+)((?::[\w-]+)*)(?:=[^<>]*)?>")
LINE = re.compile(r"(?:(\w+) ([<>]) |- )(.+)")


class Values(dict[str, Any]):
    """What the named patterns stand for: the same name is the same value."""

    def match(self, expected: Any, value: Any, at: str = "") -> None:
        pattern = PATTERN.fullmatch(expected) if isinstance(expected, str) else None
        if pattern:
            wanted = (int, float) if pattern[1] in ("at", "ms") else str
            assert isinstance(value, wanted), f"{at} is {value!r} instead of {expected}"
            expected = self.setdefault(pattern[1] + pattern[2], value) if pattern[2] else value
        if isinstance(expected, dict) and isinstance(value, dict):
            assert expected.keys() == value.keys(), f"{at} has {[*value]} instead of {[*expected]}"
            for key in expected:
                self.match(expected[key], value[key], f"{at}.{key}")
        elif isinstance(expected, list) and isinstance(value, list) and len(expected) == len(value):
            for index, item in enumerate(expected):
                self.match(item, value[index], f"{at}.{index}")
        else:
            assert expected == value, f"{at} is {value!r} instead of {expected!r}"

    def fill(self, template: Any) -> Any:
        if isinstance(template, dict):
            return {key: self.fill(item) for key, item in template.items()}
        if isinstance(template, list):
            return [self.fill(item) for item in template]
        pattern = PATTERN.fullmatch(template) if isinstance(template, str) else None
        if not pattern:
            return template
        key = pattern[1] + pattern[2]
        return self.setdefault(key, f"my {key}") if pattern[1] == "id" else self[key]


class Replay:
    def __init__(self, text: str, url: str, stack: AsyncExitStack) -> None:
        self._lines = [LINE.fullmatch(line) for line in text.splitlines()]
        self._url = url
        self._stack = stack
        self._values = Values()
        self._peers: dict[str, PeerStream] = {}
        self._streams: dict[str, int] = {}
        self._calls: dict[tuple[str, Any], asyncio.Task[Any]] = {}
        self._moved: set[str] = set()

    async def play(self) -> None:
        for number, line in enumerate(self._lines, 1):
            try:
                if line and line[1] is None:
                    await self._happen(line[3])
                elif line:
                    frame = line[3] if line[3] in ("PING", "PONG") else json.loads(line[3])
                    for one in frame if isinstance(frame, list) else [frame]:
                        await (self._do if line[2] == ">" else self._expect)(line[1], one, number)
            except Exception as error:
                raise ValueError(f"line {number}: {type(error).__name__} {error}") from error

    async def _happen(self, text: str) -> None:
        """The socket is lost: the client notices, and comes back by itself unless it must not."""
        gone = re.fullmatch(r"(\w+) is cut|the server closes the socket of (\w+) with (\d+)", text)
        if gone and not self._peers[gone[1] or gone[2]].ended:
            _, event = await self._peers[gone[1] or gone[2]].next_event()
            self._values.match({"type": "connection-lost", "code": int(gone[3] or 1006)}, event)

    async def _do(self, name: str, frame: Any, number: int) -> None:
        if frame == "PING":
            return await self._peers[name].ping()
        method, params = frame["method"], frame.get("params", {})
        if method == "connectionParams":
            if name not in self._peers:
                self._peers[name] = await self._open(frame["data"], self._first_call(name, number))
        elif method == "subscription":
            self._streams[name] = frame["id"]
            if self._first_call(name) != "events":
                await self._peers[name].subscribe()
        elif method == "subscription.stop":
            await self._peers[name].unsubscribe()
        else:
            peer, given = self._peers[name], params.get("input")
            if (given or {}).get("solution"):
                self._values["solution"] = solve(self._values["challenge"])
            call = peer.mutate if method == "mutation" else peer.query
            work = call(params["path"], self._values.fill(given))
            self._calls[name, frame["id"]] = asyncio.create_task(work)

    def _first_call(self, name: str, after: int = 0) -> str:
        for line in self._lines[after:]:
            if line and line[1] == name and line[2] == ">" and '"path":' in line[3]:
                return json.loads(line[3].strip("[]").split("},{")[0])["params"]["path"]
        return "events"

    async def _open(self, given: Json, first_call: str) -> PeerStream:
        token = self._values.fill(given.get("token"))
        for name in self._moved:
            if self._peers[name].token == token:
                return self._peers[name]  # It has moved to another socket, as it was asked to.
        params = {name: value for name, value in given.items() if name != "token"}
        is_present = first_call == "events"
        peer = PeerStream(self._url, token=token, params=params, present=is_present, delay_s=0.02)
        await self._stack.enter_async_context(peer)
        with suppress(Ended):
            await peer.connected()
        return peer

    async def _expect(self, name: str, frame: Any, number: int) -> None:
        if frame == "PONG":
            return
        if frame.get("method") == "reconnect":
            self._moved.add(name)
        elif frame["id"] in (None, self._streams.get(name)):
            if name in self._moved or frame.get("result", {}).get("type") in ("started", "stopped"):
                return
            event_id, event = await self._peers[name].next_event()
            if "error" in frame:
                self._values.match({"type": "refused", **frame["error"]["data"]}, event)
            else:
                self._values.match(frame["result"]["id"], event_id)
                self._values.match(frame["result"]["data"]["data"], event)
        else:
            try:
                answer = await self._calls.pop((name, frame["id"]))
                self._values.match(frame["result"].get("data"), answer)
            except Refused as refused:
                self._values.match(frame["error"]["data"], refused.fields)
                self._values["challenge"] = refused.fields.get("challenge")


async def replay(file: str, url: str) -> None:
    async with asyncio.timeout(30), AsyncExitStack() as stack:
        await Replay(Path(file).read_text("utf-8"), url, stack).play()


async def main(*pairs: str) -> int:
    """Replays all at once. Returns how many went otherwise than written, which it prints."""
    files = pairs[::2]
    replays = map(replay, files, pairs[1::2])
    wrong = [
        f"{file}: {type(error).__name__} {error}"
        for file, error in zip(files, await asyncio.gather(*replays, return_exceptions=True))
        if error is not None
    ]
    print(*wrong, sep="\n", end="", file=sys.stderr)
    return len(wrong)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
