"""How this process and its helper talk: pickled messages through pipes, in which known objects are only named.

Only processes of this program write to them, never a file or a stranger.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import threading
from collections.abc import Sequence
from typing import IO, Any

from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.synthesise.reference_set import SourcePicture

_PIPE_BYTES = 1 << 20  # of each pipe, where the system allows it: a batch of crops takes a few turns then
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of Linux


class Channel:
    """Both directions between two processes, seen from one of them; any thread may send, one at a time receives.

    Args:
        reading: Where messages come from.
        writing: Where they go.
    """

    def __init__(self, reading: IO[bytes], writing: IO[bytes]) -> None:
        self._reading, self._writing, self._lock = reading, writing, threading.Lock()
        self._tracklets: list[Tracklet] = []
        self._sent: dict[int, tuple[int, SourcePicture]] = {}  # by identity; the picture stays alive with its number
        self._received: dict[int, SourcePicture] = {}
        for pipe in (reading, writing):
            _widen(pipe)

    def share(self, tracklets: Sequence[Tracklet]) -> None:
        """Name tracklets by their place in this list from now on; the other side must share the like."""
        self._tracklets = list(tracklets)

    def forget_pictures(self) -> None:
        """Send the pictures of the person anew from the next message on, so that those of earlier shots can go."""
        with self._lock:
            self._sent.clear()

    def tell(self, message: Any) -> None:
        """Send a message. Raises BrokenPipeError where the other process is gone."""
        with self._lock:
            buffer = io.BytesIO()
            _Pickler(buffer, self).dump(message)
            if self._writing.closed:
                raise BrokenPipeError("the other process has been ended")
            self._writing.write(buffer.getbuffer())
            self._writing.flush()

    def heard(self) -> Any:
        """Wait for the next message. Raises EOFError where the other process is gone."""
        return _Unpickler(self._reading, self).load()

    def name_of(self, known: object) -> tuple[Any, ...] | None:
        """Name a known object, with what it holds if the other side does not know it yet; None: pickle it."""
        if isinstance(known, Tracklet):
            places = [k for k, each in enumerate(self._tracklets) if each is known]
            return ("tracklet", places[0]) if places else None
        if not isinstance(known, SourcePicture):
            return None
        if id(known) in self._sent:
            return ("picture", self._sent[id(known)][0], None)
        number = len(self._sent)
        self._sent[id(known)] = (number, known)
        return ("picture", number, (known.crop, known.picture, known.transform))

    def named(self, name: tuple[Any, ...]) -> object:
        """Return what the other side has named."""
        if name[0] == "tracklet":
            return self._tracklets[name[1]]
        _, number, held = name
        if held is not None:
            self._received = {} if number == 0 else self._received
            self._received[number] = SourcePicture(*held)
        return self._received[number]


class _Pickler(pickle.Pickler):
    def __init__(self, file: IO[bytes], channel: Channel) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._channel = channel

    def persistent_id(self, obj: object) -> tuple[Any, ...] | None:
        return self._channel.name_of(obj)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], channel: Channel) -> None:
        super().__init__(file)
        self._channel = channel

    def persistent_load(self, pid: tuple[Any, ...]) -> object:
        return self._channel.named(pid)


def _widen(pipe: IO[bytes]) -> None:
    try:
        from fcntl import fcntl
    except ImportError:
        return
    with contextlib.suppress(OSError, ValueError):
        fcntl(pipe.fileno(), _SET_PIPE_SIZE, _PIPE_BYTES)
