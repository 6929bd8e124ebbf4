"""A corpus of people repeats to the byte, resumes, and refuses impossible options before it writes anything."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command

from dithead.cli import app
from dithead.errors import ConfigError, DataError, OutputError
from dithead.media.video import probe
from dithead.synth.corpus.options import SynthOptions
from dithead.synth.corpus.people import name_of, synth_corpus
from dithead.synth.corpus.recipe import CorpusRecipe
from dithead.synth.face.lip_contact import LipContact
from dithead.synth.face.units import UNITS, units_of
from dithead.synth.head.identity import sample_identity
from dithead.synth.person.person import Person

SMALL = {"size": 96, "seconds": 0.4, "seed": 4, "credentials": False}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, head_folder: Path, espeak: None) -> Path:
    from dithead.synth.scene.renderer import open_context

    try:
        open_context().release()
    except Exception as error:  # noqa: BLE001 - whatever keeps a driver from starting
        pytest.skip(str(error))
    root = tmp_path_factory.mktemp("corpus")
    assert synth_corpus(2, root, SynthOptions(head_folder, **SMALL)).made == 2
    return root


def test_a_clip_has_pictures_sound_and_ground_truth(corpus: Path) -> None:
    folder = corpus / name_of(0)
    info = probe(folder / "clip.mp4")
    assert (info.width, info.height, info.fps, info.has_audio) == (96, 96, 25, True)
    record = json.loads((folder / "clip.json").read_text())
    assert record["licence"] == "CC0-1.0"
    with np.load(folder / "truth.npz") as truth:
        assert truth["aperture"].shape == (10,)
        assert (truth["aperture"] >= 0).all()
        inside = (truth["lips"] > 0) & (truth["lips"] < 96)
        assert inside.all()


def test_the_same_command_resumes_and_repeats(corpus: Path, head_folder: Path, tmp_path: Path) -> None:
    assert synth_corpus(2, corpus, SynthOptions(head_folder, **SMALL)).made == 0
    clip = corpus / name_of(1)
    before = {file.name: file.read_bytes() for file in clip.iterdir()}
    (clip / "clip.json").unlink()
    (clip / "clip.mp4").write_bytes(b"interrupted")
    assert synth_corpus(2, corpus, SynthOptions(head_folder, **SMALL)).made == 1
    assert {file.name: file.read_bytes() for file in clip.iterdir()} == before


def test_a_folder_with_another_corpus_is_refused(corpus: Path, head_folder: Path) -> None:
    with pytest.raises(ConfigError, match="other options"):
        synth_corpus(2, corpus, SynthOptions(head_folder, **SMALL | {"seed": 5}))


def test_lips_close_exactly_during_a_smile(body) -> None:
    person = Person(body, sample_identity(8, body.head.key_names))
    opened = np.array([0.32, 0, 0, 0.1, 0, 0.35, 0.25, 0, 0, 0, 0], np.float32)
    spoken = dict(zip(UNITS, units_of(opened, 0.3).tolist(), strict=True))
    person.pose(spoken)
    assert person.mouth_state()[1] > 0.05
    smile = {name: spoken[name] + 0.5 for name in ("mouthSmileLeft", "mouthSmileRight", "mouthUpperUpLeft")}
    person.pose(spoken | smile, LipContact(closure=1.0))
    assert person.mouth_state()[1] < 1e-3, "decimetres"


@pytest.mark.parametrize("bad", [{"count": 0}, {"size": 33}, {"seconds": 0.0}, {"workers": 0}])
def test_impossible_settings_are_refused(bad: dict[str, float], tmp_path: Path) -> None:
    options = {"count": 1, "head_model": tmp_path} | bad
    with pytest.raises(ConfigError):
        synth_corpus(options.pop("count"), tmp_path / "out", SynthOptions(**options))


def test_no_head_model_leaves_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--head-model"):
        synth_corpus(1, tmp_path / "out", SynthOptions(tmp_path))
    assert not (tmp_path / "out").exists(), "nothing is written"


def test_an_unknown_language_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'xx'; there are some in en, "):
        synth_corpus(1, tmp_path / "out", SynthOptions(tmp_path, language="xx"))
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_named(head_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        synth_corpus(1, tmp_path / "file" / "out", SynthOptions(head_folder))


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(corpus: Path, head_folder: Path, tmp_path: Path) -> None:
    synth_corpus(2, tmp_path, SynthOptions(head_folder, workers=2, **SMALL))
    for index in range(2):
        for file in (corpus / name_of(index)).iterdir():
            assert (tmp_path / name_of(index) / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_recipe_survives_its_record(tmp_path: Path) -> None:
    options = SynthOptions(tmp_path, seed=3, size=96, speech=tmp_path / "s", identity=tmp_path / "i", without=("skin",))
    recipe = CorpusRecipe(options, ("someone",), "a licence")
    again = CorpusRecipe.from_record(json.loads(json.dumps(recipe.record())))
    assert again == recipe
    assert again.record() == recipe.record()


def test_clips_depend_on_every_option_but_the_workers(tmp_path: Path) -> None:
    recorded = CorpusRecipe(SynthOptions(tmp_path)).record()
    assert recorded == CorpusRecipe(SynthOptions(tmp_path, workers=3, engine="ray")).record()
    changed = {"seed": 1, "size": 96, "seconds": 1.0, "fps": 30, "labels": True, "rest": True, "without": ("skin",),
               "language": "de", "identity": tmp_path / "i", "speech": tmp_path / "s"}  # fmt: skip
    for name, value in changed.items():
        assert CorpusRecipe(SynthOptions(tmp_path, **{name: value})).record() != recorded, name


def test_the_command_line_has_one_option_for_each_field() -> None:
    parameters = {parameter.name: parameter for parameter in get_command(app).commands["synth"].params}
    for field in fields(SynthOptions):
        parameter = parameters[field.name]
        assert parameter.opts == [f"--{field.name.replace('_', '-')}"]
        assert parameter.help.startswith(field.metadata["help"])
        assert parameter.default in (None, False), "the default is written in SynthOptions alone"
