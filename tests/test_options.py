"""Every option is written once, in a class: call, command line, job lists, resume key and live use read it there."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import typer
from typer.main import get_command
from typer.testing import CliRunner

import dithead
from dithead.cli import app
from dithead.commands.shared import shown_default, takes_options
from dithead.errors import ConfigError
from dithead.evaluate.options import EvaluateOptions
from dithead.inference.job_list import job_of
from dithead.inference.resume import job_key, model_key
from dithead.option_fields import choices_of, in_python, option, option_fields
from dithead.option_values import settle
from dithead.options import JOB_OPTIONS, SHARED, GenerateJob, GenerateOptions, SamplingOptions
from dithead.prepare.settings import PrepareOptions
from dithead.synth.corpus.options import SynthOptions
from dithead.train.stages.options import AudioOptions, AutoencoderOptions, DenoiserOptions, SyncOptions

FILES = ("video", "audio", "output")
NAMES = [each.name for each in option_fields(GenerateOptions)]
OTHER: dict[str, Any] = {
    "device": "cpu", "precision": "float32", "steps": 3, "seed": 1, "reference": "previous", "face": "left",
    "occlusion": "off", "encoder": "nvenc", "encoder_preset": "veryfast",
    "fit": "loop", "start": 0.5, "end": 1.5, "background": "black", "idle": False, "interpolate": True,
    "detail": False, "batch": 2, "crf": 20.0, "codec": "hevc", "lossless": True, "background_sound": "music.wav",
    "background_gain": -12.0, "loudness": -16.0, "sheet": "sheet.png", "credentials": False, "consent": "Mia agreed.",
    "label": "zh", "watermark": False,
}  # fmt: skip
"""For each option a value that is not its default; ``model`` and ``speakers`` have tests of their own."""


CLASSES: dict[str, type[Any]] = {
    "generate": GenerateOptions, "prepare": PrepareOptions, "synth": SynthOptions, "evaluate": EvaluateOptions,
    "train autoencoder": AutoencoderOptions, "train audio": AudioOptions, "train dit": DenoiserOptions,
    "train sync": SyncOptions,
}  # fmt: skip
"""The class of options of each command that has one."""
OWN_FORM = {"generate": ("speakers",)}
"""Options that a command declares itself: ``generate`` has one ``--speaker`` for each, or a file."""
FIXED = {"prepare": {"version", "sample_rate", "min_valid", "min_eye_distance", "smooth_frames", "crf"}}
"""Fields that are no options, because users cannot set them."""
PARSED: list[tuple[str, str, dict[str, Any]]] = [
    ("generate", "--model small --steps 3 --crf 20.5", {"model": "small", "steps": 3, "crf": 20.5}),
    ("generate", "--fit loop --lossless --no-idle", {"fit": "loop", "lossless": True, "idle": False}),
    ("prepare", "--no-keep-silent --sources s.json", {"keep_silent": False, "sources": "s.json"}),
    ("prepare", "--val-identity a --val-identity b", {"val_identities": ["a", "b"]}),
    ("synth", "--head-model h --labels", {"head_model": Path("h"), "labels": True}),
    ("synth", "--without skin", {"without": ["skin"]}),
    ("evaluate", "--steps 1 --steps 4 --protocol self", {"steps": [1, 4], "protocols": ["self"]}),
    ("evaluate", "--weights lpips=a --baselines b", {"weights": ["lpips=a"], "baselines": Path("b")}),
    ("train dit", "--cache latents --seed 3", {"cache": Path("latents"), "seed": 3}),
]
"""Arguments for options of every type, and what the command line makes of them."""


@pytest.fixture
def job(tmp_path: Path) -> GenerateJob:
    for name in FILES[:2]:
        (tmp_path / name).write_bytes(b"x")
    return GenerateJob(tmp_path / "video", tmp_path / "audio", tmp_path / "output.mp4")


CROP = (160, "stable-polygon")
"""Side and mask of the crops, as the shipped model has them."""


def talker(weight: float = 0.0) -> Any:
    return SimpleNamespace(state_dict=lambda: {"w": torch.tensor([weight])}, config="tiny", device=torch.device("cpu"))


def test_this_file_tries_every_option() -> None:
    assert OTHER.keys() | {"model", "speakers"} == set(NAMES)
    assert all(OTHER[each.name] != each.default for each in option_fields(GenerateOptions) if each.name in OTHER)


@pytest.mark.parametrize("name", OTHER)
def test_another_value_of_any_option_is_another_job_to_resume(
    name: str, job: GenerateJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("music.wav").write_bytes(b"x")
    changed = replace(job, **{name: OTHER[name]})
    assert job_key(changed, CROP) != job_key(job, CROP)
    assert job_key(replace(job), CROP) == job_key(job, CROP)


def test_other_weights_files_and_speakers_are_another_job_to_resume(job: GenerateJob, tmp_path: Path) -> None:
    assert model_key(talker()) == model_key(talker()) != model_key(talker(1.0))
    key = job_key(job, CROP)
    assert job_key(job, (96, "box")) != key
    (tmp_path / "anna.wav").write_bytes(b"x")
    assert job_key(replace(job, speakers={1: tmp_path / "anna.wav"}), CROP) != key
    (tmp_path / "audio").write_bytes(b"longer")
    assert job_key(job, CROP) != key


def test_the_progress_callback_does_not_matter_to_resuming(job: GenerateJob) -> None:
    assert job_key(replace(job, progress=lambda *_: None), CROP) == job_key(job, CROP)


def test_the_call_has_every_option_with_its_default_and_says_what_it_does() -> None:
    parameters = inspect.signature(dithead.generate).parameters
    assert list(parameters) == [*FILES, *NAMES, "progress"] or set(parameters) == {*FILES, *NAMES, "progress"}
    text = inspect.getdoc(dithead.generate) or ""
    for each in option_fields(GenerateOptions):
        assert parameters[each.name].default == each.default
        assert f"{each.name}: {in_python(GenerateJob, each.metadata['help'])}" in text


def parameters_of(command: str) -> dict[str, Any]:
    """Return the parameters of a command of the command line, such as ``train audio``, by name."""
    found: Any = get_command(app)
    for name in command.split():
        found = found.commands[name]
    return {each.name: each for each in found.params}


@pytest.mark.parametrize("command", CLASSES)
def test_a_command_has_every_option_of_its_class_with_its_help(command: str) -> None:
    parameters = parameters_of(command)
    for each in option_fields(CLASSES[command]):
        if each.name in OWN_FORM.get(command, ()):
            continue
        parameter = parameters[each.name]
        first, *opposite = each.metadata.get("flag", f"--{each.name.replace('_', '-')}").split("/")
        assert first in parameter.opts
        assert not opposite or parameter.secondary_opts == opposite
        assert parameter.help.split(" [default: ")[0] == each.metadata["help"]
        assert parameter.envvar == each.metadata.get("envvar")
        assert parameter.default is None, "the default is written in the class alone"


@pytest.mark.parametrize("command", CLASSES)
def test_help_shows_the_default_of_a_class_where_it_is_a_number_or_a_text(command: str) -> None:
    parameters = parameters_of(command)
    for each in option_fields(CLASSES[command]):
        if isinstance(each.default, int | float | str) and each.default is not False:
            assert parameters[each.name].help.endswith(f" [default: {shown_default(each.default)}]")


@pytest.mark.parametrize("command", CLASSES)
def test_every_field_of_a_class_of_options_is_an_option(command: str) -> None:
    written = {each.name for each in fields(CLASSES[command])}
    assert written - {each.name for each in option_fields(CLASSES[command])} == FIXED.get(command, set())


@pytest.mark.parametrize(("command", "arguments", "expected"), PARSED)
def test_the_command_line_parses_an_option_as_the_type_of_its_field(
    command: str, arguments: str, expected: dict[str, Any]
) -> None:
    parsed: dict[str, Any] = {}
    made = typer.Typer()

    @made.command()
    @takes_options(CLASSES[command], without=OWN_FORM.get(command, ()))
    def _(**options: Any) -> None:
        parsed.update(options)

    result = CliRunner().invoke(made, arguments.split(), env={"DITHEAD_HEAD_MODEL": None})
    assert result.exit_code == 0, result.output
    assert {name: value for name, value in parsed.items() if value is not None} == expected


@pytest.mark.parametrize("command", ["evaluate", "train autoencoder"])
def test_the_command_line_refuses_a_number_out_of_range_in_one_line(command: str, tmp_path: Path) -> None:
    name = "workers" if command == "evaluate" else "steps"
    result = CliRunner().invoke(app, [*command.split(), "--data", "d", "-o", str(tmp_path / "o"), f"--{name}", "0"])
    assert result.exit_code == 2
    assert result.stderr == f"dithead: {name} must be at least 1, not 0\n"


def test_an_option_without_a_maximum_or_a_minimum_has_one_limit() -> None:
    @dataclass(frozen=True)
    class Limited:
        low: int = option(3, "At least two.", minimum=2)
        high: float = option(0.5, "At most one.", maximum=1)

    settle(Limited())
    with pytest.raises(ConfigError, match="low must be at least 2, not 1"):
        settle(Limited(low=1))
    with pytest.raises(ConfigError, match="high must be at most 1, not 2"):
        settle(Limited(high=2))


@pytest.mark.parametrize("name", OTHER)
def test_a_job_list_sets_every_option_but_those_of_the_whole_list(name: str) -> None:
    row = dict.fromkeys(FILES, "a.mp4") | {name: str(OTHER[name])}
    if name in SHARED:
        with pytest.raises(ConfigError, match=f"unknown column '{name}'"):
            job_of(row)
    else:
        assert name in JOB_OPTIONS
        assert getattr(job_of(row), name) == OTHER[name]


def test_live_use_has_the_options_of_sampling() -> None:
    assert {each.name for each in fields(SamplingOptions)} < set(NAMES)
    with pytest.raises(TypeError, match="fit"):
        SamplingOptions(fit="loop")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must lie between 1 and 1000, not 0"),
        ({"steps": 1001}, "steps must lie between 1 and 1000, not 1001"),
        ({"seed": 2**63}, "seed must lie between 0 and 9223372036854775807, not 9223372036854775808"),
        ({"reference": "next"}, "unknown reference 'next'; choose one of: static, previous"),
        ({"occlusion": "maybe"}, "unknown occlusion 'maybe'; choose one of: auto, off"),
        ({"fit": "x"}, "unknown fit 'x'; choose one of: bounce, loop, freeze, silence, cut"),
        ({"codec": "vp9"}, "unknown codec 'vp9'; choose one of: h264, hevc"),
        ({"encoder": "vp9"}, "unknown encoder 'vp9'; choose one of: auto, x264, x265, nvenc, qsv, videotoolbox, amf"),
        ({"crf": 60.0}, "crf must lie between 0 and 51, not 60"),
        ({"batch": 0}, "batch must be at least 1, not 0"),
    ],
)
def test_a_value_out_of_range_is_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        GenerateJob("v", "a", "o", **options)
    assert str(caught.value) == message


@pytest.mark.parametrize("command", CLASSES)
def test_help_names_the_choices_and_the_kind_of_every_value_in_words(command: str) -> None:
    parameters = parameters_of(command)
    for each in option_fields(CLASSES[command]):
        if each.name in OWN_FORM.get(command, ()):
            continue
        shown = parameters[each.name].metavar
        assert shown, each.name
        assert not any(word in shown for word in ("STR", "INT", "FLOAT", "<")), "no name of a Python type"
        assert choices_of(CLASSES[command], each) in ((), tuple(shown.split("|")))
