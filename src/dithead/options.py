"""The options of generation, each written once: its name, type, default, range and what it does.

``dithead.generate``, the command line, job lists, the key by which a job is resumed, and live use all read the classes
of this file, so an option that is added here is there everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

from dithead.errors import ConfigError
from dithead.hub import DEFAULT_MODEL
from dithead.media.quality import CODECS, DEFAULT_CRF

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

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


def option(
    default: Any, what: str, *, minimum: float | None = None, maximum: float | None = None, choices: Any = None
) -> Any:  # fmt: skip
    """Declare a dataclass field that is an option for users.

    Args:
        default: The option's default value.
        what: What it does, in one sentence, with its unit; the command line and ``help(dithead.generate)`` show it.
        minimum: The smallest number allowed.
        maximum: The largest number allowed.
        choices: The values allowed, where the field's type is not a ``Literal`` that lists them.
    """
    return field(
        default=default,
        metadata={"help": what, "minimum": minimum, "maximum": maximum, "choices": choices},
    )


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

    def __post_init__(self) -> None:
        for each in option_fields(type(self)):
            check_option(each, getattr(self, each.name), choices_of(type(self), each))


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


def option_fields(cls: type[SamplingOptions]) -> list[Field[Any]]:
    """The fields of an options class that users can set, in the order in which they are written."""
    return [each for each in fields(cls) if "help" in each.metadata]


def option_types(cls: type[SamplingOptions]) -> dict[str, Any]:
    """The type of every field of an options class by its name."""
    return get_type_hints(cls, localns={"TalkingHead": Any})


def choices_of(cls: type[SamplingOptions], each: Field[Any]) -> tuple[str, ...]:
    """The values that an option may take, or an empty tuple when any of its type will do."""
    kind = option_types(cls)[each.name]
    return get_args(kind) if get_origin(kind) is Literal else each.metadata["choices"] or ()


def check_option(each: Field[Any], value: Any, choices: tuple[str, ...]) -> None:
    """Raise ConfigError, with the option's name and what it may be, for a value out of its range."""
    name, low, high = each.name, each.metadata["minimum"], each.metadata["maximum"]
    if choices and value not in choices:
        raise ConfigError(f"unknown {name} '{value}'; choose one of: {', '.join(choices)}")
    if value is None or not isinstance(value, int | float):
        return
    if high is not None and not low <= value <= high:
        raise ConfigError(f"{name} must lie between {low:g} and {high:g}, not {value:g}")
    if low is not None and value < low:
        raise ConfigError(f"{name} must be at least {low:g}, not {value:g}")


def described(cls: type[SamplingOptions]) -> str:
    """The options of a class as the ``Args`` of a docstring: name, what it does, default."""
    lines = [f"    {each.name}: {each.metadata['help']} Default: {each.default!r}." for each in option_fields(cls)]
    return "\n".join(lines)
