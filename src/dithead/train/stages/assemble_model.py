"""Assemble the model that the denoiser's stage trains, from an autoencoder and an audio encoder trained before."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dithead.config import ModelConfig, Preset
from dithead.diffusion.objectives import make_objective
from dithead.errors import ModelError
from dithead.model_folder import verify_folder
from dithead.models.audio.base import AudioConfig, AudioEncoder
from dithead.models.autoencoder.face import FaceAutoencoder
from dithead.models.autoencoder.kl import KLAutoencoder, KLConfig
from dithead.models.denoiser.dit import DiT
from dithead.models.talking_head import TalkingHead
from dithead.train.data.lip_basis import BASIS, LipBasis
from dithead.train.loop.weights_file import fill, load_tensors, load_weights
from dithead.train.stages.audio_encoder import WEIGHTS as AUDIO_WEIGHTS
from dithead.train.stages.autoencoder import WEIGHTS as AUTOENCODER_WEIGHTS


def assemble_model(
    preset: Preset, autoencoder: Path | str, audio: Path, device: torch.device
) -> tuple[TalkingHead, LipBasis]:
    """Make the model of a preset with its trained or pretrained parts.

    Args:
        preset: The preset.
        autoencoder: Run folder of stage one; for a pretrained autoencoder a diffusers folder or hub id.
        audio: Run folder of the audio encoder.
        device: Where the model is put.

    Returns:
        The model, and the basis of its lip coefficients.

    Raises:
        ModelError: A part is missing or does not fit the preset.
    """
    torch_state = torch.get_rng_state()  # however the parts are loaded, the denoiser starts from the same weights
    pictures, (speech, basis) = load_autoencoder(autoencoder, preset), load_encoder(audio, preset.model.audio)
    torch.set_rng_state(torch_state)
    parts: dict[str, Any] = {"autoencoder": pictures.config, "audio": speech.config}
    if preset.model.dit.lip_targets:
        parts |= {"opening_unit": float(basis.scale[-1]), "width_units": tuple(basis.width_units.tolist())}
    config = preset.model.model_copy(update=parts)
    talker = TalkingHead(ModelConfig.model_validate(config.model_dump()), make_objective(config.objective))
    talker.autoencoder, talker.audio = pictures, speech.requires_grad_(False)
    talker.autoencoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return talker.to(device), basis


def load_autoencoder(source: Path | str, preset: Preset) -> FaceAutoencoder | KLAutoencoder:
    """Load the autoencoder of a stage-one run; for a preset with a Stable-Diffusion one, from diffusers.

    Args:
        source: The run folder, or a diffusers folder or hub id.
        preset: The preset.

    Raises:
        ModelError: There is none, or its shape is another.
    """
    config = preset.model.autoencoder
    if isinstance(config, KLConfig):
        return KLAutoencoder.load(replace(config, source=str(source))).requires_grad_(False)
    model = FaceAutoencoder(config)
    advice = f"train stage one first: dithead train autoencoder ... -o {source}"
    load_weights(model, Path(source) / AUTOENCODER_WEIGHTS, advice)
    return model.eval().requires_grad_(False)


def load_encoder(folder: Path, config: AudioConfig) -> tuple[AudioEncoder, LipBasis]:
    """Load the encoder of an audio run and its basis; a pretrained encoder is built as the run says.

    Raises:
        ModelError: The folder holds no such run, or its weights do not fit.
    """
    advice = f"train the audio encoder first: dithead train audio ... -o {folder}"
    try:
        stored = json.loads((folder / "config.json").read_text("utf-8"))["model"]
        encoder = config.as_trained(stored).build()
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{folder} is no run of `dithead train audio` with such an encoder ({error}); {advice}"
        raise ModelError(reason) from None
    return encoder, load_audio(folder, encoder)


def load_audio(folder: Path, encoder: AudioEncoder) -> LipBasis:
    """Load the weights of an audio run into ``encoder`` and return the run's basis.

    Raises:
        ModelError: The run is not finished, or its weights do not fit.
    """
    load_weights(encoder, folder / AUDIO_WEIGHTS, f"train the audio encoder first: dithead train audio ... -o {folder}")
    return LipBasis.load(folder / BASIS)


def start_from_model(talker: TalkingHead, init: Path | None) -> Path | None:
    """Load the denoiser of the model folder ``init``; of one with more blocks, ``spaced_blocks`` are taken.

    Returns:
        None; or ``init`` itself where it is not a model folder, but another run's, from which the loop starts.

    Raises:
        ModelError: The model folder is damaged or does not fit.
    """
    if init is None or not (init / "dit.safetensors").exists():
        return init
    verify_folder(init)
    stored = load_tensors(init / "dit.safetensors", "give another folder")
    if isinstance(talker.dit, DiT):
        stored = spaced_blocks(stored, talker.config.dit.depth)
    fill(talker.dit, stored, init / "dit.safetensors")
    return None


def spaced_blocks(weights: dict[str, Tensor], depth: int) -> dict[str, Tensor]:
    """Take ``depth`` evenly spaced blocks, the first and the last among them, of a transformer that has more.

    Each block adds to what passes through it, so the others still fit each other; training mends the rest.

    Args:
        weights: Of the transformer.
        depth: Blocks that are wanted; a transformer with as many or fewer stays as it is.
    """
    numbers = sorted({int(name.split(".")[1]) for name in weights if name.startswith("blocks.")})
    if len(numbers) <= depth:
        return weights
    kept = {round(k * (len(numbers) - 1) / max(depth - 1, 1)): k for k in range(depth)}
    taken = {name: value for name, value in weights.items() if not name.startswith("blocks.")}
    for name, value in weights.items():
        parts = name.split(".", 2)
        if parts[0] == "blocks" and int(parts[1]) in kept:
            taken[f"blocks.{kept[int(parts[1])]}.{parts[2]}"] = value
    return taken


def cache_key(talker: TalkingHead, seed: int, opened: bool = False) -> str:
    """Return a folder name for what cached latents and features depend on besides the clips; see ``LatentEncoder``."""
    config, digest = talker.config, hashlib.sha256()
    for name, tensor in talker.autoencoder.state_dict().items():
        digest.update(f"{name} {tensor.double().sum().item()!r}".encode())
    source = getattr(config.audio, "source", getattr(config.audio, "kind", "mel"))
    digest.update(f"{config.size} {getattr(config, 'mask', '')} {source} {seed}".encode())
    return digest.hexdigest()[:16] + ("-opened" if opened else "")
