"""What stage two begins with: the autoencoder and the audio encoder trained before, or other people's, in one model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import torch

from dithead.checkpoint import verify_folder
from dithead.config import ModelConfig, Preset
from dithead.diffusion.objectives import make_objective
from dithead.errors import ModelError
from dithead.models.audio.base import AudioConfig, AudioEncoder
from dithead.models.autoencoder.face import FaceAutoencoder
from dithead.models.autoencoder.kl import KLAutoencoder, KLConfig
from dithead.models.talking_head import TalkingHead
from dithead.train.data.lip_basis import LipBasis
from dithead.train.loop.weights_file import fill
from dithead.train.stages.audio_encoder import BASIS, WEIGHTS


def assemble(
    preset: Preset, autoencoder: Path | str, audio: Path, device: torch.device
) -> tuple[TalkingHead, LipBasis]:
    """The model of the preset with its trained or pretrained parts, and what the lips' numbers mean."""
    torch_state = torch.get_rng_state()  # however the parts are loaded, the transformer starts the same
    pictures, (speech, basis) = load_autoencoder(autoencoder, preset), load_encoder(audio, preset.model.audio)
    torch.set_rng_state(torch_state)
    unit = float(basis.scale[-1]) if preset.model.dit.lip_targets else 0.0
    parts = {"autoencoder": pictures.config, "audio": speech.config, "opening_unit": unit}
    config = preset.model.model_copy(update=parts)
    head = TalkingHead(ModelConfig.model_validate(config.model_dump()), make_objective(config.objective))
    head.autoencoder, head.audio = pictures, speech.requires_grad_(False)
    head.autoencoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return head.to(device), basis


def load_autoencoder(source: Path | str, preset: Preset) -> FaceAutoencoder | KLAutoencoder:
    """The autoencoder of a stage-one run; for a preset with a Stable-Diffusion one, of a diffusers folder or hub id.

    Raises ModelError when there is none or its shape is another.
    """
    config = preset.model.autoencoder
    if isinstance(config, KLConfig):
        return KLAutoencoder.load(replace(config, source=str(source))).requires_grad_(False)
    model = FaceAutoencoder(config)
    fill(model, Path(source) / "autoencoder.safetensors",
         f"train stage one first: dithead train autoencoder ... -o {source}")  # fmt: skip
    return model.eval().requires_grad_(False)


def load_encoder(folder: Path, config: AudioConfig) -> tuple[AudioEncoder, LipBasis]:
    """The encoder of an audio run and its basis. A pretrained one is built as the run says. Raises ModelError."""
    try:
        stored = json.loads((folder / "config.json").read_text("utf-8"))["model"]
        encoder = config.as_trained(stored).build()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder} is no run of `dithead train audio` with such an encoder ({error}); "
            f"train the audio encoder first: dithead train audio ... -o {folder}"
        ) from None
    return encoder, load_audio(folder, encoder)


def load_audio(folder: Path, encoder: AudioEncoder) -> LipBasis:
    """Fill ``encoder`` from an audio run; returns the run's basis. Raises ModelError."""
    fill(encoder, folder / WEIGHTS, f"train the audio encoder first: dithead train audio ... -o {folder}")
    return LipBasis.load(folder / BASIS)


def from_model(head: TalkingHead, init: Path | None) -> Path | None:
    """Start the transformer from a model folder; another run's folder is given back for the loop. Raises ModelError."""
    if init is None or not (init / "dit.safetensors").exists():
        return init
    verify_folder(init)
    fill(head.dit, init / "dit.safetensors", "give another folder")
    return None


def cache_key(head: TalkingHead, seed: int) -> str:
    """What cached latents and features depend on besides the clips, as a folder's name."""
    config, digest = head.config, hashlib.sha256()
    for name, tensor in head.autoencoder.state_dict().items():
        digest.update(f"{name} {tensor.double().sum().item()!r}".encode())
    source = getattr(config.audio, "source", getattr(config.audio, "kind", "mel"))
    digest.update(f"{config.size} {getattr(config, 'mask', '')} {source} {seed}".encode())
    return digest.hexdigest()[:16]
