"""``generate``: a video and a speech track in, a video of the same person saying it out.

Two passes over the video, so that memory does not grow with its length: the first finds the face, the second
draws, blends and encodes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dithead.errors import ConfigError, FaceError, OutputError
from dithead.generate.mouths import MouthMaker, ReferenceMode
from dithead.generate.progress import Progress, silent
from dithead.generate.render import Shown, render
from dithead.generate.result import GenerateResult
from dithead.generate.survey import Survey, survey
from dithead.media.audio import read_audio
from dithead.media.files import muxer_for, require_writable, shown
from dithead.media.video import VideoFrame, VideoInfo, probe, read_frames
from dithead.media.writer import DEFAULT_CRF, VideoWriter
from dithead.types import Wave

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

StrPath = str | PathLike[str]
SPEECH_RATE = 16000
_BATCH_PIXELS = 24_000_000  # source pixels held at once: 12 frames of 1080p


@dataclass(frozen=True)
class _Job:
    video: Path
    audio: Path
    output: Path
    info: VideoInfo
    wave: Wave


def generate(
    video: StrPath,
    audio: StrPath,
    output: StrPath,
    *,
    model: StrPath | TalkingHead = "small",
    steps: int | None = None,
    seed: int = 0,
    device: str = "auto",
    reference: ReferenceMode = "static",
    batch: int = 8,
    crf: float = DEFAULT_CRF,
    lossless: bool = False,
    progress: Progress = silent,
) -> GenerateResult:
    """Write ``output``: ``video`` with the lips of its main face saying ``audio``.

    The output has the video's frames, one for one, with their size, colours and time stamps; its sound is
    ``audio``, cut or followed by silence to the video's length. Frames without a usable face pass through.

    model: name, folder, hub id, or a loaded model.  steps: sampler steps, the model's own number when None.
    device: auto, cpu, cuda or mps.  reference: ``static`` or ``previous`` (the paper's; slower).

    Raises MediaError, FaceError, ModelError, OutputError or ConfigError with a message fit for the user; an
    existing output is only replaced by a finished one.
    """
    if steps is not None and steps < 1:
        raise ConfigError(f"steps must be at least 1, not {steps}")
    if reference not in ("static", "previous"):
        raise ConfigError(f"reference must be 'static' or 'previous', not '{reference}'")
    job = _checked(Path(video), Path(audio), Path(output))
    talker = _talker(model, device)
    begun = time.perf_counter()
    found = _survey(job, talker.size, progress)
    maker = MouthMaker(
        talker, talker.encode_audio(torch.from_numpy(job.wave)), seed=seed, steps=steps, reference=reference
    )
    frames = _write(job, found, maker, max(1, min(batch, _fitting(job.info))), crf, lossless, progress)
    seconds = time.perf_counter() - begun
    return GenerateResult(
        output=job.output,
        frames=frames,
        fps=round(float(job.info.fps), 3),
        seconds=round(seconds, 3),
        frames_per_second=round(frames / seconds, 2),
        faces_missed=found.faces_missed,
        model=_name(model, talker),
        seed=seed,
        passed_through=found.passed_through,
    )


def _checked(video: Path, audio: Path, output: Path) -> _Job:
    """Everything that can be found wrong before the long work begins."""
    info = probe(video)
    wave = read_audio(audio, SPEECH_RATE)
    muxer_for(output)
    for source in (video, audio):
        if output.exists() and output.samefile(source):
            raise OutputError(f"{shown(output)}: is also an input; give another name for the output")
    require_writable(output)
    return _Job(video, audio, output, info, wave)


def _talker(model: StrPath | TalkingHead, device: str) -> TalkingHead:
    if not isinstance(model, str | PathLike):
        return model
    from dithead.checkpoint import load_model

    return load_model(str(model), device=pick_device(device))


def pick_device(name: str) -> str:
    """The torch device for ``auto``, ``cpu``, ``cuda`` or ``mps``; ConfigError when the machine lacks it."""
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(kind for kind in ("cuda", "mps", "cpu") if has[kind])
    if name.split(":")[0] not in has:
        raise ConfigError(f"unknown device '{name}'; choose auto, cpu, cuda or mps")
    if not has[name.split(":")[0]]:
        raise ConfigError(f"this machine has no device '{name}'; use --device auto or cpu")
    return name


def _survey(job: _Job, size: int, progress: Progress) -> Survey:
    frames = _counted(read_frames(job.video), "finding the face", job.info.frames, progress)
    try:
        return survey(frames, size)
    except FaceError as error:
        raise FaceError(f"{shown(job.video)}: {error}; give a video that shows a face") from None


def _write(
    job: _Job, found: Survey, maker: MouthMaker, batch: int, crf: float, lossless: bool, progress: Progress
) -> int:
    metadata = {"comment": synthetic_note()}
    with VideoWriter(job.output, job.info, crf=crf, lossless=lossless, audio=job.audio, metadata=metadata) as writer:
        frames = _counted(read_frames(job.video), "drawing mouths", found.frames, progress)
        played = (Shown(frame, frame.index, frame.time) for frame in frames)
        for item, planes in render(played, found, maker, writer.pix_fmt, batch):
            writer.write(planes, item.frame.pts, item.frame.time_base)
        return writer.frames


def synthetic_note() -> str:
    """What the container's ``comment`` tag says of every output."""
    from dithead import __version__

    return f"AI-generated: lips re-synthesised by dithead {__version__}"


def _counted(frames: Iterable[VideoFrame], what: str, total: int | None, progress: Progress) -> Iterator[VideoFrame]:
    for frame in frames:
        progress(what, frame.index, total)
        yield frame


def _fitting(info: VideoInfo) -> int:
    return _BATCH_PIXELS // (info.width * info.height)


def _name(model: StrPath | TalkingHead, talker: TalkingHead) -> str:
    return str(model) if isinstance(model, str | PathLike) else talker.config.name
