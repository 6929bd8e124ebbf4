"""The live conversations of a server: starts the live process, opens connections to it, and keeps them a while.

A conversation belongs to a key. When its client goes away it goes on listening for a while, so that the same client can
come back to it by its id.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dithead.serve.errors import ApiError, busy
from dithead.serve.keys import Owner
from dithead.serve.live_wire import AUDIO, FINISH, INTERRUPT, OPEN, STATUS, Message, packed, receive_async
from dithead.serve.options import ServeOptions
from dithead.serve.storage import Storage, new_id

log = logging.getLogger("dithead.serve")
RECONNECT = 30.0
"""Seconds that a conversation waits for a client that went away (our choice)."""
_STARTS = 180.0  # seconds that the live process may take to start; it imports torch (our choice, for a busy machine)
_PREPARES = 300.0  # seconds that a person may take to be prepared (our choice)
_SEES = 10.0  # seconds in which reports must come from a process that is well (our choice)
Sink = Callable[[Message], None]


@dataclass(frozen=True)
class LiveWish:
    """What a client wants to talk with: a file that was checked, and how."""

    path: Path
    name: str
    key: str  # names the file in its present state
    options: dict[str, Any]
    rate: int
    real_time: bool
    raw: bool = False  # frames as planes for a video call, else as JPEG


@dataclass
class LiveLink:
    """A conversation, seen from the server."""

    id: str
    owner: Owner
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    raw: bool
    ready: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    sink: Sink | None = None
    left: float | None = None  # when the client went away
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def attach(self, sink: Sink) -> None:
        """Send what comes to a client from now on; an earlier one of the same conversation gets nothing more."""
        self.sink, self.left = sink, None

    def detach(self, sink: Sink) -> None:
        """The client went away; the conversation waits for it."""
        if self.sink is sink:
            self.sink, self.left = None, time.monotonic()

    def speak(self, pcm: bytes) -> None:
        """Send speech, 16-bit PCM."""
        self._send(AUDIO, pcm)

    def finish(self) -> None:
        """Say that an utterance has come whole."""
        self._send(FINISH)

    def interrupt(self) -> None:
        """Drop what is not spoken yet."""
        self._send(INTERRUPT)

    def _send(self, kind: bytes, content: bytes = b"") -> None:
        if not self.ended.is_set():
            self.writer.write(packed(kind, content))


class LiveHub:
    """All live conversations; used by the event loop only."""

    def __init__(self, options: ServeOptions, storage: Storage) -> None:
        self.options, self.folder = options, storage.data / "live"
        self.links: dict[str, LiveLink] = {}
        self._opening = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._address: TemporaryDirectory[str] | None = None
        self._starting = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, owner: Owner, wish: LiveWish) -> LiveLink:
        """Begin a conversation; it takes seconds until the person is prepared.

        Raises:
            ApiError: There is no room for one more (503), the file shows no face (422), or the process died.
        """
        if len(self.links) + self._opening >= self.options.live:
            line = (
                "live speech is switched off on this server"
                if not self.options.live
                else (f"all {self.options.live} live places are taken; try again when somebody has left")
            )
            raise busy(line)
        self._opening += 1
        try:
            reader, writer = await self._connect()
            link = LiveLink(new_id(), owner, reader, writer, wish.raw)
            try:
                link.ready = await self._ready(link, wish)
            except BaseException:
                writer.close()
                raise
        finally:
            self._opening -= 1
        self.links[link.id] = link
        self._spawn(self._pump(link))
        log.info("live conversation begins", extra={"live": link.id})
        return link

    def find(self, owner: Owner, link_id: str, *, raw: bool) -> LiveLink:
        """Return a conversation that goes on. Raises ApiError where there is none, or it is somebody else's."""
        link = self.links.get(link_id)
        if link is None or link.owner.id != owner.id or link.raw != raw:
            raise ApiError(404, "this conversation is over; begin a new one")
        return link

    def end(self, link: LiveLink) -> None:
        """End a conversation."""
        if self.links.pop(link.id, None) is not None:
            log.info("live conversation ends", extra={"live": link.id})
        link.writer.close()
        link.ended.set()

    def counts(self) -> dict[str, float]:
        """Return how many conversations there are, their frames, and the longest time from speech to picture."""
        links = list(self.links.values())
        figures = [link.figures for link in links]
        return {
            "conversations": len(links),
            "places": self.options.live,
            "frames_skipped": sum(each.get("skipped", 0) for each in figures),
            "frames_shown": sum(each.get("drawn", 0) + each.get("kept", 0) for each in figures),
            "latency_seconds": max((each.get("latency", 0.0) for each in figures), default=0.0),
        }

    def close(self) -> None:
        """End the live process."""
        for link in list(self.links.values()):
            link.ended.set()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._address is not None:
            self._address.cleanup()

    async def _ready(self, link: LiveLink, wish: LiveWish) -> dict[str, Any]:
        asked = {name: getattr(wish, name) for name in ("name", "key", "options", "rate", "real_time", "raw")}
        link.writer.write(packed(OPEN, asked | {"path": str(wish.path)}))
        message = await asyncio.wait_for(receive_async(link.reader), _PREPARES)
        if message is None:
            raise ApiError(503, f"{wish.name}: the live process died over it; try again, or export it as a plain MP4")
        said: dict[str, Any] = json.loads(message.content)
        if said["type"] == "busy":
            raise busy(said["detail"])
        if said["type"] != "ready":
            raise ApiError(422, said["detail"])
        return said

    async def _pump(self, link: LiveLink) -> None:
        """Pass on what comes, until either side ends it."""
        try:
            while not link.ended.is_set():
                message = await asyncio.wait_for(receive_async(link.reader), _SEES)
                if message is None or (link.left is not None and time.monotonic() - link.left > RECONNECT):
                    return
                if message.kind == STATUS:
                    link.figures = json.loads(message.content)
                if link.sink is not None:
                    link.sink(message)
        except TimeoutError:
            log.warning("the live process says nothing any more", extra={"live": link.id})
        finally:
            self.end(link)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with self._starting:
            if self._process is None or self._process.poll() is not None:
                self._start()
            assert self._address is not None
            assert self._process is not None
            address = str(Path(self._address.name) / "socket")
            end = time.monotonic() + _STARTS
            while time.monotonic() < end and self._process.poll() is None:
                with contextlib.suppress(OSError):
                    return await asyncio.open_unix_connection(address)
                await asyncio.sleep(0.1)
        raise ApiError(503, "the live process does not start; the server's log says why")

    def _start(self) -> None:
        if self._address is not None:
            self._address.cleanup()
        self._address = TemporaryDirectory(prefix="dithead-live-")  # short: names of sockets may have 100 letters
        shutil.rmtree(self.folder, ignore_errors=True)  # what a process that died has left
        self.folder.mkdir(mode=0o700)
        command = [sys.executable, "-c", "from dithead.serve.live_process import child; child()"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603  # our own interpreter and code
        given = {
            "models": self.options.offered,
            "device": self.options.device,
            "folder": str(self.folder),
            "address": str(Path(self._address.name) / "socket"),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(given).encode() + b"\n")
        self._process.stdin.flush()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
