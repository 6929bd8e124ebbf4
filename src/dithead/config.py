"""Every setting of a model and of its training, with the presets. Defaults live here and in the model files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, ValidationError, model_validator

from dithead.diffusion.objectives import ObjectiveName
from dithead.errors import ConfigError
from dithead.models.audio.context_encoder import ContextEncoderConfig
from dithead.models.audio.hf_speech import SpeechConfig
from dithead.models.audio.mel_encoder import MelEncoderConfig
from dithead.models.autoencoder.face import FACTOR, AutoencoderConfig
from dithead.models.autoencoder.kl import KLConfig
from dithead.models.denoiser.base import DiTConfig
from dithead.types import MaskKind

LIP_TARGETS = 9
"""Numbers that say what the lips do, in every preset (``train.data.lip_basis.COEFFICIENTS``)."""


class Frozen(BaseModel):
    """Base: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _kind(value: Any) -> str:
    """Which of a union's classes a stored configuration is: ours have no ``kind``."""
    return str(value.get("kind", "own") if isinstance(value, dict) else getattr(value, "kind", "own"))


AnyAutoencoder = Annotated[
    Annotated[AutoencoderConfig, Tag("own")] | Annotated[KLConfig, Tag("kl")], Discriminator(_kind)
]
AnyAudio = Annotated[
    Annotated[MelEncoderConfig, Tag("own")]
    | Annotated[ContextEncoderConfig, Tag("context")]
    | Annotated[SpeechConfig, Tag("speech")],
    Discriminator(_kind),
]


class ModelConfig(Frozen):
    """What a model folder's ``config.json`` holds. ``size`` is the crop side in pixels. ``opening`` is how far the
    opening of the lips spreads, in distances between the outer eye corners, when the model speaks by itself;
    ``generate`` moves lips as widely as the source's person does. 0: always as learned. ``opening_unit`` is what 1 of
    the opening means in which the audio encoder tells it, in the same distances; 0: not known, so that one reference
    must do for all frames."""

    name: str = "small"
    size: int = 160
    mask: MaskKind = "stable-polygon"
    objective: ObjectiveName = "flow"
    steps: int = 1
    guidance: float = 1.0
    opening: float = 0.0
    opening_unit: float = 0.0
    autoencoder: AnyAutoencoder = AutoencoderConfig()
    dit: DiTConfig = DiTConfig()
    audio: AnyAudio = MelEncoderConfig()

    @model_validator(mode="after")
    def _sizes_fit(self) -> ModelConfig:
        if self.size != self.dit.grid * FACTOR:
            raise ValueError(f"size {self.size} must be {FACTOR} times the transformer's grid {self.dit.grid}")
        if self.dit.latent_channels != self.autoencoder.latent_channels or self.dit.audio_width != self.audio.width:
            raise ValueError("dit.latent_channels and dit.audio_width must match the autoencoder and the audio encoder")
        if self.dit.lip_targets not in (0, self.audio.lip_targets):
            raise ValueError("dit.lip_targets must be 0 or those of the audio encoder")
        return self


class AutoencoderTraining(Frozen):
    """Stage one. Times are in steps; ``mouth_weight`` is how much more a lip pixel counts. ``lpips`` is a file of LPIPS
    weights (docs/evaluate.md says which): with it, that distance joins the loss, ``lpips_weight`` strong.
    """

    steps: int = 3_100
    batch: int = 16
    learning_rate: float = 6e-4
    warmup: int = 200
    decay: float = 0.35
    ema: float = 0.998
    clip: float = 1.0
    mouth_weight: float = 4.0
    detail_weight: float = 2.0
    latent_noise: float = 0.15
    adversarial_start: float = 0.65
    adversarial_weight: float = 0.05
    matching_weight: float = 1.0
    lpips: str = ""
    lpips_weight: float = 0.5
    frames_per_identity: int = 3000


class AudioTraining(Frozen):
    """The audio encoder. ``voice_share`` of the samples are voices without a face, where there are any; ``voice_lips``
    is what their opening, known from phonemes, counts against a measured one; ``tempo`` the spread of its change.
    ``pretrained_rate``: how fast parts that come from another network learn, against the rest.
    """

    steps: int = 4_000
    batch: int = 96
    learning_rate: float = 1e-3
    warmup: int = 200
    decay: float = 0.4
    ema: float = 0.998
    clip: float = 1.0
    voice_share: float = 0.5
    voice_lips: float = 0.3
    mouth_loss: float = 3.0
    tempo: float = 0.1
    pretrained_rate: float = 0.05
    frames_per_identity: int = 30_000


class DiTTraining(Frozen):
    """Stage two. ``previous_reference`` is the share of samples that get the frame before as reference, ``lip_noise``
    the most noise on what the transformer is told of the lips. ``reference_choice`` takes other frames at random, or
    those with the mouth about as open (as ``generate`` does). ``open_share`` of
    the samples are the most open mouth of three, because mouths are closed most of the time. ``adversarial_weight``
    above 0 adds a critic of the clean estimate, ``sync_weight`` a sync expert that watches and hears ``sync_windows``
    short windows a step; both begin after a share of the steps.
    """

    steps: int = 4_000
    batch: int = 32
    learning_rate: float = 6e-4
    warmup: int = 200
    decay: float = 0.5
    ema: float = 0.998
    clip: float = 1.0
    audio_dropout: float = 0.1
    reference_dropout: float = 0.05
    previous_reference: float = 0.2
    previous_noise: float = 0.3
    mouth_weight: float = 14.0
    lip_noise: float = 0.25
    open_share: float = 0.6
    reference_choice: Literal["random", "near-mouth"] = "near-mouth"
    adversarial_weight: float = 0.0
    adversarial_start: float = 0.5
    sync_weight: float = 0.0
    sync_start: float = 0.3
    sync_windows: int = 4
    variants: int = 2
    frames_per_identity: int = 30_000


class Preset(Frozen):
    """A model and how it is trained."""

    model: ModelConfig
    autoencoder: AutoencoderTraining = AutoencoderTraining()
    audio: AudioTraining = AudioTraining()
    dit: DiTTraining = DiTTraining()


def _preset(
    name: str, size: int, sizes: tuple[int, int, int], training: DiTTraining | None = None, rank: int = 0
) -> Preset:
    """``sizes``: width, depth and heads of the transformer; ``rank`` of its modulation."""
    width, depth, heads = sizes
    dit = DiTConfig(grid=size // FACTOR, width=width, depth=depth, heads=heads, lip_targets=LIP_TARGETS,
                    modulation_rank=rank)  # fmt: skip
    audio = ContextEncoderConfig(lip_targets=LIP_TARGETS, past=200)
    model = ModelConfig(name=name, size=size, opening=0.035, dit=dit, audio=audio)
    return Preset(model=model, dit=training or DiTTraining())


def _tiny() -> Preset:
    """Seconds on a laptop: for tests and for reading the code."""
    model = ModelConfig(
        name="tiny", size=64, steps=2, guidance=1.5,
        autoencoder=AutoencoderConfig(8, (8, 16, 16, 16), (8, 8, 8)),
        dit=DiTConfig(grid=4, latent_channels=8, width=32, depth=2, heads=2, audio_width=16, lip_targets=LIP_TARGETS),
        audio=MelEncoderConfig(window=16, width=16, layers=1, lip_targets=LIP_TARGETS),
    )  # fmt: skip
    return Preset(
        model=model,
        autoencoder=AutoencoderTraining(steps=20, batch=4, warmup=2, frames_per_identity=50),
        audio=AudioTraining(steps=10, batch=8, warmup=2, frames_per_identity=50),
        dit=DiTTraining(steps=20, batch=4, warmup=2, variants=1, frames_per_identity=50),
    )


def _paper() -> Preset:
    """What is known of DiT-Head's design (arXiv 2312.06400); every size, schedule and number of steps is our choice."""
    dit = DiTConfig(grid=16, latent_channels=16, width=768, depth=12, heads=12, audio_width=768)
    model = ModelConfig(
        name="paper", size=256, mask="polygon", objective="ddpm", steps=50,
        autoencoder=KLConfig(), dit=dit, audio=SpeechConfig(width=768),
    )  # fmt: skip
    training = DiTTraining(steps=200_000, learning_rate=1e-4, ema=0.9999, variants=4, mouth_weight=0.0)
    return Preset(model=model, dit=training)


_LONG = DiTTraining(steps=200_000, learning_rate=1e-4, ema=0.9999, variants=4)
PRESETS: dict[str, Preset] = {
    "tiny": _tiny(),
    "small": _preset("small", 160, (256, 8, 4), rank=112),
    "base": _preset("base", 256, (768, 12, 12), _LONG),
    "paper": _paper(),
    "hd": _preset("hd", 512, (768, 12, 12), _LONG),
}


def get_preset(name: str, changes: Sequence[str] = ()) -> Preset:
    """The preset called ``name`` with settings changed, each as ``model.objective=ddpm``.

    Raises ConfigError for an unknown name or setting, and for a value that does not fit.
    """
    if name not in PRESETS:
        raise ConfigError(f"unknown preset '{name}'; choose one of: {', '.join(PRESETS)}")
    if not changes:
        return PRESETS[name]
    content = PRESETS[name].model_dump(mode="json")
    for change in changes:
        _set(content, change)
    try:
        return Preset.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _set(content: dict[str, Any], change: str) -> None:
    """Change one value of a nested mapping in place."""
    path, equals, value = change.partition("=")
    *parents, key = path.split(".")
    for parent in parents:
        content = content.get(parent, {})
    if not equals or not isinstance(content, dict) or key not in content:
        there = f"; there are {', '.join(content)}" if isinstance(content, dict) and content else ""
        raise ConfigError(f"{change!r}: give an existing setting as KEY=VALUE, such as model.objective=ddpm{there}")
    try:
        content[key] = json.loads(value)
    except ValueError:
        content[key] = value
