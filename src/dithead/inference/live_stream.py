"""A conversation for asyncio: frames and sound in one order, each at the moment at which it is to be seen or heard.

This is what programs build on that have an event loop and a player of their own, such as voice assistants.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

from dithead.inference.live_conversation import Conversation, LiveSound
from dithead.inference.streaming import LiveFrame

_MOST_FRAMES, _MOST_SOUNDS = 32, 25
"""Frames and pieces of sound (of 40 ms) that are kept for a consumer who is slow; older ones are left out, so that
latency stays bounded (our choice)."""


async def live_stream(talk: Conversation) -> AsyncIterator[LiveFrame | LiveSound]:
    """Yield frames and sound when they are due, until the conversation is closed; leaving the iterator closes it.

    Of several frames that are due, only the newest is yielded.
    """
    inbox = _Inbox(talk, asyncio.get_running_loop())
    inbox.start()
    try:
        while (found := inbox.take()) is not None or not inbox.ended:
            if found is None:
                await inbox.wait()
            else:
                yield found
        if inbox.fault is not None:
            raise inbox.fault
    finally:
        talk.close()


class _Inbox:
    """What two threads have brought and nobody has taken yet."""

    def __init__(self, talk: Conversation, loop: asyncio.AbstractEventLoop) -> None:
        self.talk, self.loop = talk, loop
        self.frames: deque[LiveFrame] = deque(maxlen=_MOST_FRAMES)
        self.sounds: deque[LiveSound] = deque(maxlen=_MOST_SOUNDS)
        self.fault: Exception | None = None
        self.ended = False
        self._news = asyncio.Event()

    def start(self) -> None:
        """Begin to listen and to draw."""
        for source, place in ((self.talk.frames, self.frames.append), (self.talk.sounds, self.sounds.append)):
            threading.Thread(target=self._bring, args=(source, place), daemon=True).start()

    def take(self) -> LiveFrame | LiveSound | None:
        """Return what is due, or None."""
        while len(self.frames) > 1 and self._left(self.frames[1]) <= 0:
            self.frames.popleft()
        if self.frames and self._left(self.frames[0]) <= 0:
            return self.frames.popleft()
        return self.sounds.popleft() if self.sounds else None

    async def wait(self) -> None:
        """Wait until something comes or is due."""
        left = self._left(self.frames[0]) if self.frames else None
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), left)
        self._news.clear()

    def _left(self, frame: LiveFrame) -> float:
        return -self.talk.speech.late(frame.time)

    def _bring(self, source: Callable[[], Iterator[object]], place: Callable[..., None]) -> None:
        try:
            for each in source():
                place(each)
                self._wake()
        except Exception as fault:  # noqa: BLE001  # raised again by ``live_stream``
            self.fault = fault
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody takes anything any more
            self.loop.call_soon_threadsafe(self._news.set)
