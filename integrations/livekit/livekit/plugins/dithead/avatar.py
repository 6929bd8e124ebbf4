"""The avatar: takes the agent's speech, and publishes it into the room together with the person who speaks it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from os import PathLike
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.voice.avatar import (
    AudioSegmentEnd,
    AvatarOptions,
    AvatarRunner,
    QueueAudioOutput,
    VideoGenerator,
)
from livekit.agents.voice.avatar import AvatarSession as BaseAvatarSession

from dithead.inference.live_conversation import Conversation, PreparedHead
from dithead.inference.live_stream import live_stream
from dithead.inference.streaming import LiveFrame, LiveHead

logger = logging.getLogger("livekit.plugins.dithead")
_RATE = 24000
"""Samples a second; the session brings its speech to it, and most synthetic voices have it."""


class AvatarSession(BaseAvatarSession[Any]):
    """Shows a person who speaks for the agent.

    Example:
        avatar = AvatarSession("face.mp4")
        await avatar.start(session, room=ctx.room)  # before session.start
    """

    def __init__(self, person: str | PathLike[str] | PreparedHead, *, sample_rate: int = _RATE, **options: Any) -> None:
        """Name the person; a file is analysed by ``start``.

        Args:
            person: A video or a picture; or a prepared person, whom several sessions may share.
            sample_rate: Of the speech that is published, in hertz.
            options: Of ``LiveHead``, such as ``model``, ``face`` or ``label``.
        """
        super().__init__()
        self._person, self._rate, self._options = person, sample_rate, options
        self._talk: Conversation | None = None
        self._runner: AvatarRunner | None = None

    @property
    def avatar_identity(self) -> str:
        """The agent itself: it publishes the person."""
        assert self._room is not None
        return str(self._room.local_participant.identity)

    @property
    def provider(self) -> str:
        """Who draws."""
        return "dithead"

    async def start(self, agent_session: AgentSession[Any], room: rtc.Room) -> None:
        """Prepare the person, which takes seconds, and speak for the session from now on."""
        await super().start(agent_session, room)
        if not isinstance(self._person, PreparedHead):
            self._person = await asyncio.to_thread(self._prepared, self._person)
        self._talk = Conversation(self._person, self._rate)
        width, height = self._person.shown_size
        speech = QueueAudioOutput(sample_rate=self._rate, wait_playback_start=True)
        self._runner = AvatarRunner(
            room,
            audio_recv=speech,
            video_gen=DitheadGenerator(self._talk),
            options=AvatarOptions(width, height, self._person.fps, self._rate, 1),
        )
        await self._runner.start()
        agent_session.output.replace_audio_tail(speech)

    async def aclose(self) -> None:
        """End the conversation and leave the room."""
        if self._talk is not None:
            self._talk.close()
        if self._runner is not None:
            await self._runner.aclose()
        self._talk = self._runner = None
        await super().aclose()

    def _prepared(self, video: str | PathLike[str]) -> PreparedHead:
        return PreparedHead(LiveHead(video, **self._options))


class DitheadGenerator(VideoGenerator):
    """Gives frames all the time, and sound while the agent speaks."""

    def __init__(self, talk: Conversation) -> None:
        """Draw for this conversation."""
        self._talk, self._ending = talk, False
        self._resampler: rtc.AudioResampler | None = None

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Take speech, or the end of an utterance."""
        if isinstance(frame, AudioSegmentEnd):
            for rest in self._resampler.flush() if self._resampler is not None else []:
                self._talk.push_pcm(bytes(rest.data))
            self._talk.finish()
            self._ending = True
            return
        for each in self._at_our_rate(frame):
            self._talk.push_pcm(bytes(each.data))

    def clear_buffer(self) -> None:
        """Stop speaking at once."""
        self._ending, self._resampler = False, None
        self._talk.interrupt()

    def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        """Frames and sound when they are due, and a mark where an utterance ends."""
        return self._stream()

    async def _stream(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        async for each in live_stream(self._talk):
            if isinstance(each, LiveFrame):
                yield _picture(each)
            elif each.sent:
                yield rtc.AudioFrame(each.pcm, self._talk.speech.rate, 1, len(each.wave))
            elif self._ending and self._talk.said:
                self._ending = False
                yield AudioSegmentEnd()

    def _at_our_rate(self, frame: rtc.AudioFrame) -> list[rtc.AudioFrame]:
        if frame.num_channels != 1:
            raise ValueError(f"speech must have one channel, not {frame.num_channels}")
        if frame.sample_rate == self._talk.speech.rate:
            return [frame]
        if self._resampler is None:
            self._resampler = rtc.AudioResampler(frame.sample_rate, self._talk.speech.rate)
        return self._resampler.push(frame)


def _picture(frame: LiveFrame) -> rtc.VideoFrame:
    pixels = frame.pixels
    return rtc.VideoFrame(pixels.shape[1], pixels.shape[0], rtc.VideoBufferType.RGB24, pixels.tobytes())
