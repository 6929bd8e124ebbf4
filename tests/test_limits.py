"""Claims that no honest file makes are refused in one line, before memory or time is spent on them."""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from pathlib import Path

import pytest
import torch

from dithead.checkpoint import build_model, load_model, save_model
from dithead.config import get_preset
from dithead.errors import ConfigError, DataError, ModelError
from dithead.evaluate.compare import read_report
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.analyse.serialise import load_analysis
from dithead.inference.job_list import read_speakers
from dithead.prepare.raw_videos import read_sidecar


@pytest.fixture
def folder(tmp_path) -> Path:
    torch.manual_seed(0)
    return save_model(tmp_path / "model", build_model(get_preset("tiny").model))


def reconfigured(folder: Path, change) -> Path:
    """Change the configuration of a model folder and its hash."""
    content = json.loads((folder / "config.json").read_text())
    change(content["model"])
    (folder / "config.json").write_text(json.dumps(content))
    hashes = json.loads((folder / "hashes.json").read_text())
    hashes["config.json"] = hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
    (folder / "hashes.json").write_text(json.dumps(hashes))
    return folder


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda model: model["dit"].update(width=1 << 40), "width is"),
        (lambda model: model["dit"].update(depth=100_000), "depth is 100000"),
        (lambda model: model["dit"].update(width=8192), "the files hold"),
        (lambda model: model["autoencoder"].update(channels=[1] * 1000), "1000 values"),
    ],
)
def test_a_configuration_of_a_model_that_fills_no_memory(folder, change, says):
    begun = time.process_time()
    with pytest.raises(ModelError, match=says) as caught:
        load_model(reconfigured(folder, change))
    assert len(str(caught.value).splitlines()) == 1
    assert time.process_time() - begun < 60


def test_a_configuration_that_is_nested_deeply(folder):
    (folder / "hashes.json").write_text("[" * 200_000 + "]" * 200_000)
    with pytest.raises(ModelError, match="nested too deeply"):
        load_model(folder)


def test_an_archive_that_unpacks_to_far_more(tmp_path):
    """Ten thousand million zeros are ten megabytes; the claim is in the archive's own list."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("stamps.npy", "w", force_zip64=True) as member:
            for _ in range(64):
                member.write(bytes(1 << 20))
        for info in archive.infolist():
            info.file_size = 10 << 30
    with pytest.raises(DataError, match="unpacks to more than 8 GiB"):
        load_analysis(tmp_path / "a.npz", ImageStore())


def test_a_model_that_is_an_archive(tmp_path):
    (tmp_path / "model.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(ModelError, match="is a file"):
        load_model(tmp_path / "model.zip")


def test_a_list_of_speakers_without_end(tmp_path):
    with (tmp_path / "s.json").open("wb") as file:
        file.truncate(80 << 20)
    with pytest.raises(ConfigError, match="larger than 64 MiB"):
        read_speakers(tmp_path / "s.json")


def test_notes_on_sources_and_reports_without_end_or_depth(tmp_path):
    deep = tmp_path / "report.json"
    deep.write_text("[" * 5000 + "]" * 5000)
    for read in (read_report, lambda path: read_sidecar(path, required=True)):
        with pytest.raises(DataError, match="nested too deeply"):
            read(deep)
    with deep.open("wb") as file:
        file.truncate(80 << 20)
    for read in (read_report, lambda path: read_sidecar(path, required=True)):
        with pytest.raises(DataError, match="larger than 64 MiB"):
            read(deep)
