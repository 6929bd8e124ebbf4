"""Every setting of a model and of its training, and the presets.

The defaults of a network's sizes live in its own file, all others here.
"""

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
"""Lip coefficients in every preset: eight principal shapes and the opening (``train.data.lip_basis.COEFFICIENTS``)."""


class Frozen(BaseModel):
    """Base of all settings: unknown keys are refused, and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _kind(value: Any) -> str:
    """The tag of a union's class that a configuration belongs to; our own first ones have no ``kind``."""
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
    """What the ``config.json`` of a model folder holds, and what the model is made of."""

    name: str = "small"
    """Name of the model."""
    size: int = 160
    """Side S of the crop in pixels."""
    mask: MaskKind = "stable-polygon"
    """Which part of the crop is generated."""
    objective: ObjectiveName = "flow"
    """What the network predicts, on which noise path (``diffusion.objectives``)."""
    steps: int = 1
    """Sampling steps."""
    guidance: float = 1.0
    """Scale of classifier-free guidance; 1: none."""
    opening: float = 0.0
    """Spread (standard deviation) of the lip opening in the model's own speech, in distances between the outer eye
    corners; ``generate`` scales it to that of the source's person. 0: lips always move as learned."""
    opening_unit: float = 0.0
    """What 1 of the predicted opening means, in the same distances; 0: not known, so that all frames get one
    reference."""
    width_units: tuple[float, ...] = ()
    """What 1 of each predicted lip coefficient adds to the width of the lips, in the same distances; empty: not known,
    so that references are chosen by the opening alone."""
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
        if len(self.width_units) not in (0, self.audio.lip_targets):
            raise ValueError("width_units must be empty or have one number for each lip coefficient")
        return self


class AutoencoderTraining(Frozen):
    """Stage one: the autoencoder is trained to rebuild the part of the crop under the mask."""

    steps: int = 3_100
    """Training steps."""
    batch: int = 16
    """Samples a step, over all processes."""
    learning_rate: float = 6e-4
    """Peak of the learning rate."""
    warmup: int = 200
    """Steps over which the learning rate rises."""
    decay: float = 0.35
    """Share of the steps, at the end, over which the learning rate falls."""
    ema: float = 0.998
    """Decay of the moving average of the weights, which is what is saved and used."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    mouth_weight: float = 4.0
    """How much more a pixel of the lips counts."""
    detail_weight: float = 2.0
    """Weight of the Laplacian pyramid in the loss."""
    latent_noise: float = 0.15
    """Mean standard deviation of the noise on the latents before they are decoded."""
    adversarial_start: float = 0.65
    """Share of the steps after which the patch discriminator joins."""
    adversarial_weight: float = 0.05
    """Weight of the discriminator's verdict in the loss."""
    matching_weight: float = 1.0
    """Weight of the difference between the discriminator's features of true and rebuilt pictures."""
    opened_references: float = 0.0
    """Share of the samples whose reference is another frame with closed lips, opened by geometry as ``generate`` does
    with portraits."""
    drawn_share: float = 0.0
    """Share of the samples with speech whose latents are drawn by the model of `--drawn-by`."""
    masked_weight: float = 1.0
    """Weight of the difference between the latents of masked frames and those of the encoder of whole pictures, where
    masked frames have an encoder of their own."""
    identity_weight: float = 0.0
    """Weight of the difference between a face recognition network's features of true and rebuilt faces."""
    lpips: str = ""
    """File of LPIPS weights (docs/reference/metrics.md says which); empty: LPIPS takes no part."""
    lpips_weight: float = 0.5
    """Weight of LPIPS in the loss."""
    frames_per_identity: int = 3000
    """At most so many frames of a person are used."""


class AudioTraining(Frozen):
    """The audio encoder is trained to predict the lips from speech, of faces and of voices without faces."""

    steps: int = 4_000
    """Training steps."""
    batch: int = 96
    """Samples a step, over all processes."""
    learning_rate: float = 1e-3
    """Peak of the learning rate."""
    warmup: int = 200
    """Steps over which the learning rate rises."""
    decay: float = 0.4
    """Share of the steps, at the end, over which the learning rate falls."""
    ema: float = 0.998
    """Decay of the moving average of the weights, which is what is saved and used."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    voice_share: float = 0.5
    """Share of the samples that are voices without a face, where there are any."""
    voice_lips: float = 0.3
    """How much the opening of such a voice, known from its phonemes, counts against a measured one."""
    mouth_loss: float = 3.0
    """Weight of the loss on the mouth controls that the phonemes of a voice give."""
    tempo: float = 0.1
    """Spread of the random change of tempo (standard deviation of its logarithm)."""
    pretrained_rate: float = 0.05
    """How fast parts that come from another network learn, against the rest."""
    frames_per_identity: int = 30_000
    """At most so many frames of a person are used."""


class DiTTraining(Frozen):
    """Stage two: the denoiser is trained on cached latents."""

    steps: int = 4_000
    """Training steps."""
    batch: int = 32
    """Samples a step, over all processes."""
    learning_rate: float = 6e-4
    """Peak of the learning rate."""
    warmup: int = 200
    """Steps over which the learning rate rises."""
    decay: float = 0.5
    """Share of the steps, at the end, over which the learning rate falls."""
    ema: float = 0.998
    """Decay of the moving average of the weights, which is what is saved and used."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    audio_dropout: float = 0.1
    """Share of the samples without speech, for classifier-free guidance."""
    reference_dropout: float = 0.05
    """Share of the samples without a reference."""
    previous_reference: float = 0.2
    """Share of the samples whose reference is the frame before, as in the paper."""
    previous_noise: float = 0.3
    """Largest standard deviation of the noise on that reference."""
    mouth_weight: float = 14.0
    """How much more a latent pixel of the lips counts."""
    lip_noise: float = 0.25
    """Largest relative noise on the measured lips, which are the condition in training."""
    open_share: float = 0.6
    """Share of the samples that are the most open mouth of three, because mouths are closed most of the time."""
    reference_choice: Literal["random", "near-mouth"] = "near-mouth"
    """Which other frame is the reference: any, or one whose mouth is about as open (as ``generate`` does)."""
    opened_references: float = 0.0
    """Share of the samples whose reference is another frame with closed lips, opened by geometry as ``generate`` does
    with portraits."""
    adversarial_weight: float = 0.0
    """Weight of a discriminator of the clean estimate; 0: none."""
    adversarial_start: float = 0.5
    """Share of the steps after which the discriminator joins."""
    sync_weight: float = 0.0
    """Weight of the sync expert's disagreement; 0: none."""
    sync_start: float = 0.3
    """Share of the steps after which the sync expert joins."""
    sync_windows: int = 4
    """Short windows a step that the sync expert judges, over all processes."""
    variants: int = 2
    """Augmented versions in which the clips of people with little footage are cached."""
    frames_per_identity: int = 30_000
    """At most so many frames of a person are used."""


class Preset(Frozen):
    """A model and how it is trained."""

    model: ModelConfig
    autoencoder: AutoencoderTraining = AutoencoderTraining()
    audio: AudioTraining = AudioTraining()
    dit: DiTTraining = DiTTraining()


def _preset(
    name: str, size: int, sizes: tuple[int, int, int], training: DiTTraining | None = None, rank: int = 0
) -> Preset:
    """A preset of our design; ``sizes`` are width, depth and heads of the transformer, ``rank`` its modulation's."""
    width, depth, heads = sizes
    dit = DiTConfig(grid=size // FACTOR, width=width, depth=depth, heads=heads, lip_targets=LIP_TARGETS,
                    modulation_rank=rank)  # fmt: skip
    audio = ContextEncoderConfig(lip_targets=LIP_TARGETS, past=200)
    model = ModelConfig(name=name, size=size, opening=0.035, dit=dit, audio=audio)
    return Preset(model=model, dit=training or DiTTraining())


def _tiny() -> Preset:
    """A preset that trains in seconds on a laptop, for tests and for reading the code."""
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
    """DiT-Head's design as far as it is known (arXiv 2312.06400); sizes, schedule and numbers of steps are ours."""
    dit = DiTConfig(grid=16, latent_channels=16, width=768, depth=12, heads=12, audio_width=768)
    model = ModelConfig(
        name="paper", size=256, mask="polygon", objective="ddpm", steps=50,
        autoencoder=KLConfig(), dit=dit, audio=SpeechConfig(width=768),
    )  # fmt: skip
    training = DiTTraining(steps=200_000, learning_rate=1e-4, ema=0.9999, variants=4, mouth_weight=0.0)
    return Preset(model=model, dit=training)


def _small() -> Preset:
    """The shipped model: what is computed for every frame is as small as real time on two CPU cores asks for."""
    preset = _preset("small", 160, (256, 5, 4), DiTTraining(opened_references=0.3), rank=112)
    autoencoder = AutoencoderConfig(
        skip_widths=(16, 32, 64), decoder_widths=(16, 32, 96, 192), masked_widths=(16, 32, 64, 128)
    )
    audio = ContextEncoderConfig(lip_targets=LIP_TARGETS, past=200, closure_hidden=48, lip_readers=3)
    model = preset.model.model_copy(update={"autoencoder": autoencoder, "audio": audio})
    training = AutoencoderTraining(opened_references=0.3, identity_weight=0.3)
    return preset.model_copy(update={"model": model, "autoencoder": training})


_LONG = DiTTraining(steps=200_000, learning_rate=1e-4, ema=0.9999, variants=4)
PRESETS: dict[str, Preset] = {
    "tiny": _tiny(),
    "small": _small(),
    "base": _preset("base", 256, (768, 12, 12), _LONG),
    "paper": _paper(),
    "hd": _preset("hd", 512, (768, 12, 12), _LONG),
}
PURPOSES: dict[str, str] = {
    "tiny": "proves in minutes that everything works together; what it draws is of no use",
    "small": "the shipped model; trained in days on two CPU cores",
    "base": "larger, for one GPU",
    "paper": "the design of the paper, for several GPUs",
    "hd": "faces of 512 pixels, for several GPUs",
}
"""What each preset is for."""


def get_preset(name: str, changes: Sequence[str] = ()) -> Preset:
    """Return a preset, with settings changed.

    Args:
        name: One of ``PRESETS``.
        changes: Settings as ``model.objective=ddpm``; the value is JSON, or else text.

    Raises:
        ConfigError: The name or a setting is unknown, or a value does not fit.
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
