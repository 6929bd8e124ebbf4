"""The sync expert as a loss: it sees what it was trained to see, and the transformer alone learns to speak to it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dithead.checkpoint import build_model
from dithead.config import DiTTraining, get_preset
from dithead.critics.sync_expert import SyncConfig, SyncExpert
from dithead.critics.sync_offset import crop_mouths
from dithead.diffusion.objectives import make_objective
from dithead.errors import ConfigError, ModelError
from dithead.train.loop.batches import Batch
from dithead.train.loop.trainable import Trainable
from dithead.train.losses.sync_loss import PREFIX, SyncLoss, cut_mouth, load_loss_expert
from dithead.train.stages.audio_encoder import train_audio
from dithead.train.stages.autoencoder import train_autoencoder
from dithead.train.stages.denoiser import _DenoiserUpdate, train_dit
from dithead.train.stages.options import AudioOptions, AutoencoderOptions, DenoiserOptions
from dithead.train.stages.sync_expert import save_expert

TINY = {"side": 32, "width": 8, "embedding": 8, "frames": 5, "context": 0}


@pytest.fixture(scope="module")
def expert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    made = SyncExpert(SyncConfig(colour=True, centred=False, **TINY))
    return save_expert(made, tmp_path_factory.mktemp("expert") / "loss.safetensors", "loss")


@pytest.mark.parametrize("size", [64, 160])
@pytest.mark.parametrize("centre", [(0.5, 0.62), (0.9, 0.97)])
def test_the_expert_sees_what_it_was_trained_on(size: int, centre: tuple[float, float]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1, size, size, 3), np.uint8)
    crop = np.stack([cv2.GaussianBlur(noise[0], (0, 0), 3)])
    place = (centre[0] * size, centre[1] * size)
    image = torch.from_numpy(crop[0]).permute(2, 0, 1).float().requires_grad_()
    seen = cut_mouth(image, place, 40)
    truth = torch.from_numpy(crop_mouths(crop, place, 40)[0]).permute(2, 0, 1).float()
    assert (seen - truth).abs().mean() < 1.0  # grey levels
    seen.sum().backward()
    assert image.grad is not None
    assert 0.05 < (image.grad != 0).float().mean() < 0.25, "of the mouth, and only there"


def windows(count: int, frames: int) -> Batch:
    """What the loader makes of ``count`` windows, at random: the lips in the lower half, everybody saying something."""
    generator = torch.Generator().manual_seed(0)
    rows = count * frames

    def some(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    cells, pixels = torch.zeros(rows, 1, 4, 4), torch.zeros(rows, 1, 64, 64)
    cells[:, :, 1:], pixels[:, :, 16:] = 1.0, 1.0
    made = {
        "latent": some(rows, 8, 4, 4), "masked": some(rows, 8, 4, 4), "mask": cells, "mouth": cells,
        "reference": some(rows, 8, 4, 4), "mel": some(rows, 16, 80), "lips": some(rows, 9),
        "noise": some(rows, 8, 4, 4), "uniform": torch.zeros(rows),
        "image_masked": some(rows, 3, 64, 64).clamp(-1, 1) * (1 - pixels), "image_mask": pixels,
        "image_reference": some(rows, 3, 64, 64).clamp(-1, 1),
        "centre": torch.tensor([[32.0, 44.0]] * count), "speech": some(count, 4 * (frames + 8), 80),
    }  # fmt: skip
    return {PREFIX + key: value for key, value in made.items()}


def test_training_against_the_expert_raises_its_agreement_and_moves_the_denoiser_alone(expert: Path) -> None:
    torch.manual_seed(0)
    preset = get_preset("tiny", ["dit.sync_weight=1"])
    talker = build_model(preset.model)
    talker.autoencoder.requires_grad_(False)
    frozen = load_loss_expert(preset.dit, expert)
    assert frozen is not None
    sync_loss, batch = SyncLoss(frozen, talker, 5), windows(3, 5)
    trainable = Trainable(talker.dit, 3e-3, 0.9)
    device = torch.device("cpu")
    update = _DenoiserUpdate(preset.dit, make_objective("flow"), trainable, talker.audio, device, None, sync_loss)
    before = {name: tensor.clone() for name, tensor in talker.state_dict().items()}
    losses = []
    for _ in range(30):
        loss = sync_loss(update._estimate, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(float(loss.detach()))
        trainable.step(3e-3, 1.0)
    assert losses[-1] < losses[0] - 0.05
    moved = {name for name, tensor in talker.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved
    assert all(name.startswith("dit.") for name in moved)
    assert all(p.grad is None for p in frozen.parameters())


def test_the_denoiser_trains_against_the_expert(dataset: Path, expert: Path, tmp_path: Path) -> None:
    settings = ("dit.sync_weight=0.1", "dit.sync_start=0", "dit.sync_windows=2")
    preset, options = get_preset("tiny", settings), {"steps": 2, "device": "cpu"}
    autoencoder = train_autoencoder([str(dataset)], preset, tmp_path / "autoencoder", AutoencoderOptions(**options))
    audio = train_audio([str(dataset)], preset, tmp_path / "audio", AudioOptions(**options))
    folder = train_dit([str(dataset)], preset, tmp_path / "dit", autoencoder, audio,
                       DenoiserOptions(sync_expert=expert, **options))  # fmt: skip
    lines = [json.loads(line) for line in (folder.parent / "metrics.jsonl").read_text().splitlines()]
    assert 0 < lines[0]["sync"] < 2
    assert json.loads((folder.parent / "config.json").read_text())["sync_expert"] == str(expert)


def test_the_wrong_expert_or_none_is_an_error(expert: Path, tmp_path: Path) -> None:
    weighted = DiTTraining(sync_weight=0.1)
    assert load_loss_expert(DiTTraining(), None) is None
    assert load_loss_expert(weighted, expert) is not None
    with pytest.raises(ConfigError, match="sync_weight is 0"):
        load_loss_expert(DiTTraining(), expert)
    scoring = save_expert(SyncExpert(SyncConfig(**TINY)), tmp_path / "score.safetensors", "score")
    with pytest.raises(ConfigError, match="this expert measures"):
        load_loss_expert(weighted, scoring)
    with pytest.raises(ModelError, match="dithead train sync --expert loss"):
        load_loss_expert(weighted, tmp_path / "nowhere.safetensors")
