"""The options of generation, each written once: its name, type, default, range and what it does.

``dithead.generate``, the command line, job lists, the key by which a job is resumed, and live use all read the classes
of this file, so an option that is added here is there everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from dithead.device import Precision, known_device
from dithead.errors import ConfigError, UnknownOptionError
from dithead.hub import DEFAULT_MODEL
from dithead.media.quality import CODECS, DEFAULT_CRF, ENCODERS, PRESETS, REALTIME
from dithead.option_fields import MOST_SEED, MOST_STEPS, Engine, option, option_fields
from dithead.option_values import file_name, settle, shown
from dithead.progress import Progress, silent

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead
else:
    TalkingHead = Any  # so that the types of the options can be read without importing torch

StrPath: TypeAlias = str | PathLike[str]

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

SOURCE = "source"
"""Names the sound of the source video where a file or a number could stand."""
_FACES = re.compile(r"largest|left|right|all|[1-9]\d?|\d+(\.\d+)?,\d+(\.\d+)?")


def face_text(value: Any) -> str:
    """Return the choice of a face as text: 3 is "3", and (120, 80) is "120,80". Raises ValueError for anything else."""
    if isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(v, Real) for v in value):
        value = f"{value[0]:g},{value[1]:g}"
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not _FACES.fullmatch(text):
        raise ValueError("must be largest, left, right, all, a number from 1, or X,Y in pixels")
    return text


def colour_name(value: Any) -> str:
    """Return the name of a colour that there is. Raises ValueError for anything else."""
    if value == "white":
        return "white"
    from dithead.media.picture import parse_colour  # loads a library for pictures

    try:
        parse_colour(value if isinstance(value, str) else "")
    except ConfigError:
        raise ValueError("must be the name of a colour, such as white, or #RRGGBB") from None
    return str(value)


def label_text(value: Any) -> str | None:
    """Return what a label shall say: True is English, False no label. Raises ValueError for what is no text."""
    if isinstance(value, bool):
        return "en" if value else None
    if not isinstance(value, str):
        raise ValueError("must be a language such as en, or a text")
    return value


def loudness_level(value: Any) -> float | str:
    """Return a loudness in LUFS, or ``source``. Raises ValueError for anything else."""
    if value == SOURCE:
        return SOURCE
    try:
        level = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        level = float("nan")
    if not -70 <= level <= -5:
        raise ValueError("must be a number of LUFS from -70 to -5, or source")
    return level


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Options of everything that draws mouths: whole videos, job lists and live use."""

    model: StrPath | TalkingHead = option(
        DEFAULT_MODEL,
        "A shipped name, a model folder or a hub id (org/name@revision).",
        takes="the name of a model, its folder, or a loaded model",
        envvar="DITHEAD_MODEL",
        value="NAME|FOLDER",
    )
    device: str = option("auto", "auto, cpu, cuda or mps.", convert=known_device, value="DEVICE")
    precision: Precision = option(
        "auto", "Of drawing: float32, bfloat16, or auto, bfloat16 where the device has instructions for it."
    )
    steps: int | None = option(
        None, "Sampling steps, 1000 at most; the model's own number when absent.", minimum=1, maximum=MOST_STEPS
    )
    seed: int = option(
        0,
        "Seed of the noise: on one machine the same seed gives the same pictures and sound, to the bit, and the same "
        "file with --no-credentials.",
        minimum=0,
        maximum=MOST_SEED,
    )
    reference: ReferenceMode = option("static", "Reference frame: static, or previous (the paper's; slower).")
    face: str = option(
        "largest",
        "Which face of each shot: largest, left, right, all, a number (see dithead faces), or X,Y in pixels.",
        convert=face_text,
        value="FACE",
    )
    occlusion: Occlusion = option("auto", "auto keeps hands and things before the mouth; off draws over them.")
    credentials: bool = option(
        True, "Sign what was done and with which model (Content Credentials); --no-credentials is noted in the result."
    )
    label: str | None = option(
        None,
        "Write a visible label, clear of the face: a language (en, zh, de ...) or your own text.",
        bare="en",
        value="LANGUAGE|TEXT",
        convert=label_text,
    )
    consent: StrPath | None = option(
        None,
        "The statement of consent, a sentence or a file, that goes into the credentials, where anyone reads it.",
        takes="a sentence or the name of a file",
        value="FILE|TEXT",
    )
    watermark: bool = option(
        True,
        "Hide an invisible mark in the mouths drawn; --no-watermark is noted in the result.",
    )

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True, kw_only=True)
class GenerateOptions(SamplingOptions):
    """Every option of ``dithead.generate`` besides its three files."""

    speakers: Mapping[int, StrPath] | None = option(
        None,
        "Speech of its own for each numbered face; what is heard is the audio, or their mix where none is given.",
        takes='a mapping such as {1: "anna.wav", 2: "ben.wav"}',
    )
    fit: Fit = option(
        "bounce",
        "Where the speech is longer than the video: bounce (play it back and forth), loop, freeze, silence (cut the "
        "speech); cut ends with the shorter of the two.",
    )
    start: float = option(0.0, "Use the video from here, in seconds.", minimum=0, value="SECONDS")
    end: float | None = option(
        None, "Use the video up to here, in seconds; where the speech is longer, see --fit.", minimum=0, value="SECONDS"
    )
    background: str = option(
        "white",
        "What shows through transparent parts of a picture or video: a CSS name or #RRGGBB.",
        convert=colour_name,
        value="COLOUR",
    )
    background_sound: StrPath | None = option(
        None,
        "Sound under the speech, such as music: a file, or source, the video's own sound.",
        takes="the name of a file, or source",
        value="FILE|source",
    )
    background_gain: float = option(
        0.0,
        "Change of the background sound's level in decibels: -18 is clearly softer.",
        minimum=-60,
        maximum=20,
        value="DB",
    )
    loudness: float | str | None = option(
        None,
        "Loudness of the output (EBU R128) in LUFS, such as -16, or source: as loud as the video's own sound; the "
        "sound stays as loud as it is when absent.",
        convert=loudness_level,
        value="LUFS|source",
    )
    idle: bool = option(True, "In a picture as video, people sway a little and blink; it lasts as long as the speech.")
    interpolate: bool = option(False, "Draw every second mouth and interpolate those between: steadier, less exact.")
    detail: bool = option(
        True,
        "Give the mouth the fine detail of other frames of the same person, and replace a drawing that failed by one.",
    )
    batch: int = option(10, "Frames drawn at once, at most.", minimum=1, value="FRAMES")
    crf: float = option(
        DEFAULT_CRF, "Quality of the one encode, 0 to 51; smaller is better.", minimum=0, maximum=51, value="CRF"
    )
    codec: str = option("h264", "h264 or hevc.", choices=tuple(CODECS))
    encoder: str = option(
        "auto",
        "auto (software: x264 or x265), or the graphics hardware: nvenc (NVIDIA), qsv (Intel), videotoolbox (Apple), "
        "amf (AMD), where it has such an encoder.",
        choices=ENCODERS,
    )
    encoder_preset: str = option(
        REALTIME,
        "realtime, or a preset of x264 and x265 from ultrafast to veryslow; veryfast takes three times as long and "
        "makes files a quarter smaller at the same quality.",
        choices=PRESETS,
    )
    lossless: bool = option(False, "Encode without loss.")
    sheet: StrPath | None = option(
        None, "Also write stills of source and output, one row each, to this .png or .jpg.", value="FILE"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.speakers is not None and (not self.speakers or min(self.speakers) < 1):
            raise ConfigError(f'speakers must number faces from 1, as {{1: "anna.wav"}}, not {shown(self.speakers)}')
        if self.end is not None and self.end <= self.start:
            raise ConfigError(f"start {self.start:g} and end {self.end:g} leave nothing; times are in seconds")


@dataclass(frozen=True)
class GenerateJob(GenerateOptions):
    """One call of ``dithead.generate``: three files, options, and who is told of the progress.

    The audio may be left out where ``speakers`` have speech of their own.
    """

    video: StrPath
    audio: StrPath | None = None
    output: StrPath = ""
    progress: Progress | bool = field(default=False, kw_only=True, compare=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        names = ("video", "output") if self.audio is None and self.speakers else ("video", "audio", "output")
        if self.audio is None and "audio" in names:
            raise UnknownOptionError("generate needs audio, or speakers with speech of their own")
        if self.output == "":
            raise UnknownOptionError("generate needs output, the name of the new video")
        for name in names:
            object.__setattr__(self, name, file_name(name, getattr(self, name)))
        if self.progress is None or self.progress is False:
            object.__setattr__(self, "progress", silent)
        if self.progress is not True and not callable(self.progress):
            raise ConfigError(f"progress must be a function, True or False, not {shown(self.progress)}")


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """How a list of jobs is run."""

    engine: Engine = option("local", "Where the jobs run: local, or ray (a cluster).")
    workers: int = option(1, "How many jobs run at once.", minimum=1, value="JOBS")
    again: bool = option(False, "Also do the rows that are done already, with the same inputs and options.")

    def __post_init__(self) -> None:
        settle(self)


JOB_FILES = ("video", "audio", "output")
"""Columns of a job list that name files; ``audio`` may be left out where ``speakers`` is there."""
SHARED = ("model", "device")
"""Options that hold for a whole list, because the model is loaded once."""
JOB_OPTIONS = tuple(each.name for each in option_fields(GenerateOptions) if each.name not in SHARED)
"""Options of ``generate`` that a row of a job list may set."""
JOB_SUFFIXES = (".csv", ".tsv", ".jsonl")
"""Suffixes of job lists."""


def describe_columns() -> str:
    """Return in a sentence which columns a list may have, for ``--help``."""
    files, options = ", ".join(JOB_FILES), ", ".join(JOB_OPTIONS)
    return (
        f"A list of jobs ({', '.join(JOB_SUFFIXES)}) has one row a video. Its columns are {files} and any of: "
        f"{options}. A comma, semicolon or tab separates them; a .jsonl file has one JSON object a line. Relative "
        "paths count from the list's folder. Rows that are done already are skipped."
    )
