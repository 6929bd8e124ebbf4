"""Stage one judged on people held out: PSNR, SSIM under the mask, and LPIPS where its weights are given."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from dithead.config import get_preset
from dithead.errors import ModelError, OutputError
from dithead.train.loop.weights_file import save_weights
from dithead.train.metrics.reconstruction import held_out_metrics, load_lpips, ssim
from dithead.train.stages.autoencoder import train_autoencoder
from dithead.train.stages.options import AutoencoderOptions


def pictures(count: int = 2, side: int = 64) -> torch.Tensor:
    noise = np.random.default_rng(0).integers(0, 256, (count, side, side, 3)).astype(np.uint8)
    soft = np.stack([cv2.GaussianBlur(picture, (0, 0), 2) for picture in noise])
    return torch.from_numpy(soft).permute(0, 3, 1, 2) / 127.5 - 1


def lower_half(count: int = 2, side: int = 64) -> torch.Tensor:
    mask = torch.zeros(count, 1, side, side)
    mask[:, :, side // 2 :] = 1
    return mask


@pytest.fixture
def alexnet(tmp_path: Path) -> Path:
    """Random weights under torchvision's names."""
    torch.manual_seed(0)
    shapes = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}
    state = {f"features.{i}.weight": torch.randn(s) / (s[1] * s[2] * s[3] / 2) ** 0.5 for i, s in shapes.items()}
    state |= {f"features.{i}.bias": torch.zeros(s[0]) for i, s in shapes.items()}
    save_file(state, tmp_path / "alexnet.safetensors")
    return tmp_path / "alexnet.safetensors"


def test_similarity_is_that_of_the_formula_and_of_the_mask_alone() -> None:
    """SSIM of a picture and a brighter one has no contrast or structure term: it is that of the means."""
    flat, mask = torch.zeros(1, 3, 64, 64), lower_half(1)
    brighter = flat + 0.2 * mask
    dark, light = (round(level * 127.5) for level in (1.0, 1.2))
    c1 = (0.01 * 255) ** 2
    closed = (2 * dark * light + c1) / (dark**2 + light**2 + c1)
    inside = ssim(brighter[..., 40:, :], flat[..., 40:, :], mask[..., 40:, :])
    assert inside == pytest.approx(closed, abs=1e-3)
    above = torch.zeros_like(mask)
    above[:, :, :24] = 1  # farther from the mask than the window reaches
    assert ssim(brighter, flat, above) == pytest.approx(1)
    image = pictures()
    assert ssim(image, image, lower_half()) == pytest.approx(1)


def test_worse_pictures_have_worse_numbers() -> None:
    image, mask = pictures(), lower_half()
    truth = {"image": image, "mask": mask, "mouth": mask}
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0)) * mask
    little, much = (held_out_metrics(image + level * noise, truth) for level in (0.05, 0.2))
    assert little["held_out_psnr"] == pytest.approx(20 * np.log10(2 / 0.05), abs=0.2)
    assert little["held_out_ssim"] > much["held_out_ssim"] + 0.05
    assert 0 < little["held_out_identity"] < much["held_out_identity"]
    assert held_out_metrics(image, truth)["held_out_identity"] == 0
    assert "held_out_lpips" not in little


def test_lpips_has_a_gradient_and_is_measured_where_its_weights_are(alexnet: Path) -> None:
    distance = load_lpips(str(alexnet), torch.device("cpu"))
    assert distance is not None
    image = pictures()
    moved = (image + 0.1 * torch.randn(image.shape)).requires_grad_()
    distance(moved, image).mean().backward()
    assert moved.grad is not None
    assert moved.grad.abs().mean() > 0
    truth = {"image": image, "mask": lower_half(), "mouth": lower_half()}
    assert held_out_metrics(image, truth, distance)["held_out_lpips"] == 0
    assert held_out_metrics(moved.detach(), truth, distance)["held_out_lpips"] > 0
    assert load_lpips("", torch.device("cpu")) is None


def test_stage_one_trains_with_lpips_and_names_weights_that_are_not_there(
    dataset: Path, alexnet: Path, tmp_path: Path
) -> None:
    preset = get_preset("tiny", ["autoencoder.batch=2", f"autoencoder.lpips={alexnet}"])
    run = train_autoencoder([str(dataset)], preset, tmp_path / "run", AutoencoderOptions(steps=2, device="cpu"))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["lpips"] > 0
    assert {"held_out_psnr", "held_out_ssim", "held_out_lpips"} <= set(lines[-1])
    gone = get_preset("tiny", [f"autoencoder.lpips={tmp_path / 'gone.pth'}"])
    with pytest.raises(ModelError, match="gone.pth"):
        train_autoencoder([str(dataset)], gone, tmp_path / "gone", AutoencoderOptions(steps=2, device="cpu"))


def test_weights_that_cannot_be_written_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise SafetensorError("No space left on device")

    monkeypatch.setattr("dithead.train.loop.weights_file.save_file", full)
    (tmp_path / "net.safetensors").write_bytes(b"the one before")
    with pytest.raises(OutputError, match=r"net.safetensors: could not be written \(No space left"):
        save_weights(tmp_path / "net.safetensors", {"a": torch.zeros(2)})
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the one before"]
