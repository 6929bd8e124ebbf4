"""A model is loaded beside the first pass: what is known at once, what waits, and how its errors come out."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest
import torch

import dithead.inference.background_model as background
from dithead.checkpoint import save_model
from dithead.errors import ConfigError, ModelError
from dithead.inference.background_model import BackgroundModel, load_talker
from dithead.inference.pipeline import generate
from dithead.model_folder import CONFIG, HASHES, file_hash

SENTENCE = "this model never arrives"


@pytest.fixture
def folder(talker, tmp_path):
    return save_model(tmp_path / "model", talker)


def rewrite_config(folder, **changes) -> None:
    """Change settings of a stored model, and its hashes with them."""
    content = json.loads((folder / CONFIG).read_text("utf-8"))
    content["model"] = {key: value for key, value in (content["model"] | changes).items() if value is not None}
    (folder / CONFIG).write_text(json.dumps(content), "utf-8")
    hashes = json.loads((folder / HASHES).read_text("utf-8"))
    (folder / HASHES).write_text(json.dumps(hashes | {CONFIG: file_hash(folder / CONFIG)}), "utf-8")


def test_the_first_pass_waits_for_no_weights(folder, talker, monkeypatch):
    arrived = threading.Event()
    monkeypatch.setattr(background, "_load", lambda *_: arrived.wait(30) and talker)
    model = BackgroundModel(folder)
    assert model.crop_settings() == (talker.size, talker.config.mask)
    model.check()
    arrived.set()
    assert model.talker() is talker


@pytest.mark.parametrize("change", [{"mask": None}, {"size": None}], ids=["mask", "size"])
def test_settings_that_are_not_written_are_the_models(folder, talker, change):
    rewrite_config(folder, **change)
    if "size" in change:  # the default does not fit this model, and its error comes out
        with pytest.raises(ModelError, match="size 160 must be"):
            BackgroundModel(folder).crop_settings()
    else:
        assert BackgroundModel(folder).crop_settings() == (talker.size, talker.config.mask)


def test_a_loaded_model_is_used_as_it_is(talker):
    model = BackgroundModel(talker)
    assert model.talker() is talker
    assert model.crop_settings() == (talker.size, talker.config.mask)
    assert load_talker(talker) is talker


def test_a_damaged_model_is_refused_before_anything_is_loaded(folder, monkeypatch):
    monkeypatch.setattr(background, "_load", lambda *_: pytest.fail("it was loaded"))
    (folder / "dit.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelError, match=r"dit\.safetensors does not match its SHA-256"):
        BackgroundModel(folder)


def test_an_unknown_device_is_an_error(folder):
    with pytest.raises(ConfigError, match="unknown device 'abacus'"):
        load_talker(folder, "abacus")


def test_a_model_that_cannot_be_loaded_ends_the_first_pass(folder, footage, pictures, speech, tmp_path, monkeypatch):
    failed = threading.Event()
    seen = []

    def fail(*_):
        failed.set()
        raise ModelError(SENTENCE)

    def progress(what, done, total):
        seen.append(done)
        failed.wait(3)

    monkeypatch.setattr(background, "_load", fail)
    source = footage(pictures * 3)
    with pytest.raises(ModelError, match=SENTENCE):
        generate(source, speech, tmp_path / "out.mp4", model=folder, progress=progress)
    assert len(seen) < len(pictures) * 3
    assert not list(tmp_path.glob("*out*"))


def test_the_first_pass_imports_no_torch():
    code = "import sys, dithead.inference.pipeline; print(*{'torch', 'pydantic', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_model_is_loaded_on_one_thread(folder, talker, monkeypatch):
    seen = []
    monkeypatch.setattr("dithead.checkpoint.read_model", lambda *_: seen.append(torch.get_num_threads()) or talker)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    assert load_talker(folder) is talker
    assert seen == [1]
    torch.set_num_threads(before)
