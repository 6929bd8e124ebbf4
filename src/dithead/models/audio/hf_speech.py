"""Other people's networks as parts of the model: a Stable-Diffusion autoencoder, a speech encoder.

Any diffusers ``AutoencoderKL`` and any transformers Wav2Vec2, HuBERT or Whisper, by hub id or folder. What was loaded
is described in the configuration (``architecture``), so that a model folder needs nothing but itself.
Shapes: B batch, S image side, G = S / 16 latent side, n samples at 16 kHz, T feature frames of 20 ms, H their width,
W frames a window, A token width.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.errors import MissingExtraError, ModelError
from dithead.models.audio.base import SpeechTokens
from dithead.models.autoencoder.face import FACTOR

Loaded = TypeVar("Loaded")
SPEECH_RATE = 50.0
"""Feature frames a second of all supported speech encoders."""
_BLOCK, _MARGIN = 20 * 16_000, 16_000  # samples encoded at once, and the context on either side


@dataclass(frozen=True)
class KLConfig:
    """A diffusers ``AutoencoderKL``. Its latents are folded two by two, as a transformer of patch size 2 would do.

    ``masked_source`` names a second autoencoder for masked frames, as one reading of the paper has it; empty: one for
    both. ``architecture`` is filled in when the weights are loaded; ``latent_channels`` counts folded ones.
    """

    source: str = "stabilityai/sd-vae-ft-mse"
    masked_source: str = ""
    latent_channels: int = 16
    architecture: str = ""
    kind: Literal["kl"] = "kl"


@dataclass(frozen=True)
class SpeechConfig:
    """A transformers speech encoder, frozen; ``window`` of its frames become tokens of ``width`` by a trained layer."""

    source: str = "facebook/wav2vec2-base-960h"
    window: int = 16
    width: int = 256
    lip_targets: int = 9
    architecture: str = ""
    kind: Literal["speech"] = "speech"


def fetched(source: str, load: Callable[[], Loaded]) -> Loaded:
    """``load()``; ModelError with the command that fetches ``source`` when it is neither here nor to be had."""
    hub = logging.getLogger("huggingface_hub")
    before = hub.level
    hub.setLevel(logging.ERROR)  # it tells of every retry, and what is wrong is told below
    try:
        return load()
    except (OSError, ValueError) as error:
        why = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ModelError(
            f"{source} is neither a folder of weights nor in the hub's cache, and fetching it failed ({why[:160]}); "
            f"where there is a connection: hf download {source}"
        ) from None
    finally:
        hub.setLevel(before)


def load_kl(source: str) -> Any:
    """diffusers' ``AutoencoderKL`` from a hub id or folder. Raises ModelError."""
    from diffusers import AutoencoderKL

    return fetched(source, lambda: AutoencoderKL.from_pretrained(source)).eval()


class KLAutoencoder(nn.Module):
    """An ``AutoencoderKL`` with the interface of ``models.autoencoder.face.FaceAutoencoder``."""

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: KLConfig) -> None:
        super().__init__()
        from diffusers import AutoencoderKL

        if not config.architecture:
            raise ValueError("an autoencoder of unknown architecture; load it with KLAutoencoder.load")
        self.config = config
        described = json.loads(config.architecture)
        self.kl: Any = AutoencoderKL.from_config(described)
        self.kl_masked: Any = AutoencoderKL.from_config(described) if config.masked_source else None
        shift, scale = described.get("shift_factor") or 0.0, described.get("scaling_factor") or 1.0
        shape = (1, config.latent_channels, 1, 1)
        self.register_buffer("latent_mean", torch.full(shape, float(shift)))
        self.register_buffer("latent_std", torch.full(shape, 1.0 / float(scale)))

    @classmethod
    def load(cls, config: KLConfig) -> KLAutoencoder:
        """With the weights that ``config`` names. Raises ModelError; ``.config`` then tells the architecture."""
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
        """Image (B, 3, S, S) to scaled latent (B, C, G, G)."""
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
        """Scaled latent (B, C, G, G) to image; pixels outside the mask are taken from ``masked`` as they are."""
        raw = F.pixel_shuffle(z * self.latent_std + self.latent_mean, 2)
        image = self.kl.decode(raw.to(masked.dtype)).sample
        return masked * (1 - mask) + image * mask


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise MissingExtraError("train", "transformers") from None
    transformers.logging.set_verbosity_error()
    return transformers


def load_whisper(source: str) -> Any:
    """The encoder of a transformers Whisper, by hub id or folder. Raises ModelError."""
    model: Any = fetched(source, lambda: _transformers().WhisperModel.from_pretrained(source))
    return model.encoder.eval()


def load_moonshine(source: str) -> Any:
    """The encoder of a transformers Moonshine, by hub id or folder. Raises ModelError."""
    model: Any = fetched(source, lambda: _transformers().MoonshineModel.from_pretrained(source))
    return model.encoder.eval()


class SpeechEncoder(SpeechTokens):
    """A frozen speech encoder and a trained layer that makes tokens of its frames."""

    rate = SPEECH_RATE
    pad = 0.0

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__(config.window, config.width, config.lip_targets)
        if not config.architecture:
            raise ValueError("a speech encoder of unknown architecture; load it with SpeechEncoder.load")
        self.config = config
        library, described = _transformers(), json.loads(config.architecture)
        built = library.AutoConfig.for_model(**described)
        model: Any = library.AutoModel.from_config(built)
        self.whisper = built.model_type == "whisper"
        self.backbone: Any = (model.encoder if self.whisper else model).eval().requires_grad_(False)
        self.project = nn.Linear(built.hidden_size, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.features_width, self._mels = int(built.hidden_size), int(getattr(built, "num_mel_bins", 80))

    @classmethod
    def load(cls, config: SpeechConfig) -> SpeechEncoder:
        """With the weights that ``config`` names. Raises ModelError; ``.config`` then tells the architecture."""
        library = _transformers()
        model = fetched(config.source, lambda: library.AutoModel.from_pretrained(config.source))
        described = {k: v for k, v in model.config.to_dict().items() if not k.startswith("_")}
        if described["model_type"] not in ("wav2vec2", "hubert", "whisper"):
            raise ModelError(f"{config.source} is a {described['model_type']}; Wav2Vec2, HuBERT and Whisper are known")
        encoder = cls(replace(config, architecture=json.dumps(described, sort_keys=True, default=str)))
        encoder.backbone.load_state_dict((model.encoder if encoder.whisper else model).state_dict())
        return encoder

    def features(self, wave: Tensor) -> Tensor:
        """Speech (n,) at 16 kHz to features (T, H) on the CPU, in blocks, so that long speech fits."""
        return torch.cat(list(self.feature_blocks([wave])))

    @torch.no_grad()
    def feature_blocks(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """The same features, in order, of speech that comes in chunks (n,) of any length; about 40 s are held."""
        held, before = torch.zeros(0), 0  # ``before`` of the held samples are the margin of a block already made
        for part in _gathered(chunks, _BLOCK):
            held = torch.cat([held.to(part), part])
            while len(held) - before >= _BLOCK + _MARGIN:
                yield self._block(held[: before + _BLOCK + _MARGIN])[before // 320 :][: _BLOCK // 320]
                held, before = held[before + _BLOCK - _MARGIN :], _MARGIN
        for start in range(before, max(len(held), before + 1), _BLOCK):
            first = max(0, start - _MARGIN)
            made = self._block(held[first : start + _BLOCK + _MARGIN])
            skip = (start - first) // 320
            yield made[skip : skip + min(_BLOCK, len(held) - start) // 320]

    def _block(self, wave: Tensor) -> Tensor:
        """One frame for every 320 samples, whatever the network's own count is at the end."""
        weight = next(self.backbone.parameters())
        count = len(wave) // 320
        if self.whisper:
            hidden = self.backbone(self._log_mel(wave).to(weight)).last_hidden_state[0]
        else:
            scaled = (wave - wave.mean()) / (wave.var(unbiased=False) + 1e-7).sqrt()
            padded = F.pad(scaled, (0, max(0, 400 - len(scaled))))
            hidden = self.backbone(padded[None].to(weight)).last_hidden_state[0]
        hidden = hidden.float().cpu()[:count]
        return F.pad(hidden, (0, 0, 0, count - len(hidden)))

    def _log_mel(self, wave: Tensor) -> Tensor:
        extractor = _transformers().WhisperFeatureExtractor(feature_size=self._mels)
        seconds = self.backbone.config.max_source_positions / SPEECH_RATE
        full = F.pad(wave, (0, max(0, round(seconds * 16_000) - len(wave))))
        made = extractor(full.numpy(), sampling_rate=16_000, return_tensors="pt", padding=False, truncation=False)
        return torch.as_tensor(made.input_features)

    def forward(self, features: Tensor) -> Tensor:
        """Windows of features (B, W, H) to tokens (B, W, A)."""
        return self.norm(self.project(features) + self.position)  # type: ignore[no-any-return]


def _gathered(chunks: Iterable[Tensor], least: int) -> Iterator[Tensor]:
    """Chunks (n,) joined to such of ``least`` samples or a little more."""
    parts: list[Tensor] = []
    for chunk in chunks:
        parts.append(chunk)
        if sum(map(len, parts)) >= least:
            yield torch.cat(parts)
            parts = []
    if parts:
        yield torch.cat(parts)
