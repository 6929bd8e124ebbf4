"""The options of generation, each written once: its name, type, default, range and what it does.

``dithead.generate``, the command line, job lists, the key by which a job is resumed, and live use all read the classes
of this file, so an option that is added here is there everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from dithead.hub import DEFAULT_MODEL
from dithead.media.quality import CODECS, DEFAULT_CRF
from dithead.option_fields import check_values, option

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead
else:
    TalkingHead = Any  # so that the types of the options can be read without importing torch

StrPath: TypeAlias = str | PathLike[str]
Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with what is being done, the steps done, and the steps in all (None when unknown)."""

ReferenceMode = Literal["static", "previous"]
"""static: each frame is conditioned on a picture of the source whose mouth is about as open as predicted, and frames
are drawn in batches.  previous: on the frame drawn last, as in the paper, one frame after the other."""

Occlusion = Literal["auto", "off"]
"""auto: occluders before the mouth stay visible, and a hidden or blurred mouth is left alone.  off: draw always."""

Fit = Literal["bounce", "loop", "freeze", "silence", "cut"]
"""What happens where speech and video differ in length. Shorter speech is followed by silence up to the video's end,
except by ``cut``.  bounce, loop, freeze: the video is played back and forth, repeated, or stopped at its last frame
until longer speech has ended.  silence: the output is as long as the video, so longer speech is cut off.  cut: the
output ends with the shorter of the two."""


def silent(what: str, done: int, total: int | None) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Options of everything that draws mouths: whole videos, job lists and live use."""

    model: StrPath | TalkingHead = option(
        DEFAULT_MODEL, "A shipped name, a model folder or a hub id (org/name@revision)."
    )
    device: str = option("auto", "auto, cpu, cuda or mps.")
    steps: int | None = option(None, "Sampling steps; the model's own number when absent.", minimum=1)
    seed: int = option(0, "Seed of the noise: same seed, same output.", minimum=0)
    reference: ReferenceMode = option("static", "Reference frame: static, or previous (the paper's; slower).")
    face: str = option("largest", "Which face of each shot: largest, left, right, all, a number, or X,Y in pixels.")
    occlusion: Occlusion = option("auto", "auto keeps hands and things before the mouth; off draws over them.")
    credentials: bool = option(
        True, "Sign what was done and with which model (Content Credentials); --no-credentials is noted in the result."
    )
    consent: str | None = option(
        None, "The statement of consent, a sentence or a file, that goes into the credentials, where anyone reads it."
    )

    def __post_init__(self) -> None:
        check_values(self)


@dataclass(frozen=True, kw_only=True)
class GenerateOptions(SamplingOptions):
    """Every option of ``dithead.generate`` besides its three files."""

    speakers: Mapping[int, StrPath] | None = option(
        None, "Speech of its own for each numbered face, while the audio is what is heard."
    )
    fit: Fit = option(
        "bounce",
        "Where the speech is longer than the video: bounce (play it back and forth), loop, freeze, silence (cut the "
        "speech); cut ends with the shorter of the two.",
    )
    start: float = option(0.0, "Use the video from here, in seconds.", minimum=0)
    end: float | None = option(None, "Use the video up to here, in seconds.", minimum=0)
    background: str = option(
        "white", "What shows through transparent parts of a picture or video: a CSS name or #RRGGBB."
    )
    idle: bool = option(True, "A picture as video sways a little; it lasts as long as the speech.")
    interpolate: bool = option(False, "Draw every second mouth and interpolate those between: steadier, less exact.")
    detail: bool = option(True, "Give the mouth the fine detail of other frames of the same person.")
    batch: int = option(8, "Frames drawn at once, at most.", minimum=1)
    crf: float = option(DEFAULT_CRF, "Quality of the one encode, 0 to 51; smaller is better.", minimum=0, maximum=51)
    codec: str = option("h264", "h264 or hevc.", choices=tuple(CODECS))
    lossless: bool = option(False, "Encode without loss.")


@dataclass(frozen=True)
class GenerateJob(GenerateOptions):
    """One call of ``dithead.generate``: three files, options, and who is told of the progress."""

    video: StrPath
    audio: StrPath
    output: StrPath
    progress: Progress = field(default=silent, kw_only=True, compare=False, repr=False)
