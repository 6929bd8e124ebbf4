"""What stage two begins with: the autoencoder and the audio encoder trained before, or other people's, in one model."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import torch

from dithead.config import ModelConfig, Preset
from dithead.diffusion.objectives import make_objective
from dithead.errors import ModelError
from dithead.models.autoencoder import FaceAutoencoder
from dithead.models.pretrained import KLAutoencoder, KLConfig
from dithead.models.talking_head import TalkingHead
from dithead.train.audio import load_encoder
from dithead.train.lipshape import LipBasis


def assemble(
    preset: Preset, autoencoder: Path | str, audio: Path, device: torch.device
) -> tuple[TalkingHead, LipBasis]:
    """The model of the preset with its trained or pretrained parts, and what the lips' numbers mean."""
    torch_state = torch.get_rng_state()  # however the parts are loaded, the transformer starts the same
    pictures, (speech, basis) = load_autoencoder(autoencoder, preset), load_encoder(audio, preset.model.audio)
    torch.set_rng_state(torch_state)
    config = preset.model.model_copy(update={"autoencoder": pictures.config, "audio": speech.config})
    head = TalkingHead(ModelConfig.model_validate(config.model_dump()), make_objective(config.objective))
    head.autoencoder, head.audio = pictures, speech.requires_grad_(False)
    head.autoencoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return head.to(device), basis


def load_autoencoder(source: Path | str, preset: Preset) -> FaceAutoencoder | KLAutoencoder:
    """The autoencoder of a stage-one run; for a preset with a Stable-Diffusion one, of a diffusers folder or hub id.

    Raises ModelError when there is none or its shape is another.
    """
    from safetensors.torch import load_file

    config = preset.model.autoencoder
    if isinstance(config, KLConfig):
        return KLAutoencoder.load(replace(config, source=str(source))).requires_grad_(False)
    model, path = FaceAutoencoder(config), Path(source) / "autoencoder.safetensors"
    if not path.exists():
        raise ModelError(f"{path} is missing; train stage one first: dithead train autoencoder ... -o {source}")
    try:
        model.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise ModelError(f"{path} does not fit preset '{preset.model.name}': {str(error).splitlines()[0]}") from None
    return model.eval().requires_grad_(False)


def from_model(head: TalkingHead, init: Path | None) -> Path | None:
    """Start the transformer from a model folder; another run's folder is given back for the loop. Raises ModelError."""
    from safetensors.torch import load_file

    weights = None if init is None else Path(init) / "dit.safetensors"
    if weights is None or not weights.exists():
        return init
    try:
        head.dit.load_state_dict(load_file(weights))
    except RuntimeError as error:
        raise ModelError(f"{weights} does not fit the preset: {str(error).splitlines()[0]}") from None
    return None


def cache_key(head: TalkingHead, seed: int) -> str:
    """What cached latents and features depend on besides the clips, as a folder's name."""
    config, digest = head.config, hashlib.sha256()
    for name, tensor in head.autoencoder.state_dict().items():
        digest.update(f"{name} {tensor.double().sum().item()!r}".encode())
    source = getattr(config.audio, "source", getattr(config.audio, "kind", "mel"))
    digest.update(f"{config.size} {getattr(config, 'mask', '')} {source} {seed}".encode())
    return digest.hexdigest()[:16]
