"""A pretrained speech encoder (transformers Wav2Vec2, HuBERT or Whisper) with a trained layer that makes tokens.

It needs the whole speech at once. What was loaded is described in the configuration (``architecture``), so that a model
folder needs nothing but itself.
Letters: B batch, n samples at 16 kHz, T feature frames of 20 ms, H their width, W frames a window, A token width.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.errors import ModelError
from dithead.models.audio.base import AudioEncoder
from dithead.models.audio.mel import SAMPLE_RATE
from dithead.models.pretrained import load_pretrained, transformers_library

SPEECH_RATE = 50.0
"""Feature frames a second of all supported speech encoders."""
_HOP = 320  # samples a feature frame
_BLOCK = 20 * SAMPLE_RATE  # samples encoded at once, so that long speech fits into memory (our choice)
_MARGIN = SAMPLE_RATE  # samples of context on either side of a block (our choice)


@dataclass(frozen=True)
class SpeechConfig:
    """A transformers speech encoder, frozen, with a trained layer behind it.

    Attributes:
        source: Hub id or folder of the weights.
        window: Feature frames (20 ms each) around the video frame; each becomes a token.
        width: Width of a token.
        lip_targets: Lip coefficients that are predicted.
        architecture: The network's own configuration as JSON, filled in when the weights are loaded.
        kind: Distinguishes this configuration from those of other encoders in ``config.json``.
    """

    source: str = "facebook/wav2vec2-base-960h"
    window: int = 16
    width: int = 256
    lip_targets: int = 9
    architecture: str = ""
    kind: Literal["speech"] = "speech"

    def build(self) -> SpeechEncoder:
        """See ``AudioConfig.build``."""
        return SpeechEncoder(self)

    def load(self) -> SpeechEncoder:
        """See ``AudioConfig.load``."""
        return SpeechEncoder.load(self)

    def as_trained(self, run: Mapping[str, Any]) -> SpeechConfig:
        """Return the configuration that the run stored, with the architecture. Raises TypeError for another kind."""
        return SpeechConfig(**run)


class SpeechEncoder(AudioEncoder):
    """A frozen speech encoder and a trained layer that makes tokens of its frames."""

    rate = SPEECH_RATE
    pad = 0.0
    frames_per_token = 1
    mel_features = False
    live = False
    config: SpeechConfig

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__(config, config.window)
        if not config.architecture:
            raise ValueError("a speech encoder of unknown architecture; load it with SpeechEncoder.load")
        library, described = transformers_library(), json.loads(config.architecture)
        built = library.AutoConfig.for_model(**described)
        model: Any = library.AutoModel.from_config(built)
        self.is_whisper = built.model_type == "whisper"
        self.backbone: Any = (model.encoder if self.is_whisper else model).eval().requires_grad_(False)
        self.project = nn.Linear(built.hidden_size, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.features_width, self._mels = int(built.hidden_size), int(getattr(built, "num_mel_bins", 80))

    @classmethod
    def load(cls, config: SpeechConfig) -> SpeechEncoder:
        """Load the weights that ``config`` names; the result's ``config`` describes their architecture.

        Raises:
            ModelError: The weights cannot be found, or are those of an unknown kind of network.
        """
        library = transformers_library()
        model = load_pretrained(config.source, lambda: library.AutoModel.from_pretrained(config.source))
        described = {k: v for k, v in model.config.to_dict().items() if not k.startswith("_")}
        if described["model_type"] not in ("wav2vec2", "hubert", "whisper"):
            raise ModelError(f"{config.source} is a {described['model_type']}; Wav2Vec2, HuBERT and Whisper are known")
        encoder = cls(replace(config, architecture=json.dumps(described, sort_keys=True, default=str)))
        encoder.backbone.load_state_dict((model.encoder if encoder.is_whisper else model).state_dict())
        return encoder

    def features(self, wave: Tensor) -> Tensor:
        """See ``AudioEncoder.features``; computed in blocks, so that long speech fits."""
        return torch.cat(list(self.feature_blocks([wave])))

    @torch.no_grad()
    def feature_blocks(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """See ``AudioEncoder.feature_blocks``; about 40 s of speech are held at a time."""
        held, before = torch.zeros(0), 0  # ``before`` of the held samples are the margin of a block already made
        for part in _gathered(chunks, _BLOCK):
            held = torch.cat([held.to(part), part])
            while len(held) - before >= _BLOCK + _MARGIN:
                yield self._block(held[: before + _BLOCK + _MARGIN])[before // _HOP :][: _BLOCK // _HOP]
                held, before = held[before + _BLOCK - _MARGIN :], _MARGIN
        for start in range(before, max(len(held), before + 1), _BLOCK):
            first = max(0, start - _MARGIN)
            made = self._block(held[first : start + _BLOCK + _MARGIN])
            skip = (start - first) // _HOP
            yield made[skip : skip + min(_BLOCK, len(held) - start) // _HOP]

    def _block(self, wave: Tensor) -> Tensor:
        """One frame for every 320 samples (T, H), however many the network itself makes at the end."""
        weight = next(self.backbone.parameters())
        wave, count = wave.to(weight.device), len(wave) // _HOP
        if self.is_whisper:
            hidden = self.backbone(self._log_mel(wave).to(weight)).last_hidden_state[0]
        else:
            scaled = (wave - wave.mean()) / (wave.var(unbiased=False) + 1e-7).sqrt()
            padded = F.pad(scaled, (0, max(0, 400 - len(scaled))))
            hidden = self.backbone(padded[None].to(weight)).last_hidden_state[0]
        hidden = hidden.float().cpu()[:count]
        return F.pad(hidden, (0, 0, 0, count - len(hidden)))

    def _log_mel(self, wave: Tensor) -> Tensor:
        extractor = transformers_library().WhisperFeatureExtractor(feature_size=self._mels)
        seconds = self.backbone.config.max_source_positions / SPEECH_RATE
        full = F.pad(wave, (0, max(0, round(seconds * SAMPLE_RATE) - len(wave))))
        made = extractor(
            full.cpu().numpy(), sampling_rate=SAMPLE_RATE, return_tensors="pt", padding=False, truncation=False
        )
        return torch.as_tensor(made.input_features)

    def forward(self, window: Tensor) -> Tensor:
        """Turn windows of features (B, W, H) into tokens (B, W, A)."""
        return self.norm(self.project(window) + self.position)  # type: ignore[no-any-return]


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
