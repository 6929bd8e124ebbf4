"""The video service in a running Pipecat pipeline: speech in, frames and the same speech out, interruptions, ends."""

from __future__ import annotations

import asyncio
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("pipecat.pipeline.worker", reason="pipecat-ai is not installed")

from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputImageRawFrame,
    OutputTransportReadyFrame,
    SpeechOutputAudioRawFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

sys.path.insert(0, str(Path(__file__).parents[2] / "integrations" / "pipecat"))

from dithead_pipecat import DitheadVideoService

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
RATE = 24000


class Output(FrameProcessor):
    """In place of a transport's output: says that it is ready, and keeps what comes."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[Frame] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.got.append(frame)
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            await self.push_frame(OutputTransportReadyFrame(), FrameDirection.UPSTREAM)

    def of(self, kind: type[Frame]) -> list[Any]:
        return [frame for frame in self.got if isinstance(frame, kind)]

    def heard(self) -> np.ndarray:
        return np.frombuffer(b"".join(frame.audio for frame in self.of(SpeechOutputAudioRawFrame)), "<i2")


def tone(seconds: float, rate: int) -> np.ndarray:
    return (9000 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate)).astype("<i2")


def run(person: Any, steps: Any, output: Any = None) -> Any:
    """Run a pipeline of the service and the output; ``steps`` is called with the worker and the output."""

    async def go() -> Any:
        last = Output() if output is None else output
        pipeline = Pipeline([DitheadVideoService(person), last])
        worker = PipelineWorker(
            pipeline, cancel_on_idle_timeout=False, enable_rtvi=False,
            params=PipelineParams(audio_out_sample_rate=RATE),
        )  # fmt: skip
        runner = WorkerRunner()
        await runner.add_workers(worker)

        async def drive() -> None:
            await until(lambda: last.of(OutputImageRawFrame))
            await steps(worker, last)

        await asyncio.wait_for(asyncio.gather(runner.run(), drive()), 90)
        return last

    return asyncio.run(go())


async def until(holds: Any) -> None:
    while not holds():
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("rate", [24000, 16000])
def test_speech_comes_back_with_frames_in_step_and_is_said_before_the_end(person, rate):
    speech = tone(1.0, rate)

    async def steps(worker: Any, _: Output) -> None:
        for part in np.split(speech, 10):
            await worker.queue_frame(TTSAudioRawFrame(part.tobytes(), rate, 1))
        await worker.queue_frame(TTSStoppedFrame())
        await worker.queue_frame(EndFrame())

    output = run(person, steps)
    heard = output.heard()
    if rate == RATE:
        first = int(np.flatnonzero(heard)[0]) - int(np.flatnonzero(speech)[0])
        assert np.array_equal(heard[first : first + len(speech)], speech), "sample by sample"
    assert np.count_nonzero(heard) > 0.9 * RATE
    pictures = output.of(OutputImageRawFrame)
    assert {(each.size, each.format, len(each.image)) for each in pictures} == {((256, 256), "RGB", 3 * 256 * 256)}
    assert all(each.sync_with_audio for each in pictures)
    assert not output.of(TTSAudioRawFrame)
    assert not output.of(TTSStoppedFrame)
    assert len(pictures) > 1


class Transport(BaseOutputTransport):
    """Pipecat's own output, which writes to lists at the speed of a loudspeaker."""

    def __init__(self) -> None:
        super().__init__(
            TransportParams(
                audio_out_enabled=True, video_out_enabled=True, video_out_width=256, video_out_height=256,
                video_out_framerate=25,
            )
        )  # fmt: skip
        self.wrote: list[Frame] = []

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: Frame) -> bool:
        self.wrote.append(frame)
        await asyncio.sleep(len(frame.audio) / 2 / frame.sample_rate)
        return True

    async def write_video_frame(self, frame: Frame) -> bool:
        self.wrote.append(frame)
        return True

    def of(self, kind: type[Frame]) -> list[Any]:
        return [frame for frame in self.wrote if isinstance(frame, kind)]

    heard = Output.heard


def test_pipecats_own_output_shows_and_says_it(person):
    async def steps(worker: Any, _: Any) -> None:
        await worker.queue_frame(TTSAudioRawFrame(tone(1.0, RATE).tobytes(), RATE, 1))
        await worker.queue_frame(TTSStoppedFrame())
        await worker.queue_frame(EndFrame())

    output = run(person, steps, Transport())
    pictures = {frame.image for frame in output.of(OutputImageRawFrame)}
    assert len(pictures) > 1
    assert np.count_nonzero(output.heard()) > 0.9 * RATE


def test_an_interruption_drops_what_is_queued_and_passes_on(person):
    async def steps(worker: Any, output: Output) -> None:
        await worker.queue_frame(TTSAudioRawFrame(tone(20.0, RATE).tobytes(), RATE, 1))
        await until(lambda: output.heard().any())
        await worker.queue_frame(InterruptionFrame())
        await until(lambda: output.heard().any() and not output.heard()[-RATE // 2 :].any())
        await worker.queue_frame(EndFrame())

    output = run(person, steps)
    assert output.of(InterruptionFrame)
    assert np.count_nonzero(output.heard()) < 6 * RATE


def test_a_file_is_prepared_when_the_pipeline_is_set_up(person):
    async def steps(worker: Any, _: Output) -> None:
        await worker.queue_frame(EndFrame())

    service = DitheadVideoService(person.head.clip.path, options={"model": person.head.talker})
    assert service._prepared(person.head.clip.path).shown_size == (256, 256)
    assert run(person, steps).of(OutputImageRawFrame)
