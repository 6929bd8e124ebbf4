"""A gradient reaches every parameter of the networks that are trained besides the denoiser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dithead.config import get_preset
from dithead.critics.discriminator import LatentCritic, PatchDiscriminator
from dithead.models.audio.mel_encoder import MelEncoder
from dithead.models.autoencoder.face import AutoencoderConfig, FaceAutoencoder
from dithead.train.stages.audio_encoder import AudioEncoderWithHeads


def autoencoder() -> tuple[nn.Module, Callable[[], Tensor]]:
    model, image = FaceAutoencoder(AutoencoderConfig(8, (8, 16, 16, 96), (8, 8, 8))), torch.randn(2, 3, 64, 64)
    mask = torch.zeros(2, 1, 64, 64)
    mask[:, :, 24:] = 1
    return model, lambda: model.decode(model.encode(image), image * (1 - mask), mask, image.flip(0)).square().mean()


def patches() -> tuple[nn.Module, Callable[[], Tensor]]:
    model = PatchDiscriminator(16)
    return model, lambda: model(torch.randn(2, 3, 64, 64), torch.ones(2, 1, 64, 64))[0].square().mean()


def critic() -> tuple[nn.Module, Callable[[], Tensor]]:
    model = LatentCritic(8, 16)
    return model, lambda: model(*torch.randn(2, 2, 8, 4, 4), torch.ones(2, 1, 4, 4)).square().mean()


def listener() -> tuple[nn.Module, Callable[[], Tensor]]:
    config = get_preset("tiny").model.audio
    model = AudioEncoderWithHeads(MelEncoder(config))
    return model, lambda: torch.stack([part.square().mean() for part in model(torch.randn(2, config.window, 80))]).sum()


@pytest.mark.parametrize("make", [autoencoder, patches, critic, listener])
def test_a_gradient_reaches_every_parameter(make: Callable[[], tuple[nn.Module, Callable[[], Tensor]]]) -> None:
    torch.manual_seed(0)
    model, loss = make()
    for parameter in model.parameters():  # layers that start at zero hide those before them
        nn.init.normal_(parameter, std=0.05)
    loss().backward()
    missed = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # What stands for no speech stays as it began: the denoiser learns what it means.
    assert missed == (["encoder.silence"] if make is listener else [])
