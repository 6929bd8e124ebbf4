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
    """What a model folder's ``config.json`` holds. Openings are in distances between the outer eye corners."""

    name: str = "small"  # of the preset it was trained from
    size: int = 160  # side of the aligned crop in pixels, 16 times ``dit.grid``
    mask: MaskKind = "stable-polygon"  # shape of the region that is generated (``face.masks``)
    objective: ObjectiveName = "flow"  # what the denoiser predicts and how it is sampled
    steps: int = 1  # sampling steps, unless told otherwise
    guidance: float = 1.0  # scale of classifier-free guidance, unless told otherwise; 1 is none
    opening: float = 0.0
    """Spread of the predicted lip opening over the training people; the lips move as widely as the source person's by
    comparison with it. 0: they move as predicted."""
    opening_unit: float = 0.0
    """Lip opening that 1 of its coefficient stands for. 0: it is not known, and one reference serves all frames."""
    autoencoder: AnyAutoencoder = AutoencoderConfig()  # the face autoencoder of stage one
    dit: DiTConfig = DiTConfig()  # the denoiser of stage two
    audio: AnyAudio = MelEncoderConfig()  # the audio encoder

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
    """Training of stage one, the face autoencoder."""

    steps: int = 3_100  # updates
    batch: int = 16  # samples an update, over all processes
    learning_rate: float = 6e-4  # of AdamW, after warm-up
    warmup: int = 200  # steps over which the learning rate rises
    decay: float = 0.35  # share of the steps, at the end, over which it falls
    ema: float = 0.998  # decay of the weights' moving average, which is what is kept
    clip: float = 1.0  # norm to which gradients are clipped
    mouth_weight: float = 4.0  # how much more a pixel of the lips counts
    detail_weight: float = 2.0  # of the Laplacian pyramid's error
    latent_noise: float = 0.15  # mean standard deviation of the noise on latents, which are about 1
    adversarial_start: float = 0.65  # share of the steps after which the discriminator joins
    adversarial_weight: float = 0.05  # of the discriminator's score
    matching_weight: float = 1.0  # of the error of the discriminator's features
    lpips: str = ""  # file of LPIPS weights (docs/howto/evaluate.md); with it, that distance joins the loss
    lpips_weight: float = 0.5  # of that distance
    frames_per_identity: int = 3000  # most frames that are taken of one person


class AudioTraining(Frozen):
    """Training of the audio encoder."""

    steps: int = 4_000  # updates
    batch: int = 96  # samples an update, over all processes
    learning_rate: float = 1e-3  # of AdamW, after warm-up
    warmup: int = 200  # steps over which the learning rate rises
    decay: float = 0.4  # share of the steps, at the end, over which it falls
    ema: float = 0.998  # decay of the weights' moving average, which is what is kept
    clip: float = 1.0  # norm to which gradients are clipped
    voice_share: float = 0.5  # share of the samples that are voices without a face, where there are any
    voice_lips: float = 0.3  # weight of a voice's lip opening, known from phonemes, against a measured one
    mouth_loss: float = 3.0  # weight of the error of the mouth controls, which are known for voices
    tempo: float = 0.1  # standard deviation of the logarithm of a random change of tempo
    pretrained_rate: float = 0.05  # learning rate of pretrained layers over that of the rest
    frames_per_identity: int = 30_000  # most frames that are taken of one person


class DiTTraining(Frozen):
    """Training of stage two, the denoiser."""

    steps: int = 4_000  # updates
    batch: int = 32  # samples an update, over all processes
    learning_rate: float = 6e-4  # of AdamW, after warm-up
    warmup: int = 200  # steps over which the learning rate rises
    decay: float = 0.5  # share of the steps, at the end, over which it falls
    ema: float = 0.998  # decay of the weights' moving average, which is what is kept
    clip: float = 1.0  # norm to which gradients are clipped
    audio_dropout: float = 0.1  # share of samples without speech and lips, for classifier-free guidance
    reference_dropout: float = 0.05  # share of samples whose reference is zero
    previous_reference: float = 0.2  # share of samples whose reference is the frame before, as in the paper
    previous_noise: float = 0.3  # most noise on that reference, in deviations of the latent
    mouth_weight: float = 14.0  # how much more a latent position of the lips counts
    lip_noise: float = 0.25  # most noise on the measured lips that stand for predicted ones
    open_share: float = 0.6  # share of samples that are the most open of three: mouths are closed most of the time
    reference_choice: Literal["random", "near-mouth"] = "near-mouth"
    """Other references: frames of the clip at random, or with the lips about as open, as generation chooses them."""
    adversarial_weight: float = 0.0  # of a critic's score of the estimated clean latent; 0: there is no critic
    adversarial_start: float = 0.5  # share of the steps after which the critic joins
    sync_weight: float = 0.0  # of the sync expert's loss; 0: there is no expert
    sync_start: float = 0.3  # share of the steps after which the expert joins
    sync_windows: int = 4  # short windows that the expert judges in an update
    variants: int = 2  # augmentations in which clips of people with little footage are encoded
    frames_per_identity: int = 30_000  # most frames that are taken of one person


class Preset(Frozen):
    """A model and how it is trained."""

    model: ModelConfig  # sizes and sampling
    autoencoder: AutoencoderTraining = AutoencoderTraining()  # training of stage one
    audio: AudioTraining = AudioTraining()  # training of the audio encoder
    dit: DiTTraining = DiTTraining()  # training of stage two


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


_LONG = DiTTraining(steps=200_000, learning_rate=1e-4, ema=0.9999, variants=4)
PRESETS: dict[str, Preset] = {
    "tiny": _tiny(),
    "small": _preset("small", 160, (256, 8, 4), rank=112),
    "base": _preset("base", 256, (768, 12, 12), _LONG),
    "paper": _paper(),
    "hd": _preset("hd", 512, (768, 12, 12), _LONG),
}


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
