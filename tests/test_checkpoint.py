"""Model folders: saving and loading return the same model, of both formats, and no damaged folder is loaded."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dithead.checkpoint import (
    build_model,
    load_model,
    read_config,
    save_model,
)
from dithead.config import ModelConfig, get_preset
from dithead.errors import ModelError, OutputError
from dithead.hub import resolve_model
from dithead.model_folder import HASHED, HASHES, file_hash, verify_folder
from dithead.models.audio.context_encoder import ContextEncoderConfig
from dithead.models.audio.mel import log_mel, with_samples
from dithead.models.talking_head import Conditions, TalkingHead
from dithead.train.loop.weights_file import load_weights


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
    hashes = {name: file_hash(folder / name) for name in HASHED}
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


def test_all_files_have_the_same_permissions(saved: Path) -> None:
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
    with pytest.raises(ModelError, match="format 99, this dithead reads 1 and 2"):
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


def test_a_file_in_another_format_is_refused(folder: Path) -> None:
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


def with_lip_predictor() -> TalkingHead:
    torch.manual_seed(0)
    audio = ContextEncoderConfig(
        window=32, tokens=12, width=16, hidden=24, heads=2, layers=1, past=64,
        lip_predictor_hidden=40, lip_predictor_heads=2, lip_predictor_layers=1,
    )  # fmt: skip
    return build_model(get_preset("tiny").model.model_copy(update={"audio": audio}))


OLD_NAMES = {"whisper.": "", "lip_predictor.": "ear."}


def as_format_1(folder: Path, temporal: int = 0) -> None:
    """Rewrite a model folder as small 0.6 was written."""
    content = json.loads((folder / "config.json").read_text())
    model = content["model"]
    model["dit"]["temporal"] = temporal
    model["audio"] = {k.replace("lip_predictor_", "ear_"): v for k, v in model["audio"].items()}
    tensors = load_file(folder / "audio.safetensors")
    for new, old in OLD_NAMES.items():
        tensors = {old + name.removeprefix(new) if name.startswith(new) else name: t for name, t in tensors.items()}
    save_file(tensors, folder / "audio.safetensors")
    edit_config(folder, format=1, model=model)


@torch.inference_mode()
def outputs(model: TalkingHead) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    wave = 0.1 * torch.randn(16000, generator=generator)
    features = with_samples(log_mel(wave, "whisper"), wave)
    tokens, lips = model.tokens_and_lips(features, torch.tensor([0.3, 0.34]))
    picture = torch.rand(2, 3, model.size, model.size, generator=generator)
    mask = torch.zeros(1, 1, model.size, model.size)
    mask[..., model.size // 2 :, model.size // 4 : -model.size // 4] = 1
    conditions = Conditions(picture * (1 - mask), mask, picture[:1], tokens, lips)
    return [*model.generate(conditions, model.initial_noise(0)), tokens]


def test_a_folder_of_format_1_loads_to_the_same_bits(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", with_lip_predictor())
    expected = outputs(load_model(folder))
    as_format_1(folder)
    assert any(name.startswith("ear.") for name in load_file(folder / "audio.safetensors"))
    assert all(torch.equal(a, b) for a, b in zip(outputs(load_model(folder)), expected, strict=True))
    again = save_model(tmp_path / "again", load_model(folder))
    assert json.loads((again / "config.json").read_text())["format"] == 2
    assert all(torch.equal(a, b) for a, b in zip(outputs(load_model(again)), expected, strict=True))


SMALL_0_8 = [0.4805780053138733, 0.2590368986129761, 0.022567367181181908, 0.5693079829216003]


def test_the_shipped_model_generates_what_it_did() -> None:
    """Numbers since openings are averaged over 60 ms; other machines round otherwise, hence a tolerance."""
    assert json.loads((resolve_model("small") / "config.json").read_text())["version"] == "0.8"
    frames, latents, _ = outputs(load_model("small"))
    assert frames.shape == (2, 3, 160, 160)
    means = [frames.mean().item(), frames.std().item(), latents.mean().item(), latents.std().item()]
    assert means == pytest.approx(SMALL_0_8, abs=2e-5)


def test_weights_of_an_audio_run_of_format_1_are_read_under_their_new_names(tmp_path: Path) -> None:
    model = with_lip_predictor()
    folder = save_model(tmp_path / "model", model, dtype=torch.float32)
    as_format_1(folder)
    encoder = with_lip_predictor().audio
    torch.nn.init.zeros_(encoder.position)
    load_weights(encoder, folder / "audio.safetensors", "train it")
    expected = model.audio.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in encoder.state_dict().items())
    save_file({"ear.place": torch.zeros(4, 4)}, tmp_path / "audio.safetensors")
    with pytest.raises(ModelError, match="small 0.5"):
        load_weights(encoder, tmp_path / "audio.safetensors", "train it")


def test_attention_over_time_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", with_lip_predictor())
    as_format_1(folder, temporal=4)
    with pytest.raises(ModelError, match="attention over time is gone") as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_the_lip_predictor_of_small_0_5_says_which_version_reads_it(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", with_lip_predictor())
    as_format_1(folder)
    tensors = load_file(folder / "audio.safetensors")
    save_file({**tensors, "ear.place": torch.zeros(16, 24)}, folder / "audio.safetensors")
    rehash(folder)
    with pytest.raises(ModelError, match="small 0.5.*47dd76f") as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)
    content = json.loads((folder / "config.json").read_text())
    audio = {key: value for key, value in content["model"]["audio"].items() if not key.startswith("ear_")}
    edit_config(folder, model={**content["model"], "audio": audio})
    with pytest.raises(ModelError, match="small 0.5.*47dd76f"):
        load_model(folder)


def test_the_preset_small_is_the_shipped_model() -> None:
    """But for what training measures."""
    shipped = read_config(resolve_model("small"))
    assert shipped == get_preset("small").model.model_copy(
        update={"opening_unit": shipped.opening_unit, "width_units": shipped.width_units}
    )
    assert len(shipped.width_units) == 9
    assert isinstance(shipped, ModelConfig)
