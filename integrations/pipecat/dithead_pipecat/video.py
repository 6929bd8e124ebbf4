"""``DitheadVideoService``: stands between the text-to-speech service and the transport's output in a Pipecat pipeline.

It takes the speech out of the pipeline and puts it back in step with the frames. Both come without end, with silence
and a closed mouth while nobody speaks.
"""

from __future__ import annotations

import asyncio
from os import PathLike
from typing import Any

from pipecat.audio.utils import create_stream_resampler
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputImageRawFrame,
    OutputTransportReadyFrame,
    SpeechOutputAudioRawFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.services.ai_service import AIService
from pipecat.services.settings import ServiceSettings

from dithead import DitheadError
from dithead.inference.live_conversation import Conversation, PreparedHead
from dithead.inference.live_stream import live_stream
from dithead.inference.streaming import LiveFrame, LiveHead

_LOOK = 0.04  # seconds between two looks whether everything has been said


class DitheadVideoService(AIService):
    """Shows a person who speaks what the text-to-speech service before it says.

    Example:
        pipeline = Pipeline([transport.input(), stt, llm, tts, DitheadVideoService("face.mp4"), transport.output()])

    The transport needs ``video_out_enabled=True`` and ``video_out_width`` and ``video_out_height`` of the video;
    ``video_out_is_live`` stays off, because the pictures come in step with the sound.
    """

    def __init__(
        self, person: str | PathLike[str] | PreparedHead, *, options: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Name the person; a file is analysed when the pipeline is set up.

        Args:
            person: A video or a picture; or a prepared person, whom several pipelines may share.
            options: Of ``LiveHead``, such as ``model``, ``face`` or ``label``.
            kwargs: Of Pipecat's ``AIService``.
        """
        super().__init__(settings=ServiceSettings(model=None), **kwargs)
        self._person, self._options = person, options or {}
        self._talk: Conversation | None = None
        self._rate = 0
        self._streaming: asyncio.Task[None] | None = None
        self._resampler = create_stream_resampler()

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Prepare the person: seconds, once."""
        await super().setup(setup)
        self._rate = setup.audio_out_sample_rate
        if not isinstance(self._person, PreparedHead):
            self._person = await asyncio.to_thread(self._prepared, self._person)

    async def stop(self, frame: EndFrame) -> None:
        """Say what still waits, then end."""
        await super().stop(frame)
        if self._talk is not None and self._streaming is not None:
            self._talk.finish()
            while not self._talk.said and not self._streaming.done():
                await asyncio.sleep(_LOOK)
        await self._end()

    async def cancel(self, frame: CancelFrame) -> None:
        """End at once."""
        await super().cancel(frame)
        await self._end()

    async def cleanup(self) -> None:
        """End, however the pipeline does."""
        await super().cleanup()
        await self._end()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take speech, and let everything else pass."""
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            await self._speak(frame)
            return
        if isinstance(frame, TTSStoppedFrame):
            if self._talk is not None:
                self._talk.finish()
            return
        if isinstance(frame, InterruptionFrame) and self._talk is not None:
            self._talk.interrupt()
        elif isinstance(frame, OutputTransportReadyFrame) and self._streaming is None:
            self._begin()
        await self.push_frame(frame, direction)

    def _prepared(self, video: str | PathLike[str]) -> PreparedHead:
        return PreparedHead(LiveHead(video, **self._options))

    def _begin(self) -> None:
        assert isinstance(self._person, PreparedHead)
        self._talk = Conversation(self._person, self._rate)
        self._streaming = self.create_task(self._stream(self._talk))

    async def _speak(self, frame: TTSAudioRawFrame) -> None:
        if self._talk is None:
            await self.push_error("speech came before the transport was ready to show it")
            return
        if frame.num_channels != 1:
            await self.push_error(f"speech must have one channel, not {frame.num_channels}")
            return
        try:
            self._talk.push_pcm(await self._resampler.resample(frame.audio, frame.sample_rate, self._rate))
        except DitheadError as error:
            await self.push_error(str(error), exception=error)

    async def _stream(self, talk: Conversation) -> None:
        try:
            async for each in live_stream(talk):
                await self.push_frame(_picture(each) if isinstance(each, LiveFrame) else self._sound(each.pcm))
        except Exception as error:  # noqa: BLE001  # Pipecat's way to say it
            await self.push_error(f"the person cannot be shown any more: {error}", exception=error)

    def _sound(self, pcm: bytes) -> SpeechOutputAudioRawFrame:
        return SpeechOutputAudioRawFrame(audio=pcm, sample_rate=self._rate, num_channels=1)

    async def _end(self) -> None:
        if self._talk is not None:
            self._talk.close()
        if self._streaming is not None:
            await self.cancel_task(self._streaming)
        self._talk = self._streaming = None


def _picture(frame: LiveFrame) -> OutputImageRawFrame:
    pixels = frame.pixels
    picture = OutputImageRawFrame(image=pixels.tobytes(), size=(pixels.shape[1], pixels.shape[0]), format="RGB")
    picture.sync_with_audio = True
    return picture
