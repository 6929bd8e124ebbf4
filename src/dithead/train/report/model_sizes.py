"""Count the size of a preset's model on the code itself: parameters, tokens, operations per frame, memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from dithead.config import ModelConfig
from dithead.diffusion.objectives import make_objective
from dithead.face.masks import box_polygon, polygon_mask
from dithead.models.audio.hf_speech import SpeechConfig
from dithead.models.autoencoder.kl import KLConfig
from dithead.models.denoiser.base import LatentConditions
from dithead.models.talking_head import TalkingHead
from dithead.progress import plural

# The architectures of the default pretrained parts, so that presets can be counted without a download.
_KNOWN_KL = (
    '{"in_channels": 3, "out_channels": 3, "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32,'
    ' "block_out_channels": [128, 256, 512, 512], "scaling_factor": 0.18215, "down_block_types": ["DownEncoderBlock2D",'
    ' "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"], "up_block_types": ["UpDecoderBlock2D",'
    ' "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"]}'
)
_KNOWN_SPEECH = '{"model_type": "wav2vec2"}'  # its defaults are those of the base model
_TRAINING_BYTES = 20  # of a trained parameter: weight, gradient, two moments of Adam and moving average in float32


_NAMES = {"dit": "denoiser", "audio": "audio encoder"}
"""Part of a model -> its name for readers."""


@dataclass(frozen=True)
class ModelSizes:
    """Size and cost of one model.

    Attributes:
        parameters: Millions of parameters by part.
        tokens: Tokens that the denoiser computes under a wide mask (``box``).
        grid: Side of the latent; there are ``grid`` x ``grid`` tokens in all.
        gflops: Giga floating-point operations (multiply-adds times two) for a generated frame with all its steps.
        weights_gb: Memory of the weights in float32.
        training_gb: Memory that training the denoiser holds before any activation.
    """

    parameters: dict[str, float]
    tokens: int
    grid: int
    gflops: float
    weights_gb: float
    training_gb: float

    def summary(self, config: ModelConfig) -> str:
        """Describe the model in one line."""
        parts = " + ".join(f"{_NAMES.get(name, name)} {_told(count, 1)}" for name, count in self.parameters.items())
        return (
            f"{config.size} px, {config.objective} in {plural(config.steps, 'step')}; {parts} M parameters; "
            f"{self.tokens} of {self.grid**2} tokens; {_told(self.gflops, 1)} GFLOPs a frame; "
            f"{_told(self.weights_gb, 2)} GB to run, {_told(self.training_gb, 2)} GB and activations to train"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all sizes by name."""
        return asdict(self)


def _told(number: float, digits: int) -> str:
    """A number with so many decimal digits, or more where it would be nothing."""
    return f"{number:.{digits}f}" if number >= 10**-digits else f"{number:.1g}"


def sizes_of(config: ModelConfig) -> ModelSizes:
    """Count a model without making its weights.

    Raises:
        MissingExtraError: The library of a pretrained part is not installed.
    """
    described = _with_known_architectures(config)
    with torch.device("meta"):
        talker = TalkingHead(described, make_objective(config.objective)).eval()
    parts = {name: _millions(getattr(talker, name)) for name in ("autoencoder", "dit", "audio")}
    mask = torch.from_numpy(polygon_mask(box_polygon(config.size), config.size)).view(1, 1, config.size, config.size)
    index = (torch.nn.functional.avg_pool2d(mask, config.size // config.dit.grid) > 0).flatten().nonzero().flatten()
    return ModelSizes(
        parameters=parts,
        tokens=len(index),
        grid=config.dit.grid,
        gflops=_flops(talker, config, index) / 1e9,
        weights_gb=sum(parts.values()) * 4e6 / 1e9,
        training_gb=parts["dit"] * 1e6 * _TRAINING_BYTES / 1e9,
    )


def _with_known_architectures(config: ModelConfig) -> ModelConfig:
    """Return the configuration in which pretrained parts of unknown architecture are the default ones."""
    changes: dict[str, Any] = {}
    if isinstance(config.autoencoder, KLConfig) and not config.autoencoder.architecture:
        changes["autoencoder"] = replace(config.autoencoder, architecture=_KNOWN_KL)
    if isinstance(config.audio, SpeechConfig) and not config.audio.architecture:
        changes["audio"] = replace(config.audio, architecture=_KNOWN_SPEECH)
    return config.model_copy(update=changes)


def _millions(module: torch.nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


def _flops(talker: TalkingHead, config: ModelConfig, index: torch.Tensor) -> float:
    """Count encoding the masked frame, denoising and decoding. The reference is encoded once for a whole clip."""
    d, s = config.dit, config.size
    image, mask = (torch.zeros(1, channels, s, s, device="meta") for channels in (3, 1))
    z = torch.zeros(1, d.latent_channels, d.grid, d.grid, device="meta")
    tokens = torch.zeros(1, talker.audio.position.shape[0], d.audio_width, device="meta")
    mask_z, t = torch.zeros(1, 1, d.grid, d.grid, device="meta"), torch.zeros(1, device="meta")
    at, rounds = index.to("meta"), config.steps * (1 if config.guidance == 1 else 2)
    with FlopCounterMode(display=False) as step, torch.no_grad():
        talker.dit(z, t, LatentConditions(z, mask_z, z, tokens, token_index=at))
    with FlopCounterMode(display=False) as frame, torch.no_grad():
        talker.autoencoder.encode_masked(image)
        talker.autoencoder.decode(z, image, mask, image)
    return float(step.get_total_flops() * rounds + frame.get_total_flops())
