"""The head that ships is complete, its licence lies beside it, and `dithead synth` needs nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dithead.cli import app
from dithead.synth.corpus.options import SynthOptions
from dithead.synth.corpus.people import name_of, synth_corpus
from dithead.synth.head.assets import SHIPPED_HEAD, face_unit, find_texture, load_head, load_proxy
from dithead.synth.head.identity import EYES, FEMALE_HAIR, MALE_HAIR, sample_identity

MOST_BYTES = 6e6  # of the data, which every wheel and clone carries


def test_the_data_is_small_and_its_licence_lies_beside_it() -> None:
    assert sum(file.stat().st_size for file in SHIPPED_HEAD.rglob("*") if file.is_file()) < MOST_BYTES
    assert "CC0 1.0" in (SHIPPED_HEAD / "NOTICE").read_text("utf-8")


def test_everything_that_an_identity_can_name_is_there() -> None:
    head = load_head()
    people = [sample_identity(seed, head.key_names) for seed in range(300)]
    parts = {("hair", name) for name in (*MALE_HAIR, *FEMALE_HAIR)} | {("tongue", "tongue01")}
    parts |= {("eyebrows", p.brows) for p in people} | {("eyelashes", p.lashes) for p in people}
    parts |= {("teeth", p.teeth) for p in people}
    for kind, name in parts:
        assert np.isfinite(load_proxy(head, kind, name).offset).all()
    pictures = {("eyes", f"{name}_eye.png") for name in EYES} | {("skin", f"{p.skin}.png") for p in people}
    pictures |= {("eyebrows", f"{p.brows}.png") for p in people}
    pictures |= {("eyelashes", "eyelashes01.png"), ("teeth", "teeth.png"), ("tongue", "tongue01_diffuse.png")}
    pictures |= {("hair", f"{name.replace('afro01', 'afro')}_diffuse.png") for kind, name in parts if kind == "hair"}
    for kind, name in pictures:
        assert find_texture(SHIPPED_HEAD, kind, name).is_file()


def test_the_face_units_are_there_and_change_no_identity() -> None:
    head = load_head()
    units = {name for name in head.key_names if name.startswith("faceunits/")}
    assert len(units) == 52
    jaw = head.key("faceunits/jawOpen")
    assert jaw.delta[:, 1].min() < -0.1, "the jaw moves down"
    assert sample_identity(3, head.key_names) == sample_identity(3, head.key_names - units)


def test_a_head_without_face_units_is_moved_by_those_that_ship() -> None:
    whole = load_head()
    bare = replace(whole, key_names=frozenset(n for n in whole.key_names if not n.startswith("faceunits/")))
    own, lent = face_unit(whole, "mouthPucker"), face_unit(bare, "mouthPucker")
    np.testing.assert_array_equal(own.index, lent.index)
    np.testing.assert_array_equal(own.delta, lent.delta)
    few = replace(bare, source_index=whole.source_index[: own.index[5]], vertices=whole.vertices[: own.index[5]])
    assert face_unit(few, "mouthPucker").index.tolist() == own.index[:5].tolist(), "what the head lacks is left out"


@pytest.fixture
def without_head(monkeypatch: pytest.MonkeyPatch, renderer: object, espeak: None) -> None:
    monkeypatch.delenv("DITHEAD_HEAD_MODEL", raising=False)


def test_synth_needs_nothing_but_a_count_and_a_folder(without_head: None, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["synth", "1", "-o", str(tmp_path), "--size", "64", "--seconds", "0.2"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / name_of(0) / "clip.mp4").is_file()
    assert json.loads((tmp_path / "config.json").read_text())["head_model"] is None
    assert synth_corpus(1, tmp_path, SynthOptions(size=64, seconds=0.2)).made == 0, "the same command resumes"


def test_a_folder_given_by_hand_wins(without_head: None, tmp_path: Path) -> None:
    given = ["synth", "1", "-o", str(tmp_path / "out"), "--size", "64", "--seconds", "0.2"]
    folder = str(tmp_path)
    for option, variable in ((["--head-model", folder], {}), ([], {"DITHEAD_HEAD_MODEL": folder})):
        result = CliRunner().invoke(app, [*given, *option], env=variable)
        assert (result.exit_code, result.stderr.splitlines()[1:]) == (2, [])
        assert f"{tmp_path}: no head model here" in result.stderr
