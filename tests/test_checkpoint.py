"""Model folders: what is saved comes back, and no damaged folder is ever loaded."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dithead.checkpoint import HASHED, HASHES, _sha256, build_model, load_model, save_model, verify_folder
from dithead.config import get_preset
from dithead.errors import ModelError, OutputError
from dithead.models.talking_head import TalkingHead


def random_model() -> TalkingHead:
    torch.manual_seed(0)
    model = build_model(get_preset("tiny").model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
        model.autoencoder.latent_std.fill_(1.2345678)
    return model


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return save_model(folder, random_model(), training="none: random weights")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A private copy to damage."""
    copy = tmp_path / "tiny"
    copy.mkdir()
    for file in saved.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def rehash(folder: Path) -> None:
    hashes = {name: _sha256(folder / name) for name in HASHED}
    (folder / HASHES).write_text(json.dumps(hashes))


def edit_config(folder: Path, **changes: object) -> None:
    content = json.loads((folder / "config.json").read_text())
    content.update(changes)
    (folder / "config.json").write_text(json.dumps(content))
    rehash(folder)


def test_matrices_come_back_as_bfloat16_and_statistics_exactly(saved: Path) -> None:
    original = random_model()
    loaded = load_model(saved)
    assert loaded.config == original.config
    for (name, a), b in zip(original.named_parameters(), loaded.parameters(), strict=True):
        expected = a.to(torch.bfloat16).float() if a.ndim > 1 else a
        assert torch.equal(expected, b), name
    assert torch.equal(loaded.autoencoder.latent_std, original.autoencoder.latent_std)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_dtype_is_that_of_the_parameters_not_of_the_statistics(saved: Path) -> None:
    loaded = load_model(saved, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    assert loaded.autoencoder.latent_std.dtype == torch.float32


def test_saving_what_was_loaded_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    again = save_model(tmp_path / "again", load_model(saved))
    assert (again / HASHES).read_text() == (saved / HASHES).read_text()


def test_who_may_read_one_file_may_read_all(saved: Path) -> None:
    assert len({file.stat().st_mode for file in saved.iterdir()}) == 1


def test_the_card_is_filled_in(saved: Path) -> None:
    card = (saved / "MODEL_CARD.md").read_text()
    assert "none: random weights" in card
    assert "$" not in card


def test_sizes_are_reported(saved: Path) -> None:
    assert verify_folder(saved) == {name: (saved / name).stat().st_size for name in HASHED}


@pytest.mark.parametrize("name", HASHED)
def test_one_flipped_bit_is_refused(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ModelError, match=f"{name} does not match its SHA-256"):
        load_model(folder)


@pytest.mark.parametrize("name", [*HASHED, HASHES])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name} is missing"):
        load_model(folder)


@pytest.mark.parametrize("content", ["", "not json", "[]", "\x00"])
def test_unreadable_hashes_are_refused(folder: Path, content: str) -> None:
    (folder / HASHES).write_text(content)
    with pytest.raises(ModelError, match="hashes.json is not"):
        load_model(folder)


def test_a_newer_format_says_so(folder: Path) -> None:
    edit_config(folder, format=99)
    with pytest.raises(ModelError, match="format 99, this dithead reads 1"):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"colour": "blue"}, "colour"),
        ({"size": "wide"}, "size"),
        ({"size": 72}, "size"),
        ({"dit": {"width": 33}}, "dit"),
    ],
)
def test_an_unknown_or_impossible_setting_is_named(folder: Path, change: dict[str, object], where: str) -> None:
    model = json.loads((folder / "config.json").read_text())["model"]
    edit_config(folder, model={**model, **change})
    with pytest.raises(ModelError, match=f"config.json: .*{where}"):
        load_model(folder)


def test_wrong_shapes_and_names_are_refused(folder: Path) -> None:
    file = folder / "dit.safetensors"
    tensors = load_file(file)
    name = "out.weight"
    save_file({**tensors, name: tensors[name][:-1].contiguous()}, file)
    rehash(folder)
    with pytest.raises(ModelError, match=f"dit.safetensors does not fit config.json: {name} has shape"):
        load_model(folder)
    save_file({"extra": torch.zeros(1), **tensors}, file)
    rehash(folder)
    with pytest.raises(ModelError, match="tensor extra is in only one"):
        load_model(folder)


def test_what_is_no_safetensors_file_is_refused(folder: Path) -> None:
    (folder / "audio.safetensors").write_bytes(b"\x80\x04pickle")
    rehash(folder)
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_model(folder)


def test_saving_replaces_a_model_and_leaves_other_files(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    model = load_model(folder)
    torch.nn.init.ones_(model.dit.out.weight)
    save_model(folder, model)
    assert torch.all(load_model(folder).dit.out.weight == 1)
    assert (folder / "notes.txt").read_text() == "mine"
    assert [file.name for file in folder.parent.iterdir()] == [folder.name]


def test_a_failed_save_leaves_the_old_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(folder)
    before = (folder / HASHES).read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dithead.checkpoint.save_file", full)
    with pytest.raises(OutputError, match="No space left"):
        save_model(folder, model)
    assert (folder / HASHES).read_text() == before
    assert [file.name for file in folder.parent.iterdir()] == [folder.name]
    verify_folder(folder)


def test_a_file_in_the_way_is_named_and_kept(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "model").write_text("mine")
    with pytest.raises(OutputError, match="is a file"):
        save_model(tmp_path / "model", load_model(saved))
    assert (tmp_path / "model").read_text() == "mine"
