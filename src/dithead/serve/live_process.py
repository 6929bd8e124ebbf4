"""The live process: holds the models once, and draws every live conversation of a server on threads of its own.

It is a process apart from the server, so that drawing slows no request down, and a file that crashes its decoder ends
the conversations only. The server talks to it over a socket that nobody else can open.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import struct
import sys
import threading
import time
import weakref
from collections import OrderedDict
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dithead.errors import DitheadError, ModelError
from dithead.inference.ahead import ahead
from dithead.inference.live_conversation import Conversation, PreparedHead
from dithead.inference.streaming import LiveFrame, LiveHead
from dithead.serve.errors import public_line, renamed
from dithead.serve.live_load import LiveLoad
from dithead.serve.live_wire import (
    AUDIO,
    FINISH,
    INTERRUPT,
    PICTURE,
    SOUND,
    STATUS,
    Message,
    Stamped,
    packed,
    receive,
)
from dithead.serve.logs import log_as_json
from dithead.serve.request_options import CONSENT
from dithead.serve.storage import link_or_copy, new_id

log = logging.getLogger("dithead.serve")
LONGEST_SOURCE = 60.0
"""Seconds of the video that are used; it is then played backwards (our choice)."""
_HEADS = 4  # people that are kept ready, at most (our choice)
_REPORT = 1.0  # seconds between two reports on a conversation (our choice)
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 88]


class LiveProcess:
    """Accepts conversations on a socket, one a connection."""

    def __init__(self, models: dict[str, str], device: str, folder: Path) -> None:
        self.models, self.device, self.folder, self.load = models, device, folder, LiveLoad()
        self._talkers: dict[str, Any] = {}
        self._heads: OrderedDict[str, PreparedHead] = OrderedDict()
        self._lock = threading.Lock()  # one person is prepared at a time
        self._numbers = count()

    def run(self, address: str) -> None:
        """Serve for ever."""
        threading.Thread(target=self._look_for_ever, daemon=True).start()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address)
            listener.listen(64)
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _look_for_ever(self) -> None:
        while True:
            self.load.look()
            threading.Event().wait(1.0)

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                first = receive(connection)
                if first is not None:
                    self._talk(connection, json.loads(first.content))
            except OSError:
                pass  # the server has closed the connection
            except Exception:  # a bug of ours ends this conversation and no other one
                log.exception("live conversation ended by a fault of dithead")

    def _talk(self, connection: socket.socket, asked: dict[str, Any]) -> None:
        if reason := self.load.busy():
            line = f"the machine has no room for one more ({reason}); try again when somebody has left"
            connection.sendall(packed(STATUS, {"type": "busy", "detail": line}))
            return
        try:
            talk = _Talk(connection, self._prepared(asked), asked)
        except ModelError as error:
            log.error("model does not load", extra={"reason": str(error)})  # a line, no traceback
            line = "the model does not load; the server's log says why"
            connection.sendall(packed(STATUS, {"type": "error", "detail": line}))
            return
        except DitheadError as error:
            line = public_line(error, {Path(asked["path"]): asked["name"]})
            connection.sendall(packed(STATUS, {"type": "error", "detail": line}))
            return
        number = next(self._numbers)
        self.load.add(number, talk.conversation.counts)
        try:
            talk.run()
        finally:
            self.load.remove(number)

    def _prepared(self, asked: dict[str, Any]) -> PreparedHead:
        """The person, analysed once however many conversations ask for them."""
        key = json.dumps([asked["key"], asked["options"]], sort_keys=True)
        with self._lock:
            if key not in self._heads:
                self._heads[key] = self._analysed(asked)
            self._heads.move_to_end(key)
            while len(self._heads) > _HEADS:
                self._heads.popitem(last=False)
            return self._heads[key]

    def _analysed(self, asked: dict[str, Any]) -> PreparedHead:
        """The person, whose file has a second name as long as somebody talks, because it is read again and again."""
        options = {**asked["options"], "consent": CONSENT}
        model = self._talker(options.pop("model", next(iter(self.models))))
        path = Path(asked["path"])
        own = self.folder / (new_id() + path.suffix)  # a name that no message contains otherwise
        try:
            link_or_copy(path, own)
            head = LiveHead(own, longest=LONGEST_SOURCE, model=model, device=self.device, **options)
            prepared = PreparedHead(head)
        except BaseException as error:
            own.unlink(missing_ok=True)
            if isinstance(error, DitheadError):
                raise renamed(error, {own: asked["name"]}) from None
            raise
        weakref.finalize(prepared, own.unlink, missing_ok=True)
        return prepared

    def _talker(self, name: str) -> Any:
        if name not in self._talkers:
            from dithead.inference.background_model import load_talker

            self._talkers[name] = load_talker(self.models[name], self.device)
        return self._talkers[name]


class _Talk:
    """One conversation: what comes over its connection, and three threads that send."""

    def __init__(self, connection: socket.socket, prepared: PreparedHead, asked: dict[str, Any]) -> None:
        self.connection, self.prepared, self.raw = connection, prepared, asked["raw"]
        self.conversation = Conversation(prepared, asked["rate"], real_time=asked["real_time"])
        self._sending = threading.Lock()
        self._over = threading.Event()

    def run(self) -> None:
        """Talk until the server closes the connection."""
        self._send(packed(STATUS, self._ready()))
        threads = [threading.Thread(target=each, daemon=True) for each in (self._frames, self._sounds, self._report)]
        for thread in threads:
            thread.start()
        try:
            while (message := receive(self.connection)) is not None:
                self._take(message)
        finally:
            self._over.set()
            self.conversation.close()
            for thread in threads:
                thread.join()

    def _ready(self) -> dict[str, Any]:
        (width, height), speech = self.prepared.shown_size, self.conversation.speech
        return {
            "type": "ready",
            "width": width,
            "height": height,
            "fps": self.prepared.fps,
            "rate": speech.rate,
            "delay": round(speech.delay, 3),
        }

    def _take(self, message: Message) -> None:
        if message.kind == AUDIO:
            try:
                self.conversation.push_pcm(message.content)
            except DitheadError as error:
                self._send(packed(STATUS, {"type": "refused", "detail": str(error)}))
        elif message.kind == FINISH:
            self.conversation.finish()
        elif message.kind == INTERRUPT:
            self.conversation.interrupt()

    def _frames(self) -> None:
        try:
            with closing(ahead(self.conversation.frames(), 1, "compose")) as frames:  # encoding takes time of its own
                for frame in frames:
                    content = _as_i420(frame) if self.raw else _as_jpeg(frame)
                    due = self.conversation.speech.due(frame.time)
                    self._send_stamped(Stamped(PICTURE, frame.time, due, frame.index, content))
        except OSError:
            pass
        except Exception:
            log.exception("live conversation ended by a fault of dithead")
            self.connection.shutdown(socket.SHUT_RDWR)

    def _sounds(self) -> None:
        try:
            for sound in self.conversation.sounds():
                due = self.conversation.speech.due(sound.time)
                self._send_stamped(Stamped(SOUND, sound.time, due, 0, sound.pcm))
        except OSError:
            pass

    def _report(self) -> None:
        counts, shown, then = self.conversation.counts, 0, time.monotonic()
        try:
            while not self._over.wait(_REPORT):
                before, shown = shown, counts.drawn + counts.kept
                since, then = then, time.monotonic()
                self._send(packed(STATUS, self._figures((shown - before) / (then - since))))
        except OSError:
            pass

    def _figures(self, rate: float) -> dict[str, Any]:
        counts = self.conversation.counts
        return {
            "type": "figures",
            "latency": round(self.conversation.latency, 3),
            "drawn": counts.drawn,
            "kept": counts.kept,
            "skipped": counts.skipped,
            "rate": round(rate, 1),
            "fps": self.prepared.fps,
        }

    def _send_stamped(self, stamped: Stamped) -> None:
        self._send(packed(stamped.kind, stamped.packed()))

    def _send(self, message: bytes) -> None:
        with self._sending:
            self.connection.sendall(message)


def _as_jpeg(frame: LiveFrame) -> bytes:
    return cv2.imencode(".jpg", frame.pixels[..., ::-1], _JPEG)[1].tobytes()


def _as_i420(frame: LiveFrame) -> bytes:
    """Width, height, and the planes of an even-sized picture in BT.601, as video calls take it."""
    import av

    pixels = frame.pixels
    height, width = (side // 2 * 2 for side in pixels.shape[:2])
    whole = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:height, :width]), "rgb24")
    return struct.pack(">II", width, height) + whole.to_ndarray(format="yuv420p").tobytes()


def child() -> None:
    """Be the live process: read what to do from standard input, and end at once when that closes."""
    import torch

    log_as_json()
    torch.set_num_threads(1)  # conversations are what runs at once
    cv2.setNumThreads(1)
    given = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    LiveProcess(given["models"], given["device"], Path(given["folder"])).run(given["address"])


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)
