"""An option of ``prepare`` is written once, and Python, the command line and config.json read it there."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dithead.cli import app
from dithead.errors import ConfigError
from dithead.option_fields import option_fields
from dithead.prepare.prepare_dataset import PrepareResult, prepare_dataset
from dithead.prepare.settings import PrepareConfig, PrepareOptions

NAMES = [
    "size", "fps", "min_seconds", "max_seconds", "correct_offset", "offset_confidence", "min_confidence", "keep_silent",
    "sources", "source", "licence", "identity", "val_fraction", "val_identities", "workers", "engine",
]  # fmt: skip


def test_the_options_are_these():
    assert [each.name for each in option_fields(PrepareOptions)] == NAMES


def test_python_shows_every_option_with_its_default():
    parameters = inspect.signature(prepare_dataset).parameters
    assert list(parameters) == ["raw_dir", "output", "progress", *NAMES]
    for each in option_fields(PrepareOptions):
        assert parameters[each.name].default == each.default
        assert f"{each.name}: {each.metadata['help']}" in (prepare_dataset.__doc__ or "")


def test_the_command_line_has_every_option():
    text = CliRunner().invoke(app, ["prepare", "--help"], env={"COLUMNS": "200"}).stdout
    flags = {name: f"--{name.replace('_', '-')}" for name in NAMES} | {"val_identities": "--val-identity"}
    assert all(flag in text for flag in flags.values())


def test_the_command_line_passes_on_only_what_was_given(monkeypatch):
    calls = []

    def stand_in(raw_dir, output, **options):
        calls.append((raw_dir, output, options))
        return PrepareResult(output, 1, 0, 1, 2.0, 1, {}, 0, silent=1)

    monkeypatch.setattr("dithead.prepare.prepare_dataset.prepare_dataset", stand_in)
    flags = ["--keep-silent", "--no-correct-offset", "--size", "96", "--val-identity", "a", "--val-identity", "b"]
    result = CliRunner().invoke(app, ["prepare", "raw", "-o", "data", *flags])
    assert result.exit_code == 0, result.output
    assert "without sound: 1" in result.stdout
    ((raw_dir, output, options),) = calls
    assert (raw_dir, output) == (Path("raw"), Path("data"))
    assert options == {
        "progress": True, "keep_silent": True, "correct_offset": False, "size": 96, "val_identities": ["a", "b"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"size": 7}, "size must lie between 32 and 1024, not 7"),
        ({"size": 65}, "size must be an even number, not 65"),
        ({"size": "big"}, "size must be a whole number, not 'big'"),
        ({"fps": 24.5}, "fps must be a whole number, not 24.5"),
        ({"min_seconds": -1}, "min_seconds must be at least 0, not -1"),
        ({"correct_offset": "perhaps"}, "correct_offset must be true or false, not 'perhaps'"),
        ({"workers": 0}, "workers must be at least 1, not 0"),
        ({"engine": "spark"}, "unknown engine 'spark'; choose one of: local, ray"),
        ({"val_identities": 3}, "val_identities must be a list of texts, not 3"),
    ],
)
def test_a_wrong_value_is_named_before_anything_is_made(tmp_path, option, message):
    with pytest.raises(ConfigError, match=message):
        prepare_dataset(tmp_path, tmp_path / "dataset", progress=False, **option)
    assert not (tmp_path / "dataset").exists()


def test_an_unknown_option_is_a_type_error(tmp_path):
    with pytest.raises(TypeError, match="prepare_dataset has no option 'sizes'; did you mean 'size'"):
        prepare_dataset(tmp_path, tmp_path / "dataset", sizes=3)
    with pytest.raises(TypeError, match="'version'"):
        prepare_dataset(tmp_path, tmp_path / "dataset", version=3)


def test_a_config_holds_numbers_of_the_right_kind_and_only_its_own_fields():
    options = PrepareOptions(min_confidence=0, fps=30, val_identities=["a", "b"])
    assert options.val_identities == ("a", "b")
    assert options.config == PrepareConfig(min_confidence=0.0, fps=30)
    stored = options.config.stored_values()
    assert type(stored["min_confidence"]) is float
    assert list(stored) == [each.name for each in fields(PrepareConfig) if each.name != "keep_silent"]
    assert PrepareConfig.parse(stored) == options.config
    with pytest.raises(ConfigError, match="no such setting"):
        PrepareConfig.parse({"sizes": 3})
