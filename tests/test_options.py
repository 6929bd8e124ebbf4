"""Every option of generation is written once: call, command line, job lists, resume key and live use read it there."""

from __future__ import annotations

import inspect
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from typer.main import get_command

import dithead
from dithead.cli import app
from dithead.errors import ConfigError
from dithead.inference.job_list import OPTIONS, SHARED, job_of
from dithead.inference.resume import job_key
from dithead.options import GenerateJob, GenerateOptions, SamplingOptions, option_fields

FILES = ("video", "audio", "output")
NAMES = [each.name for each in option_fields(GenerateOptions)]
OTHER: dict[str, Any] = {
    "device": "cpu", "steps": 3, "seed": 1, "reference": "previous", "face": "left", "occlusion": "off",
    "fit": "loop", "start": 0.5, "end": 1.5, "idle": False, "interpolate": True, "detail": False, "batch": 2,
    "crf": 20.0, "codec": "hevc", "lossless": True,
}  # fmt: skip
"""For each option a value that is not its default; ``model`` and ``speakers`` have tests of their own."""


@pytest.fixture
def job(tmp_path: Path) -> GenerateJob:
    for name in FILES[:2]:
        (tmp_path / name).write_bytes(b"x")
    return GenerateJob(tmp_path / "video", tmp_path / "audio", tmp_path / "output.mp4")


def talker(weight: float = 0.0) -> Any:
    return SimpleNamespace(state_dict=lambda: {"w": torch.tensor([weight])}, config="tiny", device="cpu")


def test_this_file_tries_every_option() -> None:
    assert OTHER.keys() | {"model", "speakers"} == set(NAMES)
    assert all(OTHER[each.name] != each.default for each in option_fields(GenerateOptions) if each.name in OTHER)


@pytest.mark.parametrize("name", OTHER)
def test_another_value_of_any_option_is_another_job_to_resume(name: str, job: GenerateJob) -> None:
    changed = replace(job, **{name: OTHER[name]})
    assert job_key(changed, talker()) != job_key(job, talker())
    assert job_key(replace(job), talker()) == job_key(job, talker())


def test_other_weights_files_and_speakers_are_another_job_to_resume(job: GenerateJob, tmp_path: Path) -> None:
    key = job_key(job, talker())
    assert job_key(job, talker(1.0)) != key
    (tmp_path / "anna.wav").write_bytes(b"x")
    assert job_key(replace(job, speakers={1: tmp_path / "anna.wav"}), talker()) != key
    (tmp_path / "audio").write_bytes(b"longer")
    assert job_key(job, talker()) != key


def test_who_is_told_of_the_progress_does_not_matter_to_resuming(job: GenerateJob) -> None:
    assert job_key(replace(job, progress=lambda *_: None), talker()) == job_key(job, talker())


def test_the_call_has_every_option_with_its_default_and_says_what_it_does() -> None:
    parameters = inspect.signature(dithead.generate).parameters
    assert list(parameters) == [*FILES, *NAMES, "progress"] or set(parameters) == {*FILES, *NAMES, "progress"}
    text = inspect.getdoc(dithead.generate) or ""
    for each in option_fields(GenerateOptions):
        assert parameters[each.name].default == each.default
        assert f"{each.name}: {each.metadata['help']}" in text


def test_the_command_line_has_every_option_with_its_help() -> None:
    shown = {each.name: each for each in get_command(app).commands["generate"].params}  # type: ignore[attr-defined]
    for each in option_fields(GenerateOptions):
        if each.name != "speakers":  # one --speaker for each, or a file
            assert f"--{each.name}" in shown[each.name].opts
            assert shown[each.name].help == each.metadata["help"]


@pytest.mark.parametrize("name", OTHER)
def test_a_job_list_sets_every_option_but_those_of_the_whole_list(name: str) -> None:
    row = dict.fromkeys(FILES, "a.mp4") | {name: str(OTHER[name])}
    if name in SHARED:
        with pytest.raises(ConfigError, match=f"unknown column '{name}'"):
            job_of(row)
    else:
        assert name in OPTIONS
        assert getattr(job_of(row), name) == OTHER[name]


def test_live_use_has_the_options_of_sampling() -> None:
    assert {each.name for each in fields(SamplingOptions)} < set(NAMES)
    with pytest.raises(TypeError, match="fit"):
        SamplingOptions(fit="loop")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"reference": "next"}, "unknown reference 'next'; choose one of: static, previous"),
        ({"occlusion": "maybe"}, "unknown occlusion 'maybe'; choose one of: auto, off"),
        ({"fit": "x"}, "unknown fit 'x'; choose one of: bounce, loop, freeze, silence, cut"),
        ({"codec": "vp9"}, "unknown codec 'vp9'; choose one of: h264, hevc"),
        ({"crf": 60.0}, "crf must lie between 0 and 51, not 60"),
        ({"batch": 0}, "batch must be at least 1, not 0"),
    ],
)
def test_a_value_out_of_range_is_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        GenerateJob("v", "a", "o", **options)
    assert str(caught.value) == message
