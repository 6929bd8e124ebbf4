"""``DitheadPipeline``: generation as a loaded object that is called, in the manner of the diffusers library.

It adds no way of its own to draw: a call is ``generate`` with the loaded model, and ``live`` is ``LiveHead`` with it.
What it adds is arrays: pictures and sound in memory are written to a temporary folder first.
Letters: T frames, H, W their size, C channels, n samples.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dithead.checkpoint import load_model, save_model
from dithead.device import known_device, pick_device
from dithead.errors import ConfigError
from dithead.hub import DEFAULT_MODEL
from dithead.inference.pipeline import generate
from dithead.inference.result import GenerateResult
from dithead.inference.streaming import LiveHead
from dithead.media.audio import write_audio
from dithead.media.contact_sheet import save_picture
from dithead.media.encoder import EncoderOptions
from dithead.media.info import VideoInfo
from dithead.media.video import read_frames
from dithead.media.writer import VideoWriter
from dithead.options import StrPath
from dithead.types import RGB

if TYPE_CHECKING:
    import torch

    from dithead.models.talking_head import TalkingHead

VideoInput: TypeAlias = Any
"""A file; or frames (T, H, W, 3) or one picture (H, W, 3), 8-bit or floats in [0, 1], as an array, a tensor, a PIL
image or a list of these."""
AudioInput: TypeAlias = Any
"""A file; or samples (n,), (C, n) or (1, C, n) in [-1, 1], as an array or a tensor."""


class PipelineOutput:
    """What a call of ``DitheadPipeline`` made.

    Without ``output`` in the call, the file lies in a temporary folder that is deleted along with this object.
    """

    def __init__(self, result: GenerateResult, folder: Path | None = None) -> None:
        """Keep a result, and the temporary folder that goes when this object does."""
        self.result = result
        if folder is not None:
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    @property
    def path(self) -> Path:
        """The file, signed and with its sound."""
        return self.result.output

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.result.fps

    @property
    def frames(self) -> NDArray[np.uint8]:
        """All frames (T, H, W, 3), decoded anew at each use; they bear the invisible mark, but no credentials."""
        return np.stack([frame.pixels for frame in read_frames(self.path)])


class DitheadPipeline:
    """A loaded model that makes people in videos speak; it is called once a video."""

    def __init__(self, model: TalkingHead) -> None:
        """Wrap a loaded model; ``from_pretrained`` loads one."""
        self.model = model

    @classmethod
    def from_pretrained(
        cls, name_or_folder: StrPath = DEFAULT_MODEL, *, torch_dtype: torch.dtype | None = None
    ) -> Self:
        """Load a model onto the CPU; ``to`` moves it.

        Args:
            name_or_folder: A shipped name, a model folder or a hub id (org/name@revision).
            torch_dtype: Type of the parameters; float32 when absent. ``precision`` in a call says how to draw.

        Raises:
            ModelError: There is no such model, or it is damaged.
        """
        return cls(load_model(str(name_or_folder), dtype=torch_dtype))

    def save_pretrained(self, folder: StrPath) -> Path:
        """Write the model as a folder that ``from_pretrained`` reads. Matrices are stored in bfloat16.

        Raises:
            OutputError: The folder cannot be written.
        """
        return save_model(Path(folder), self.model)

    def to(self, device: str | torch.device) -> Self:
        """Move the model to a device (auto, cpu, cuda, cuda:N or mps) and return the pipeline.

        Raises:
            ConfigError: The device is unknown, or the machine lacks it.
        """
        try:
            name = known_device(str(device))
        except ValueError as error:
            raise ConfigError(f"device {error}, not {device}") from None
        self.model.to(pick_device(name))
        return self

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def __call__(
        self,
        video: VideoInput,
        audio: AudioInput,
        output: StrPath | None = None,
        *,
        fps: float = 25.0,
        sample_rate: int = 16000,
        **options: Any,
    ) -> PipelineOutput:
        """Make the person in ``video`` speak ``audio``.

        Args:
            video: A file; or 8-bit frames or floats in [0, 1]: (T, H, W, 3), or (H, W, 3) for one picture. Arrays,
                tensors, PIL images and lists of these are taken.
            audio: A file; or samples in [-1, 1]: (n,), (C, n) or (1, C, n). Channels are averaged.
            output: Where the new video goes. When absent it is encoded without loss into a temporary file, which is
                deleted along with the returned object.
            fps: Frames a second of ``video`` where it is an array.
            sample_rate: Samples a second of ``audio`` where it is an array.
            options: Any option of ``dithead.generate`` besides ``model`` and ``device``; credentials and watermark are
                on, as there.

        Returns:
            The result, its file and its frames.

        Raises:
            ConfigError: An array has another shape or type, or an option is unknown or out of range.
            DitheadError: As ``dithead.generate``.
        """
        _refuse_model(options)
        folder = Path(tempfile.mkdtemp(prefix="dithead-"))
        try:
            source = _video_file(video, folder, fps)
            speech = _audio_file(audio, folder, sample_rate)
            if output is None:
                options = {"lossless": True} | options
            made = generate(source, speech, output or folder / "output.mp4", model=self.model, **options)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if output is None:
            return PipelineOutput(made, folder)
        shutil.rmtree(folder, ignore_errors=True)
        return PipelineOutput(made)

    def live(self, video: StrPath, **options: Any) -> LiveHead:
        """Prepare a person for live speech; see ``LiveHead``, whose options these are, besides ``model``."""
        _refuse_model(options)
        return LiveHead(video, model=self.model, **options)


def _refuse_model(options: dict[str, Any]) -> None:
    if given := sorted({"model", "device"} & options.keys()):
        raise ConfigError(f"{given[0]} belongs to the pipeline; use from_pretrained and to")


def _video_file(video: VideoInput, folder: Path, fps: float) -> StrPath:
    """Return a file of the video, written without loss where it is in memory."""
    if isinstance(video, str | PathLike):
        return video
    frames = _frames(video)
    if frames.ndim == 3:
        return save_picture(frames, folder / "source.png")
    if not 1 <= fps <= 120:
        raise ConfigError(f"fps must lie between 1 and 120, not {fps}")
    height, width = frames.shape[1:3]
    rate = Fraction(fps).limit_denominator(1001)
    info = VideoInfo(width, height, rate, pix_fmt="yuv444p")
    with VideoWriter(folder / "source.mkv", info, EncoderOptions(lossless=True)) as writer:
        for frame in frames:
            writer.write(frame)
    return folder / "source.mkv"


def _frames(video: VideoInput) -> RGB:
    """Return frames (T, H, W, 3) or a picture (H, W, 3) of 8 bits."""
    if isinstance(video, Sequence):
        pictures = [_array(each) for each in video]
        if not pictures or len({each.shape for each in pictures}) != 1:
            raise ConfigError("video must be frames of one size, at least one")
        pixels = np.stack(pictures)
    else:
        pixels = _array(video)
    if pixels.ndim not in (3, 4) or pixels.shape[-1] != 3 or 0 in pixels.shape:
        raise ConfigError(f"video must have the shape (T, H, W, 3) or (H, W, 3), not {pixels.shape}")
    if np.issubdtype(pixels.dtype, np.floating):
        if not np.isfinite(pixels).all() or pixels.min() < -1e-3 or pixels.max() > 1 + 1e-3:
            raise ConfigError("video of floats must lie in [0, 1]; give 0 to 255 as 8-bit integers")
        pixels = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise ConfigError(f"video must be of 8-bit integers or of floats, not {pixels.dtype}")
    return pixels


def _audio_file(audio: AudioInput, folder: Path, rate: int) -> StrPath | None:
    """Return a file of the speech, written as 16-bit samples where it is in memory."""
    if audio is None or isinstance(audio, str | PathLike):
        return audio
    samples = _array(audio)
    if samples.ndim == 3 and len(samples) == 1:
        samples = samples[0]
    if samples.ndim == 2:
        samples = samples.mean(axis=0)
    if samples.ndim != 1 or not len(samples) or not np.issubdtype(samples.dtype, np.floating):
        raise ConfigError("audio must be floats in [-1, 1] of the shape (n,), (channels, n) or (1, channels, n)")
    if not np.isfinite(samples).all():
        raise ConfigError("audio has samples that are no numbers")
    write_audio(folder / "speech.wav", samples.astype(np.float32), rate)
    return folder / "speech.wav"


def _array(value: Any) -> NDArray[Any]:
    """Return an array, a tensor (of any device) or a PIL image as an array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().float() if value.is_floating_point() else value.detach().cpu()
    if hasattr(value, "convert"):
        value = value.convert("RGB")
    return np.asarray(value)
