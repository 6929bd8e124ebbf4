"""A live conversation as a video call by WebRTC: the browser's microphone in, the person's picture and speech out."""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import time
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

from dithead.serve.errors import ApiError
from dithead.serve.live_hub import LiveHub, LiveLink
from dithead.serve.live_wire import PICTURE, SOUND, STATUS, Message, Stamped

log = logging.getLogger("dithead.serve")
RATE = 48000
"""Sample rate of the speech of a call, which is that of WebRTC's codec."""
_CLOCK = Fraction(1, 90000)  # of the picture's time stamps
_MOST_UNSENT = 50  # frames or pieces of sound that wait, at most (our choice)


class _Track(MediaStreamTrack):
    """What comes from the conversation, given out when it is due, so that picture and sound stay in step."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__()
        self._unsent: asyncio.Queue[Stamped] = asyncio.Queue(_MOST_UNSENT)

    def put(self, stamped: Stamped) -> None:
        """Take what comes; what is too much is left out."""
        with suppress(asyncio.QueueFull):
            self._unsent.put_nowait(stamped)

    async def recv(self) -> Any:
        """Return the next frame when it is due."""
        if self.readyState != "live":
            raise MediaStreamError
        stamped = await self._unsent.get()
        await asyncio.sleep(max(0.0, stamped.due - time.monotonic()))
        return _picture(stamped) if self.kind == "video" else _sound(stamped)


class _Call:
    """A peer connection and its conversation."""

    def __init__(self, hub: LiveHub, link: LiveLink) -> None:
        self.hub, self.link = hub, link
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))  # by default, aiortc asks a server of Google
        self.video, self.audio = _Track("video"), _Track("audio")
        self.channel: Any = None
        self._hearing: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self.peer.on("track", self._on_track)
        self.peer.on("datachannel", self._on_channel)
        self.peer.on("connectionstatechange", self._on_change)

    async def answer(self, sdp: str) -> str:
        """Return the answer to an offer. Raises ApiError where the offer cannot be read."""
        try:
            await self.peer.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
            self.peer.addTrack(self.video)
            self.peer.addTrack(self.audio)
            await self.peer.setLocalDescription(await self.peer.createAnswer())
        except Exception as error:  # noqa: BLE001  # whatever the library raises at what a stranger wrote
            await self.peer.close()
            log.info("an offer could not be read", extra={"reason": type(error).__name__})
            line = "sdp: this offer cannot be answered; make it with a browser's RTCPeerConnection"
            raise ApiError(422, line) from None
        self.link.attach(self._take)
        self._ending = asyncio.ensure_future(self._end())
        return str(self.peer.localDescription.sdp)

    def _take(self, message: Message) -> None:
        if message.kind == PICTURE:
            self.video.put(Stamped.read(message))
        elif message.kind == SOUND:
            self.audio.put(Stamped.read(message))
        elif message.kind == STATUS and self.channel is not None and self.channel.readyState == "open":
            self.channel.send(message.content.decode())

    def _on_track(self, track: Any) -> None:
        if track.kind == "audio":
            self._hearing = asyncio.ensure_future(self._hear(track))

    def _on_channel(self, channel: Any) -> None:
        self.channel = channel
        channel.on("message", self._on_message)

    def _on_message(self, text: Any) -> None:
        with suppress(ValueError, AttributeError, TypeError):
            kind = json.loads(text).get("type")
            if kind == "interrupt":
                self.link.interrupt()
            elif kind == "end":
                self.hub.end(self.link)

    async def _on_change(self) -> None:
        if self.peer.connectionState in ("failed", "closed", "disconnected"):
            self.link.detach(self._take)
            if self._hearing is not None:
                self._hearing.cancel()
            await self.peer.close()

    async def _end(self) -> None:
        """Hang up when the conversation has ended: else a browser would go on showing its last frame."""
        await self.link.ended.wait()
        await self.peer.close()

    async def _hear(self, track: Any) -> None:
        """Pass on the microphone, as 16-bit mono."""
        mono = av.AudioResampler("s16", "mono", RATE)
        with suppress(MediaStreamError, asyncio.CancelledError):
            while not self.link.ended.is_set():
                for frame in mono.resample(await track.recv()):
                    self.link.speak(frame.to_ndarray().tobytes())


async def answer_call(hub: LiveHub, link: LiveLink, sdp: str) -> str:
    """Connect a conversation with a browser.

    Args:
        hub: It ends the conversation where the call cannot begin.
        link: The conversation.
        sdp: The browser's offer.

    Returns:
        The answer.

    Raises:
        ApiError: The offer cannot be read.
    """
    try:
        return await _Call(hub, link).answer(sdp)
    except ApiError:
        hub.end(link)
        raise


def _picture(stamped: Stamped) -> Any:
    width, height = struct.unpack_from(">II", stamped.content)
    planes = np.frombuffer(stamped.content, np.uint8, offset=8).reshape(height * 3 // 2, width)
    frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
    frame.pts, frame.time_base = round(stamped.time / _CLOCK), _CLOCK
    return frame


def _sound(stamped: Stamped) -> Any:
    samples = np.frombuffer(stamped.content, "<i2")
    frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, round(stamped.time * RATE), Fraction(1, RATE)
    return frame
