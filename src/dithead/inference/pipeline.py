"""``generate``: a video and a speech track in, a video of the same person saying it out.

Two passes over the video, so that memory does not grow with its length: the first finds the face, the second
draws, blends and encodes, a segment at a time.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, count, islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dithead.device import pick_device
from dithead.errors import ConfigError, FaceError, OutputError
from dithead.inference.analyse.first_pass import Survey, survey
from dithead.inference.analyse.multi_face import Choice
from dithead.inference.analyse.occlusion import OCCLUSIONS, Lookout, Occlusion
from dithead.inference.compose.second_pass import Maker, render
from dithead.inference.metadata import kept_metadata, left_out, synthetic_note
from dithead.inference.progress import Progress, silent
from dithead.inference.result import GenerateResult
from dithead.inference.resume import WorkFolder
from dithead.inference.source.still_image import Portrait, still_video
from dithead.inference.source.timeline import FITS, Clip, Fit, Shown, schedule
from dithead.inference.synthesise.audio_features import heard_by, speech_seconds
from dithead.inference.synthesise.frame_interpolation import Interpolator
from dithead.inference.synthesise.sampler import MouthMaker, ReferenceMode
from dithead.media.audio import probe_audio
from dithead.media.encoder import EncoderOptions, PictureEncoding, codec_named
from dithead.media.files import muxer_for, printable, require_writable
from dithead.media.planes import Planes
from dithead.media.quality import DEFAULT_CRF
from dithead.media.segments import join_segments, write_segment
from dithead.media.video import VideoFrame, probe

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

StrPath = str | PathLike[str]
SEGMENT = 250  # output frames a crash can cost at most
_BATCH_PIXELS = 24_000_000  # source pixels held at once: 12 frames of 1080p


@dataclass(frozen=True)
class _Job:
    clip: Clip
    audio: Path
    output: Path
    seconds: float  # of speech
    voices: dict[int, Path]
    choice: Choice | None
    encoding: PictureEncoding
    fit: Fit
    batch: int
    occlusion: Occlusion
    detail: bool


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
    face: str = "largest",
    speakers: Mapping[int, StrPath] | None = None,
    idle: bool = True,
    occlusion: Occlusion = "auto",
    interpolate: bool = False,
    detail: bool = True,
    fit: Fit = "silence",
    start: float = 0.0,
    end: float | None = None,
    batch: int = 8,
    crf: float = DEFAULT_CRF,
    codec: str = "h264",
    lossless: bool = False,
    progress: Progress = silent,
) -> GenerateResult:
    """Write ``output``: ``video`` with the lips of its main face saying ``audio``.

    The output has the video's frames, one for one, with their size, colours and time stamps; its sound is
    ``audio``. Frames without a usable face pass through. After a crash the same call goes on where it stopped.

    model: name, folder, hub id, or a loaded model.  steps: sampler steps, the model's own number when None.
    device: auto, cpu, cuda or mps.  reference: ``static`` or ``previous`` (the paper's; slower).
    face: which of several in each shot: largest, left, right, all, a number (1 is leftmost), or X,Y in pixels.
    speakers: speech of its own for each numbered face, while ``audio`` is what is heard.
    idle: let a still picture given as ``video`` sway a little; it lasts as long as the speech.
    occlusion: ``auto`` keeps hands and things before the mouth; ``off`` draws over them.
    interpolate: draw every second mouth and move those between along optical flow: steadier, quicker, less exact.
    detail: give the drawn mouth the fine contrast of the person's own, from the frames that look most like it.
    fit: what to do when speech and video differ in length, see ``schedule.Fit``.
    start, end: the part of the video to use, in seconds.  crf, codec (h264, hevc), lossless: of the one encode.

    Raises MediaError, FaceError, ModelError, OutputError or ConfigError with a message fit for the user; an
    existing output is only replaced by a finished one.
    """
    _check_choices(steps, reference, fit, occlusion)
    info = probe(video)
    spoken = speech_seconds(Path(audio))
    if info.still:
        clip: Clip = Portrait(Path(video), still_video(info), seconds=spoken, idle=idle)
    else:
        clip = Clip(Path(video), info, start, end)
    encoding = PictureEncoding(clip.info, EncoderOptions(crf, lossless, codec_named(codec)))
    _check_output(Path(output), clip.path, Path(audio))
    room = max(1, _BATCH_PIXELS // (clip.info.width * clip.info.height))
    voices = {number: Path(path) for number, path in (speakers or {}).items()}
    for path in voices.values():
        probe_audio(path)
    choice = Choice("numbers", frozenset(voices)) if voices else Choice.parse(face)
    job = _Job(
        clip,
        Path(audio),
        Path(output),
        spoken,
        voices,
        choice,
        encoding,
        fit,
        max(1, min(batch, room)),
        occlusion,
        detail,
    )
    talker = load_talker(model, device)
    begun = time.perf_counter()
    key = _key(job, talker, {"seed": seed, "steps": steps, "reference": reference, "interpolate": interpolate})
    with WorkFolder(job.output, key) as work:
        found = _survey(job, talker, work, progress)
        heard = [(None, job.audio), *voices.items()]
        features = {number: heard_by(talker, path, work.features(number or 0)) for number, path in heard}
        maker = MouthMaker(talker, features, seed=seed, steps=steps, reference=reference)
        frames = _write(job, found, Interpolator(maker) if interpolate else maker, work, progress)
    seconds = time.perf_counter() - begun
    return GenerateResult(
        output=job.output,
        frames=frames,
        fps=round(float(clip.info.fps), 3),
        seconds=round(seconds, 3),
        frames_per_second=round(frames / seconds, 2),
        faces_missed=found.faces_missed,
        model=str(model) if isinstance(model, str | PathLike) else talker.config.name,
        seed=seed,
        passed_through=found.passed_through,
        damaged=found.damaged,
        notes=left_out(clip.info),
    )


def _check_choices(steps: int | None, reference: str, fit: str, occlusion: str) -> None:
    if steps is not None and steps < 1:
        raise ConfigError(f"steps must be at least 1, not {steps}")
    if reference not in ("static", "previous"):
        raise ConfigError(f"reference must be 'static' or 'previous', not '{reference}'")
    if fit not in FITS:
        raise ConfigError(f"unknown fit '{fit}'; choose one of: {', '.join(FITS)}")
    if occlusion not in OCCLUSIONS:
        raise ConfigError(f"unknown occlusion '{occlusion}'; choose one of: {', '.join(OCCLUSIONS)}")


def _check_output(output: Path, *inputs: Path) -> None:
    muxer_for(output)
    for source in inputs:
        if output.exists() and output.samefile(source):
            raise OutputError(f"{printable(output)}: is also an input; give another name for the output")
    require_writable(output)


def load_talker(model: StrPath | TalkingHead, device: str = "auto") -> TalkingHead:
    """The model that a name, folder or hub id stands for, on its device; a loaded model is returned as it is."""
    if not isinstance(model, str | PathLike):
        return model
    from dithead.checkpoint import load_model

    return load_model(str(model), device=pick_device(device))


def _key(job: _Job, talker: TalkingHead, sampling: dict[str, Any]) -> dict[str, Any]:
    """Everything that decides the output's bytes, so that only the very same job is resumed."""
    digest = hashlib.sha256()
    for tensor in talker.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    paths = (job.clip.path, job.audio, *job.voices.values())
    files = {str(path.resolve()): [path.stat().st_size, path.stat().st_mtime_ns] for path in paths}
    voices = {number: str(path.resolve()) for number, path in job.voices.items()}
    faces = {"choice": repr(job.choice), "voices": voices}
    part = {
        "occlusion": job.occlusion,
        "detail": job.detail,
        "start": job.clip.start,
        "end": job.clip.end,
        "clip": repr(job.clip),
        "fit": job.fit,
    }
    quality = job.encoding.quality
    encode = {"crf": quality.crf, "lossless": quality.lossless, "codec": quality.codec}
    model = {"weights": digest.hexdigest(), "config": repr(talker.config), "device": str(talker.device)}
    note = {"note": synthetic_note()}
    return {"files": files, "batch": job.batch, **faces, **part, **encode, **model, **note, **sampling}


def _survey(job: _Job, talker: TalkingHead, work: WorkFolder, progress: Progress) -> Survey:
    if (known := work.load_survey()) is not None:
        return known
    frames = _counted(job.clip.frames(), "finding the face", job.clip.info.frames, progress)
    try:
        with Lookout() as lookout:
            look = lookout if job.occlusion == "auto" else None
            found = survey(frames, talker.size, job.choice, None, look, talker.config.mask, work.shelf())
    except FaceError as error:
        raise FaceError(f"{printable(job.clip.path)}: {error}; give a video that shows a face") from None
    found.learn_habits(talker, job.clip, work.features("own"))
    work.save_survey(found)
    return found


def _write(job: _Job, found: Survey, maker: Maker, work: WorkFolder, progress: Progress) -> int:
    """Draw and encode all segments that are not there yet, then join them; returns the number of frames."""
    tally = _Tally(found.frames, progress)
    played = tally.counted(schedule(job.clip, found.stamps, job.fit, job.seconds))
    for number in count():
        part = islice(played, SEGMENT)
        if work.segment(number).exists():
            for _ in part:
                pass
            maker.load_state(work.state(number))
        elif (first := next(part, None)) is not None:
            drawn = _drawn(chain([first], part), job, found, maker, work.state(number))
            write_segment(work.segment(number), drawn, job.encoding)
        if tally.frames < (number + 1) * SEGMENT:
            break
    end = tally.last * job.encoding.time_base + 1 / job.clip.info.fps
    join_segments(
        work.segments(), job.output, job.encoding, end=end, audio=job.audio, metadata=kept_metadata(job.clip.info)
    )
    return tally.frames


def _drawn(
    played: Iterable[Shown], job: _Job, found: Survey, maker: Maker, state: Path
) -> Iterator[tuple[Planes, int]]:
    """Planes and time stamps of a segment; what the next one depends on is on disk before this one is complete."""
    for item, planes in render(played, found, maker, job.encoding.pix_fmt, job.batch, detail=job.detail):
        yield planes, item.pts
    maker.save_state(state)


class _Tally:
    """Counts the output's frames and reports them."""

    def __init__(self, expected: int, progress: Progress) -> None:
        self.expected, self.progress = expected, progress
        self.frames, self.last = 0, 0

    def counted(self, played: Iterable[Shown]) -> Iterator[Shown]:
        for item in played:
            self.frames, self.last = self.frames + 1, item.pts
            self.progress("drawing mouths", self.frames, max(self.expected, self.frames))
            yield item


def _counted(frames: Iterable[VideoFrame], what: str, total: int | None, progress: Progress) -> Iterator[VideoFrame]:
    for frame in frames:
        progress(what, frame.index + 1, total)
        yield frame
