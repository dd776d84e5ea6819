"""A client of Peer Stream in Python: asyncio, and the package `websockets` (10.4 or later).

    async with PeerStream("ws://localhost:3000/trpc") as peer:
        await peer.join(mode="text")
        async for event in peer.events():
            ...

It keeps its session through lost connections, sends what it does not know the fate of once more with the same id, and stops where the
server says so. As a program it chats with a stranger: `python3 client.py ws://localhost:3000/trpc`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
import json
import random
import sys
import uuid
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import websockets
from websockets.exceptions import ConnectionClosed, InvalidHandshake

Json = dict[str, Any]

# A server that hears nothing for 10 s sends PING, so a silence of this length (seconds) is a dead connection.
SILENCE_S = 20.0
# The longest delay before a reconnect (seconds).
DELAY_S_MAX = 10.0
# Close codes from here to 4999 mean: do not reconnect.
FINAL_CLOSE_CODE = 4500
# Whoever ends a room by one of these is not told so by an event.
ENDING = {"leave", "skip", "failed", "report", "block"}


class Refused(Exception):
    """A refusal. `reason` is one of the stable values of the protocol, and empty for a fault of the server's."""

    def __init__(self, error: Json) -> None:
        super().__init__(error["message"])
        self.fields: Json = error.get("data") or {}
        self.reason: str = self.fields.get("reason", "")
        retry_ms = self.fields.get("retryAfterMs")
        # Seconds after which trying again makes sense; None: it makes none.
        self.retry_after: float | None = None if retry_ms is None else retry_ms / 1000


class Ended(Exception):
    """The client does not come back by itself: it was closed, refused, or taken over by another one."""


class Lost(Exception):
    """The connection was lost before the answer to a call: whether it was carried out is not known."""


class Connection:
    """One socket, and the calls that are open on it."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.stream: int | None = None
        self.calls: dict[int, asyncio.Future[Any]] = {}
        self._ids = count(1)
        self._is_lost = False

    async def send(self, frame: Json | str) -> None:
        text = frame if isinstance(frame, str) else json.dumps(frame)
        try:
            await self.socket.send(text)
        except (ConnectionClosed, OSError) as error:
            raise Lost from error

    async def subscribe(self, last_event_id: str | None) -> None:
        self.stream = next(self._ids)
        params: Json = {"path": "events"}
        if last_event_id is not None:
            params["lastEventId"] = last_event_id
        await self.send({"id": self.stream, "method": "subscription", "params": params})

    async def call(self, method: str, path: str, given: Json | None) -> Any:
        if self._is_lost:
            raise Lost
        call_id = next(self._ids)
        answer = self.calls[call_id] = asyncio.get_running_loop().create_future()
        params: Json = {"path": path} if given is None else {"path": path, "input": given}
        try:
            await self.send({"id": call_id, "method": method, "params": params})
            return await answer
        finally:
            del self.calls[call_id]

    def answer(self, frame: Json) -> None:
        call = self.calls.get(frame["id"])
        if call is None or call.done():
            return
        if "error" in frame:
            call.set_exception(Refused(frame["error"]))
        else:
            call.set_result(frame["result"].get("data"))

    async def close(self) -> None:
        """Every call that is open is lost."""
        self._is_lost = True
        for call in self.calls.values():
            if not call.done():
                call.set_exception(Lost())
        await self.socket.close()


class PeerStream:
    """A peer. Its session lives as long as it comes back in time: `token` and `last_event_id` are all that it takes."""

    def __init__(self, url: str, *, token: str | None = None, params: dict[str, str] | None = None,
                 present: bool = True, delay_s: float = 0.25) -> None:
        self.token = token
        self.last_event_id: str | None = None
        self.room: Json | None = None
        self.ended: Exception | None = None
        self._url = f"{url}?connectionParams=1"
        # What the site asks for as `auth` comes along with the version of the protocol that this client speaks.
        self._params = {"protocol": "1", **(params or {})}
        self._present = present
        self._delay_s = delay_s
        self._attempt = 0
        self._connection: Connection | None = None
        self._changed = asyncio.Condition()
        self._pong = asyncio.Event()
        self._told: asyncio.Queue[tuple[str | None, Json] | None] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> PeerStream:
        self._begin(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end(Ended("closed"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # What a peer does. Each mutation has an id, so that sending it once more changes nothing.

    async def join(self, **wishes: Any) -> Json:
        """Enters the lobby. A proof of work is solved; any other challenge is raised, as it takes a human."""
        try:
            return await self.mutate("join", wishes)
        except Refused as refused:
            challenge = refused.fields.get("challenge", {})
            if challenge.get("kind") != "proof-of-work":
                raise
            solution = await asyncio.to_thread(solve, challenge)
            return await self.mutate("join", {**wishes, "solution": solution})

    async def mutate(self, path: str, given: Json) -> Any:
        room = self.room
        answer = await self._call("mutation", path, {"id": str(uuid.uuid4()), **given})
        is_meant = room and given.get("roomId", room["roomId"]) == room["roomId"]
        if path in ENDING and is_meant and self.room is room:
            self.room = None
        return answer

    async def query(self, path: str, given: Json | None = None) -> Any:
        return await self._call("query", path, given)

    async def ping(self) -> None:
        self._pong.clear()
        await (await self.connected()).send("PING")
        await self._pong.wait()

    async def subscribe(self) -> None:
        """Becomes present, if it was made with `present=False`."""
        self._present = True
        await (await self.connected()).subscribe(self.last_event_id)

    async def unsubscribe(self) -> None:
        self._present = False
        connection = await self.connected()
        await connection.send({"id": connection.stream, "method": "subscription.stop"})

    async def next_event(self) -> tuple[str | None, Json]:
        """The next event with its id. @raises Ended"""
        told = await self._told.get()
        if told is None:
            self._told.put_nowait(None)
            raise Ended(str(self.ended))
        return told

    async def events(self) -> AsyncIterator[Json]:
        with contextlib.suppress(Ended):
            while True:
                yield (await self.next_event())[1]

    # The connection.

    async def _call(self, method: str, path: str, given: Json | None) -> Any:
        while True:
            connection = await self.connected()
            try:
                return await connection.call(method, path, given)
            except Lost:
                if self._connection is connection:
                    self._connection = None

    async def connected(self) -> Connection:
        """Waits until it has a connection. @raises Ended"""
        async with self._changed:
            await self._changed.wait_for(lambda: self._connection or self.ended)
        if self._connection is None:
            raise Ended(str(self.ended))
        return self._connection

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        while self.ended is None:
            wait_s = random.uniform(0, min(DELAY_S_MAX, self._delay_s * 2 ** min(self._attempt, 16)))
            self._attempt += 1
            try:
                await self._live()
            except Refused as refused:
                self._told.put_nowait((None, {"type": "refused", **refused.fields}))
                if refused.retry_after is None:
                    await self._end(refused)
                wait_s += refused.retry_after or 0
            except ConnectionClosed as closed:
                self._told.put_nowait((None, {"type": "connection-lost", "code": code_of(closed)}))
                if FINAL_CLOSE_CODE <= code_of(closed) < 5000:
                    await self._end(closed)
            except InvalidHandshake as refused:
                # 403: this client is not let in. 429 and 503 say when to come back.
                if (status := status_of(refused)) is not None and status[0] == 403:
                    await self._end(refused)
                wait_s += status[1] if status else 0
            except (OSError, TimeoutError, Lost):
                self._told.put_nowait((None, {"type": "connection-lost", "code": 1006}))
            except Exception as fault:  # This is no server of the protocol.
                await self._end(fault)
            if self.ended is None:
                await asyncio.sleep(wait_s)

    async def _live(self) -> None:
        """Opens a socket, and moves to another one whenever the server asks for it."""
        connection = await self._open()
        try:
            while True:
                while not await self._frame(connection):
                    pass
                # The old socket is not read meanwhile: whatever is on its way there, the new one is sent again.
                old, connection = connection, await self._open(connection)
                self._begin(self._retire(old))
        finally:
            if self._connection is connection:
                self._connection = None
            await connection.close()

    async def _open(self, before: Connection | None = None) -> Connection:
        params = self._params if self.token is None else {**self._params, "token": self.token}
        try:
            connection = Connection(await websockets.connect(
                self._url, ping_interval=None, open_timeout=10, close_timeout=1))
            with contextlib.suppress(Lost):  # Reading tells why.
                await connection.send({"method": "connectionParams", "data": params})
                if self._present:
                    await connection.subscribe(self.last_event_id)
        except BaseException:
            if before is not None:
                await before.close()
            raise
        async with self._changed:
            self._connection = connection
            self._changed.notify_all()
        return connection

    async def _retire(self, old: Connection) -> None:
        """Waits for what was called on it, and closes it."""
        with contextlib.suppress(ConnectionClosed, OSError, TimeoutError, Refused):
            while old.calls:
                await self._frame(old, is_current=False)
        await old.close()

    async def _frame(self, connection: Connection, is_current: bool = True) -> bool:
        """Whether the server asks for another connection. @raises whatever ends this one"""
        async with asyncio.timeout(SILENCE_S):
            text = await connection.socket.recv()
        if text == "PING":
            with contextlib.suppress(Lost):  # There may be more to read.
                await connection.send("PONG")
        elif text == "PONG":
            self._pong.set()
        else:
            frame = json.loads(text)
            if frame.get("method") == "reconnect":
                return True
            if frame["id"] not in (None, connection.stream):
                connection.answer(frame)
            elif is_current:
                self._take(frame)
        return False

    def _take(self, frame: Json) -> None:
        """What is not the answer to a call: an event, or a refusal of the stream or of the whole socket."""
        if "error" in frame:
            raise Refused(frame["error"])
        if frame["result"]["type"] != "data":
            return
        self.last_event_id = frame["result"]["id"]
        event: Json = frame["result"]["data"]["data"]
        kind = event["type"]
        state = event.get("state", event)
        if kind == "session":
            self.token = event["token"]
            self._attempt = 0
        if kind in ("session", "resync", "create-offer", "wait-for-offer"):
            self.room = state if "roomId" in state else None
        elif kind == "partner-disconnected" and self.room and self.room["roomId"] == event["roomId"]:
            self.room = None
        self._told.put_nowait((self.last_event_id, event))

    async def _end(self, why: Exception) -> None:
        if self.ended is None:
            self.ended = why
            self._told.put_nowait(None)
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        async with self._changed:
            self._changed.notify_all()


def code_of(closed: ConnectionClosed) -> int:
    return closed.rcvd.code if closed.rcvd else 1006


def status_of(refused: InvalidHandshake) -> tuple[int, float] | None:
    """The HTTP status and `Retry-After` (seconds) of a handshake that was refused: websockets 10 and 14 name them differently."""
    response = getattr(refused, "response", refused)
    status, headers = getattr(response, "status_code", None), getattr(response, "headers", {})
    seconds = headers.get("Retry-After", "")
    return None if status is None else (status, float(seconds) if seconds.isdecimal() else 0)


def solve(challenge: Json) -> str:
    """The solution of a proof of work: the count whose key, by PBKDF2 of nonce and count, begins as asked for."""
    work = challenge["parameters"]
    nonce, salt = bytes.fromhex(work["nonce"]), bytes.fromhex(work["salt"])
    for counter in count():
        password = nonce + counter.to_bytes(4, "big")
        key = hashlib.pbkdf2_hmac("sha256", password, salt, work["cost"], work["keyLength"]).hex()
        if key.startswith(work["keyPrefix"]):
            break
    made = {name: challenge[name] for name in ("parameters", "signature")}
    solution = {"challenge": made, "solution": {"counter": counter, "derivedKey": key}}
    return base64.b64encode(json.dumps(solution).encode()).decode()


async def chat(url: str, interests: list[str]) -> None:
    """Prints each event, and what became of each line that is typed, as JSON."""
    async with PeerStream(url) as peer:
        async def show() -> None:
            async for event in peer.events():
                print(json.dumps(event, ensure_ascii=False), flush=True)

        shown = asyncio.create_task(show())
        await peer.join(mode="text", interests=interests)
        case_id = ""
        while (line := await asyncio.to_thread(sys.stdin.readline)) not in ("", "/quit", "/quit\n"):
            line = line.strip()
            room = {"roomId": peer.room["roomId"] if peer.room else ""}
            try:
                if line == "/skip":
                    answer = await peer.mutate("skip", room)
                elif line == "/report":
                    answer = await peer.mutate("report", {**room, "reason": "spam"})
                    case_id = answer["caseId"]
                elif line == "/case":
                    answer = await peer.query("case", {"caseId": case_id})
                else:
                    answer = await peer.mutate("say", {**room, "text": line})
            except Refused as refused:
                answer = {"refused": refused.reason, "because": str(refused)}
            print(json.dumps({"typed": line, "answer": answer}), flush=True)
        await peer.mutate("leave", {})
        shown.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Chats with strangers.")
    parser.add_argument("url", help="ws://localhost:3000/trpc")
    parser.add_argument("--interest", action="append", default=[])
    arguments = parser.parse_args()
    asyncio.run(chat(arguments.url, arguments.interest))
