"""A pretrained Stable-Diffusion autoencoder (diffusers ``AutoencoderKL``) in place of the face autoencoder.

What was loaded is described in the configuration (``architecture``), so that a model folder needs nothing but itself.
Letters: B batch, S image side, C latent channels, G = S / 16 latent side.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.errors import ModelError
from dithead.models.autoencoder.face import FACTOR
from dithead.models.pretrained import diffusers_library, load_pretrained


@dataclass(frozen=True)
class KLConfig:
    """A diffusers ``AutoencoderKL``, whose latents are folded two by two, as a transformer of patch size 2 would do.

    Attributes:
        source: Hub id or folder of the weights.
        masked_source: A second autoencoder for masked frames, as one reading of the paper has it; empty: one for both.
        latent_channels: Channels after folding.
        architecture: The network's own configuration as JSON, filled in when the weights are loaded.
        kind: Distinguishes this configuration from that of the face autoencoder in ``config.json``.
    """

    source: str = "stabilityai/sd-vae-ft-mse"
    masked_source: str = ""
    latent_channels: int = 16
    architecture: str = ""
    kind: Literal["kl"] = "kl"

    def build(self) -> KLAutoencoder:
        """The network with random weights."""
        return KLAutoencoder(self)


def load_kl(source: str) -> Any:
    """diffusers' ``AutoencoderKL`` from a hub id or folder. Raises ModelError."""
    kind = diffusers_library().AutoencoderKL
    return load_pretrained(source, lambda: kind.from_pretrained(source)).eval()


class KLAutoencoder(nn.Module):
    """An ``AutoencoderKL`` with the interface of ``models.autoencoder.face.FaceAutoencoder``."""

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: KLConfig) -> None:
        super().__init__()
        if not config.architecture:
            raise ValueError("an autoencoder of unknown architecture; load it with KLAutoencoder.load")
        self.config = config
        described = json.loads(config.architecture)
        kind = diffusers_library().AutoencoderKL
        self.kl: Any = kind.from_config(described)
        self.kl_masked: Any = kind.from_config(described) if config.masked_source else None
        shift, scale = described.get("shift_factor") or 0.0, described.get("scaling_factor") or 1.0
        shape = (1, config.latent_channels, 1, 1)
        self.register_buffer("latent_mean", torch.full(shape, float(shift)))
        self.register_buffer("latent_std", torch.full(shape, 1.0 / float(scale)))

    @classmethod
    def load(cls, config: KLConfig) -> KLAutoencoder:
        """Load the weights that ``config`` names; the result's ``config`` describes their architecture.

        Raises:
            ModelError: The weights cannot be found, or shrink pictures by another factor than 8.
        """
        kl = load_kl(config.source)
        described = {key: value for key, value in dict(kl.config).items() if not key.startswith("_")}
        halvings = 2 ** (len(kl.config.block_out_channels) - 1)
        if 2 * halvings != FACTOR:
            raise ModelError(f"{config.source} shrinks pictures {halvings} times; only autoencoders of 8 fit")
        channels = 4 * kl.config.latent_channels
        model = cls(replace(config, latent_channels=channels, architecture=json.dumps(described, sort_keys=True)))
        model.kl.load_state_dict(kl.state_dict())
        if model.kl_masked is not None:
            model._fill_masked(config.masked_source)
        return model.eval()

    def _fill_masked(self, source: str) -> None:
        try:
            self.kl_masked.load_state_dict(load_kl(source).state_dict())
        except RuntimeError as error:
            raise ModelError(f"{source} is not built as {self.config.source} ({str(error).splitlines()[0]})") from None

    @property
    def dtype(self) -> torch.dtype:
        return next(self.kl.parameters()).dtype  # type: ignore[no-any-return]

    def encode(self, x: Tensor) -> Tensor:
        """Image (B, 3, S, S) in [-1, 1] to scaled latent (B, C, G, G)."""
        return self._encode(self.kl, x)

    def encode_masked(self, x: Tensor) -> Tensor:
        """The same for a masked frame, by its own encoder where there is one."""
        return self._encode(self.kl if self.kl_masked is None else self.kl_masked, x)

    def _encode(self, kl: Any, x: Tensor) -> Tensor:
        if x.shape[-1] % FACTOR or x.shape[-2] % FACTOR:
            raise ValueError(f"image side must be a multiple of {FACTOR}, got {tuple(x.shape[-2:])}")
        raw = F.pixel_unshuffle(kl.encode(x).latent_dist.mode(), 2)
        return (raw - self.latent_mean) / self.latent_std

    def decode(self, z: Tensor, masked: Tensor, mask: Tensor, reference: Tensor) -> Tensor:  # noqa: ARG002 - interface
        """Scaled latent (B, C, G, G) to image (B, 3, S, S); pixels outside the mask are those of ``masked``."""
        raw = F.pixel_shuffle(z * self.latent_std + self.latent_mean, 2)
        image = self.kl.decode(raw.to(masked.dtype)).sample
        return masked * (1 - mask) + image * mask
