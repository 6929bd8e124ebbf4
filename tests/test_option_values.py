"""Every option of every class takes what is plainly meant and refuses all else in one line, before any work."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_origin

import numpy as np
import pytest

import dithead
from dithead.errors import ConfigError, DitheadError, UnknownOptionError
from dithead.evaluate.options import EvaluateOptions
from dithead.inference.streaming import LiveHead
from dithead.option_fields import choices_of, option_fields, value_types
from dithead.option_values import make_options
from dithead.options import BatchOptions, GenerateJob, GenerateOptions, SamplingOptions
from dithead.prepare.settings import PrepareOptions
from dithead.progress import silent
from dithead.synth.corpus.options import SynthOptions
from dithead.train.stages.options import AudioOptions, AutoencoderOptions, DenoiserOptions, SyncOptions

CLASSES: tuple[Any, ...] = (
    SamplingOptions, GenerateOptions, BatchOptions, EvaluateOptions, PrepareOptions, SynthOptions, AutoencoderOptions,
    AudioOptions, DenoiserOptions, SyncOptions,
)  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, 3, 64, -1, 10**30, 1.5, 3.0, -0.5, math.nan, math.inf, "", "10", "1.5", "yes", "x", "a\nb",
    b"x", (), [], [1], ["a"], [None], (120, 80), {}, {1: "a"}, {"1": "a"}, {"x": "a"}, {1: 2}, {1, 2}, object(), int,
    Path("a"), np.int64(3), np.float32(1.5), np.bool_(True), np.array([1, 2]), np.array(4), 1 + 2j,
    lambda: None, range(3), "self", "black",
)  # fmt: skip
"""Values of every kind that callers give by mistake or on purpose."""
OPTIONS = [(cls, each) for cls in CLASSES for each in option_fields(cls)]


def fits(kind: Any, value: Any) -> bool:
    """Return whether a value has a declared type; mappings and lists by their own kind alone."""
    origin = get_origin(kind) or kind
    if origin is Any:
        return True
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    if origin in (int, float, bool, str, Path):
        return type(value) is origin or (origin is Path and isinstance(value, Path))
    return isinstance(value, tuple if origin is not type(Path()) and hasattr(origin, "count") else origin)


@pytest.mark.parametrize(("cls", "each"), OPTIONS, ids=lambda v: getattr(v, "__name__", None) or getattr(v, "name", ""))
def test_every_value_is_taken_in_its_declared_type_or_refused_in_one_line(cls: Any, each: Any) -> None:
    taken = 0
    for value in ODD:
        refused = refusal(cls, each.name, value)
        if refused:
            assert each.name in refused, value
            assert "\n" not in refused
            assert len(refused) < 250
            continue
        found, taken = getattr(cls(**{each.name: value}), each.name), taken + 1
        if found is None:
            assert value is None or (each.name, value) == ("label", False)
        elif choices_of(cls, each):
            assert found in choices_of(cls, each)
        else:
            assert any(fits(kind, found) for kind in value_types(cls, each)), (value, found)
    assert taken or choices_of(cls, each) or each.name == "device", "nothing is taken"
    assert taken < len(ODD), "nothing is refused"


def refusal(cls: Any, name: str, value: Any) -> str:
    """Return the message with which a class refuses a value; empty where it takes it."""
    try:
        cls(**{name: value})
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        ({"face": 3}, "face", "3"), ({"face": (120, 80.5)}, "face", "120,80.5"), ({"face": "left"}, "face", "left"),
        ({"crf": "10"}, "crf", 10.0), ({"seed": 3.0}, "seed", 3), ({"seed": np.int64(7)}, "seed", 7),
        ({"speakers": {"1": "a.wav"}}, "speakers", {1: "a.wav"}), ({"lossless": "yes"}, "lossless", True),
        ({"seed": 2**63 - 1}, "seed", 2**63 - 1), ({"seed": str(2**63 - 1)}, "seed", 2**63 - 1),
        ({"seed": "3.0"}, "seed", 3), ({"idle": 0}, "idle", False),
        ({"start": "1.5"}, "start", 1.5), ({"loudness": "-16"}, "loudness", -16.0),
        ({"loudness": "source"}, "loudness", "source"), ({"device": "cuda:1"}, "device", "cuda:1"),
        ({"end": np.float32(2.5)}, "end", 2.5), ({"background": "#00ff7f"}, "background", "#00ff7f"),
        ({"background_sound": Path("m.wav")}, "background_sound", Path("m.wav")), ({"label": True}, "label", "en"),
        ({"label": "KI"}, "label", "KI"), ({"consent": "Mia agreed."}, "consent", "Mia agreed."),
        ({"watermark": "no"}, "watermark", False), ({"credentials": 0}, "credentials", False),
    ],
)  # fmt: skip
def test_generate_takes_what_is_plainly_meant(given: dict[str, Any], name: str, expected: Any) -> None:
    found = getattr(GenerateJob("v", "a", "o.mp4", **given), name)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": 1.5}, "seed must be a whole number, not 1.5"),
        ({"crf": "ten"}, "crf must be a number, not 'ten'"),
        ({"crf": math.nan}, "crf must be a number, not nan"),
        ({"face": 0}, "face must be largest, left, right, all, a number from 1, or X,Y in pixels, not 0"),
        ({"device": "gpu"}, "device must be auto, cpu, cuda or mps, not 'gpu'"),
        ({"speakers": ["a.wav"]}, 'speakers must be a mapping such as {1: "anna.wav", 2: "ben.wav"}, not [\'a.wav\']'),
        ({"speakers": {0: "a.wav"}}, 'speakers must number faces from 1, as {1: "anna.wav"}, not {0: \'a.wav\'}'),
        ({"model": 3}, "model must be the name of a model, its folder, or a loaded model, not 3"),
        ({"lossless": 3}, "lossless must be true or false, not 3"),
        ({"progress": 3}, "progress must be a function, True or False, not 3"),
        ({"audio": None}, "generate needs audio, or speakers with speech of their own"),
        ({"output": ""}, "generate needs output, the name of the new video"),
        ({"consent": 5}, "consent must be a sentence or the name of a file, not 5"),
        ({"label": 5}, "label must be a language such as en, or a text, not 5"),
        ({"watermark": "maybe"}, "watermark must be true or false, not 'maybe'"),
        ({"background_sound": 3}, "background_sound must be the name of a file, or source, not 3"),
        ({"video": ""}, "video must be the name of a file, not ''"),
        ({"video": b"v.mp4"}, "video must be the name of a file, not b'v.mp4'"),
        ({"output": None}, "output must be the name of a file, not None"),
        ({"background": "bluish"}, "background must be the name of a colour, such as white, or #RRGGBB, not 'bluish'"),
        ({"start": 3, "end": 2}, "start 3 and end 2 leave nothing; times are in seconds"),
        ({"loudness": 3}, "loudness must be a number of LUFS from -70 to -5, or source, not 3"),
        ({"crff": 3}, "generate has no option 'crff'; did you mean 'crf'?"),
    ],
)  # fmt: skip
def test_generate_refuses_the_rest_in_one_line_before_any_work(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        dithead.generate(**({"video": "nowhere.mp4", "audio": "nowhere.wav", "output": "nowhere/o.mp4"} | given))
    assert str(caught.value) == message


def test_a_call_without_its_files_or_with_too_many_says_so() -> None:
    with pytest.raises(UnknownOptionError, match="generate needs video"):
        dithead.generate()  # type: ignore[call-arg]
    with pytest.raises(UnknownOptionError, match="give options by their names"):
        dithead.generate("v", "a", "o.mp4", "small")  # type: ignore[misc]
    with pytest.raises(UnknownOptionError, match="takes video, audio, output once"):
        dithead.generate("v", video="w")  # type: ignore[misc]
    assert issubclass(UnknownOptionError, DitheadError)
    assert issubclass(UnknownOptionError, TypeError), "what Python callers expect of a wrong keyword"


def test_progress_may_be_switched_on_and_off() -> None:
    assert GenerateJob("v", "a", "o", progress=False).progress is silent
    assert GenerateJob("v", "a", "o", progress=None).progress is silent  # type: ignore[arg-type]
    assert GenerateJob("v", "a", "o", progress=True).progress is True


def test_with_speakers_the_audio_may_be_left_out() -> None:
    assert GenerateJob("v", output="o", speakers={1: "a.wav"}).audio is None


def test_live_use_refuses_alike() -> None:
    with pytest.raises(ConfigError, match="seed must be a whole number"):
        LiveHead("nowhere.mp4", seed="many")
    with pytest.raises(ConfigError, match="LiveHead has no option 'fit'"):
        LiveHead("nowhere.mp4", fit="loop")
    with pytest.raises(ConfigError, match="video must be the name of a file, not 3"):
        LiveHead(3)  # type: ignore[arg-type]
    assert make_options(SamplingOptions, "f", face=2).face == "2"


def test_other_functions_refuse_what_is_no_file_alike() -> None:
    with pytest.raises(ConfigError, match="file must be the name of a file, not 3"):
        dithead.verify(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="raw_dir must be the name of a file, not 3"):
        dithead.prepare_dataset(3, "data")  # type: ignore[arg-type]


def test_a_config_has_no_field_that_is_left_unchecked() -> None:
    for each in fields(PrepareOptions):
        with pytest.raises(ConfigError):
            PrepareOptions(**{each.name: object()})
