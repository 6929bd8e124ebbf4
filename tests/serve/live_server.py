"""A server on a free port in this process, whose live process is a thread with the tiny model."""

from __future__ import annotations

import asyncio
import json
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from dithead.models.talking_head import TalkingHead
from dithead.serve.live_hub import LiveHub
from dithead.serve.live_process import LiveProcess
from dithead.serve.server import uvicorn_config

from .conftest import Server

PICTURE, SOUND = 1, 2


class _Alive:
    """What the hub knows of its process."""

    def poll(self) -> None:
        return None

    def kill(self) -> None:
        return None

    def wait(self) -> None:
        return None


def thread_for_process(talker: TalkingHead) -> Callable[[LiveHub], None]:
    """Return what replaces ``LiveHub._start``."""

    def start(hub: LiveHub) -> None:
        hub._address = tempfile.TemporaryDirectory(prefix="dithead-live-")
        hub._process = _Alive()  # type: ignore[assignment]
        hub.folder.mkdir(exist_ok=True)
        process = LiveProcess(hub.options.offered, "cpu", hub.folder)
        process._talkers = dict.fromkeys(hub.options.offered, talker)
        address = str(Path(hub._address.name) / "socket")
        threading.Thread(target=process.run, args=(address,), daemon=True).start()

    return start


class Running:
    """The server, answering on loopback."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.talks: list[Talk] = []
        config = uvicorn_config(server.app)
        config.port = 0
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._uvicorn.serve()), daemon=True)
        self._thread.start()
        while not self._uvicorn.started:
            time.sleep(0.02)
        self.port = self._uvicorn.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        for talk in self.talks:  # else the person would go on speaking while other tests run
            talk.socket.close()
        self._uvicorn.should_exit = True
        self._thread.join(20)


class Talk:
    """A client of the websocket."""

    def __init__(self, running: Running, start: dict[str, Any] | str, **options: Any) -> None:
        from websockets.exceptions import ConnectionClosed
        from websockets.sync.client import connect

        address = f"ws://127.0.0.1:{running.port}/v1/live"
        # No pings: on a busy machine their answers would come too late.
        self.socket = connect(address, max_size=None, ping_interval=None, close_timeout=1, **options).__enter__()
        running.talks.append(self)
        with suppress(ConnectionClosed):  # who is refused at once reads so, and need not have been faster
            self.socket.send(start if isinstance(start, str) else json.dumps(start))
        self.statuses: list[dict[str, Any]] = []
        self.pictures: list[tuple[int, float, bytes]] = []
        self.sounds: list[tuple[float, np.ndarray]] = []
        self.spoken = False  # something else than silence was heard

    def take(self) -> Any:
        """Take one message and note it."""
        message = self.socket.recv(timeout=60)
        if isinstance(message, str):
            self.statuses.append(json.loads(message))
            return self.statuses[-1]
        kind, number, seconds = struct.unpack_from("<BxxxId", message)
        if kind == PICTURE:
            self.pictures.append((number, seconds, message[16:]))
        else:
            self.sounds.append((seconds, np.frombuffer(message[16:], "<i2")))
            self.spoken = self.spoken or bool(self.sounds[-1][1].any())
        return None

    def until(self, holds: Callable[[], Any], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, "took too long"
            self.take()

    def ready(self) -> dict[str, Any]:
        """Wait until the person is ready, or the wish was refused."""
        while True:
            said = self.take()
            if said and said["type"] != "preparing":
                return said

    @property
    def heard(self) -> np.ndarray:
        return np.concatenate([wave for _, wave in self.sounds]) if self.sounds else np.zeros(0, np.int16)
